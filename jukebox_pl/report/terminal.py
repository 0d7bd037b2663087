"""What the commands tell on a terminal: how far `prepare` is, what the doctor found, what an evaluation came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jukebox_pl.catalog import doctor
from jukebox_pl.catalog.folders import in_words
from jukebox_pl.catalog.prepare import Progress
from jukebox_pl.catalog.shards import CATALOG_FILE, HELD_OUT, SPLITS, Catalog
from jukebox_pl.errors import one_line
from jukebox_pl.evaluation import suite
from jukebox_pl.utils.progress import terminal_meter

REASONS_SHOWN = 20
WIDTH = 80  # columns of the tables of an evaluation, to be pasted anywhere


@contextmanager
def showing_progress(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Bars on a terminal, with the latest song; elsewhere a plain line every few seconds."""
    with terminal_meter("songs", console) as meter:

        def show(now: Progress) -> None:
            meter.update(f"songs {now.step}", now.done, now.total, one_line(now.path) if console.is_terminal else "")

        yield show


def print_tables(console: Console, tables: Iterable[doctor.Table]) -> None:
    for title, columns, rows, more in tables:
        table = Table(title=escape(title), caption=f"and {more} more" if more else None)
        for column in columns:
            table.add_column(escape(column), overflow="fold")
        for row in rows:
            table.add_row(*(escape(one_line(cell)) for cell in row))
        console.print(table)


def tell_report(console: Console, out: Path, report: doctor.Report, in_full: bool = False) -> None:
    """The findings of the doctor, or `in_full` all that he says; his page, which is written to `out`, has everything."""
    from jukebox_pl.report.catalog_page import write_doctor_page  # imports matplotlib: mistakes answer without it

    print_tables(console, (table for table in doctor.tables(report) if in_full or table.title == "findings"))
    for line in doctor.advice(report) if in_full else ():
        console.out(line)
    console.out(f"the doctor's report on {len(report.songs)} songs: {write_doctor_page(out, report)}")


def print_answer_tables(console: Console, tables: Iterable[suite.Table]) -> None:
    width = min(WIDTH, console.width)
    for title, columns, rows, note in tables:
        table = Table(*map(escape, columns), title=escape(title))
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table, width=width)
        console.print(escape(note), width=width, style="dim")


def print_evaluation(console: Console, evaluation: suite.Evaluation) -> None:
    """The tables of every answer, and a line for each question without one and for songs that were passed over."""
    for name, answer in evaluation.answers.items():
        print_answer_tables(console, answer.tables)
        if reason := answer.figures.get(suite.CANNOT_TELL):
            console.out(f"{name} cannot tell: {reason}", highlight=False)
    if skipped := evaluation.protocol["skipped"]:
        console.out(f"passed over: {skipped} of {evaluation.protocol['songs']} songs, too short or without a finite sound")


def print_catalog(console: Console, catalog: Catalog) -> None:
    """What is in a catalog, and why songs were skipped or warned of: the first of each, the rest are in `catalog.json`."""
    songs = [song for split in SPLITS for song in catalog.songs(split)]
    minutes, seconds = divmod(round(sum(song["samples"] for song in songs) / catalog.sample_rate), 60)
    length = f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"  # in hours, however many: catalogs are compared by them
    held_out = len(catalog.songs(HELD_OUT))
    shares = {
        "with lyrics": sum(song["lyrics"] > 0 for song in songs),
        "with word times": sum(song["words"] > 0 for song in songs),
        "held out": held_out,
    }
    rows = {
        "songs": f"{len(songs)}, {length} in {sum(len(catalog.shards(split)) for split in SPLITS)} shards",
        "sound": f"{catalog.sample_rate} Hz, {'mono' if catalog.channels == 1 else 'stereo'}",
        "artists": str(len(catalog.artists)),
        "genres": f"{len(catalog.genres)}: {', '.join(catalog.genres[:10])}",
        **{name: f"{part} ({part / len(songs):.0%})" for name, part in shares.items()},
        "warnings": str(sum(len(song["warnings"]) for song in songs)),
        "skipped": str(len(catalog.skipped)),
        "passed over": in_words(catalog.passed_over) or "nothing",
    }
    rows |= {} if held_out else {"held out": "none: every score will be of training songs"}
    table = Table(title=escape(one_line(str(catalog.folder))), show_header=False)
    for name, value in rows.items():
        table.add_row(name, escape(one_line(value)))
    console.print(table)
    skipped = [f"skipped {skip['path']}: {skip['reason']}" for skip in catalog.skipped]
    warnings = [f"warning {song['path']}: {warning}" for song in songs for warning in song["warnings"]]
    for lines in (catalog.notes, skipped, warnings):
        for line in lines[:REASONS_SHOWN]:
            console.out(one_line(line), highlight=False)
        if (more := len(lines) - REASONS_SHOWN) > 0:
            console.out(f"and {more} more, see {catalog.folder / CATALOG_FILE}")
