"""`python -m jukebox_pl.prepare catalog=SONGS out=SHARDS`: from a folder or table of songs to shards to train on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from jukebox_pl.catalog.prepare import Progress, prepare
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import CATALOG_FILE, HELD_OUT, SPLITS, Catalog
from jukebox_pl.cli import run
from jukebox_pl.errors import UserError

SECONDS_BETWEEN_LINES = 5.0
REASONS_SHOWN = 20


def main(config: DictConfig) -> None:
    console = Console(highlight=False)
    settings = to_settings(config)
    was_complete = (settings.out / CATALOG_FILE).is_file()
    with showing_progress(console) as show:
        catalog = prepare(settings, show)
    if was_complete:
        console.out(f"{settings.out} is complete, made from the same songs with the same settings: nothing to do")
    console.print(summary(catalog))
    for line in remarks(catalog):
        console.out(line)


def to_settings(config: DictConfig) -> PrepareSettings:
    """Raises UserError on a missing value, an unknown name or a value of the wrong kind."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(PrepareSettings), config)
        return PrepareSettings(**{str(name): value for name, value in merged.items()})
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key}=... is missing, as in `catalog=SONGS out=SHARDS`") from error
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {str(error.msg).splitlines()[0]}") from error


@contextmanager
def showing_progress(console: Console) -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, elsewhere a plain line every few seconds."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    columns = (
        TextColumn("songs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda now: bar.update(task, completed=now.done, total=now.total, description=escape(now.path))


class PlainProgress:
    """Prints how far the songs are, at most every few seconds."""

    def __init__(self, console: Console):
        self.console = console
        self.start: tuple[float, int] | None = None
        self.printed = time.monotonic()

    def __call__(self, now: Progress) -> None:
        clock = time.monotonic()
        started, already = self.start = self.start or (clock, now.done)
        if clock - self.printed < SECONDS_BETWEEN_LINES or now.done == already:
            return
        self.printed = clock
        left = (clock - started) / (now.done - already) * (now.total - now.done)
        self.console.print(f"{now.done} of {now.total} songs, about {clock_time(left)} left")


def clock_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


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


if __name__ == "__main__":
    run(main, "prepare")
