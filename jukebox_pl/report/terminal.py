"""What `prepare` tells on a terminal: how far it is, what the doctor found, what is in the catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from jukebox_pl.catalog import doctor
from jukebox_pl.catalog.prepare import Progress
from jukebox_pl.catalog.shards import CATALOG_FILE, HELD_OUT, SPLITS, Catalog

SECONDS_BETWEEN_LINES = 5.0
REASONS_SHOWN = 20


@contextmanager
def showing_progress(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Bars on a terminal, elsewhere a plain line every few seconds."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[path]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        yield BarProgress(bar)


class BarProgress:
    """A bar a step."""

    def __init__(self, bar: Bar):
        self.bar = bar
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, now: Progress) -> None:
        if now.step not in self.tasks:
            self.tasks[now.step] = self.bar.add_task(f"songs {now.step}", total=now.total, path="")
        self.bar.update(self.tasks[now.step], completed=now.done, path=escape(now.path))


class PlainProgress:
    """Prints how far a step is, at most every few seconds."""

    def __init__(self, console: Console):
        self.console = console
        self.begun: dict[str, tuple[float, int]] = {}
        self.printed = time.monotonic()

    def __call__(self, now: Progress) -> None:
        clock = time.monotonic()
        started, already = self.begun.setdefault(now.step, (clock, now.done))
        if clock - self.printed < SECONDS_BETWEEN_LINES or now.done == already:
            return
        self.printed = clock
        left = (clock - started) / (now.done - already) * (now.total - now.done)
        self.console.print(f"{now.done} of {now.total} songs {now.step}, about {clock_time(left)} left")


def clock_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def print_tables(console: Console, tables: Iterable[doctor.Table]) -> None:
    for title, columns, rows, more in tables:
        table = Table(title=escape(title), caption=f"and {more} more" if more else None)
        for column in columns:
            table.add_column(escape(column), overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)


def print_catalog(console: Console, catalog: Catalog) -> None:
    console.print(summary(catalog))
    for line in remarks(catalog):
        console.out(line)


def summary(catalog: Catalog) -> Table:
    songs = [song for split in SPLITS for song in catalog.songs(split)]
    length = clock_time(sum(song["samples"] for song in songs) / catalog.sample_rate)
    rows = {
        "songs": f"{len(songs)}, {length} in {sum(len(catalog.shards(split)) for split in SPLITS)} shards",
        "sound": f"{catalog.sample_rate} Hz, {'mono' if catalog.channels == 1 else 'stereo'}",
        "artists": str(len(catalog.artists)),
        "genres": f"{len(catalog.genres)}: {', '.join(catalog.genres[:10])}",
        "with lyrics": share(sum(song["lyrics"] > 0 for song in songs), len(songs)),
        "with word times": share(sum(song["words"] > 0 for song in songs), len(songs)),
        "held out": share(len(catalog.songs(HELD_OUT)), len(songs)),
        "warnings": str(sum(len(song["warnings"]) for song in songs)),
        "skipped": str(len(catalog.skipped)),
    }
    table = Table(title=escape(str(catalog.folder)), show_header=False)
    for name, value in rows.items():
        table.add_row(name, escape(value))
    return table


def share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})"


def remarks(catalog: Catalog) -> list[str]:
    """One line per skipped song and per warning, the first of each; the rest are in `catalog.json`."""
    songs = (song for split in SPLITS for song in catalog.songs(split))
    warnings = [f"warning {song['path']}: {warning}" for song in songs for warning in song["warnings"]]
    skipped = [f"skipped {skip['path']}: {skip['reason']}" for skip in catalog.skipped]
    return [line for lines in (skipped, warnings) for line in first(lines, catalog)]


def first(lines: list[str], catalog: Catalog) -> list[str]:
    more = len(lines) - REASONS_SHOWN
    return lines[:REASONS_SHOWN] + ([f"and {more} more, see {catalog.folder / CATALOG_FILE}"] if more > 0 else [])
