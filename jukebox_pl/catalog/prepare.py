"""From a folder or table of songs to shards: discover, decode in parallel, pack, describe."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from jukebox_pl.catalog.plan import plan
from jukebox_pl.catalog.pool import run_all
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import CATALOG_FILE, SPLITS, Catalog, Skipped, SongEntry, Split, shard_file, write_shard
from jukebox_pl.catalog.sources import discover
from jukebox_pl.catalog.work import WORK_FOLDER, Job, finish, skip_crashed
from jukebox_pl.errors import UserError
from jukebox_pl.labels import Vocabulary
from jukebox_pl.text import Characters
from jukebox_pl.types import Song


class Progress(NamedTuple):
    """`done` of `total` songs are decoded; `path` is the latest, "" at the start."""

    done: int
    total: int
    path: str = ""


def prepare(settings: PrepareSettings, on_progress: Callable[[Progress], None] | None = None) -> Catalog:
    """Makes the catalog in `settings.out`, or returns it when it is there already.

    A run that was interrupted continues; the shards' bytes depend on songs and settings alone. Raises UserError when
    there is nothing to prepare, when `out` was made otherwise, or when it cannot be written.
    """
    require_usable(settings)
    sources, refused = discover(settings.catalog)
    jobs = [Job.of(source, settings) for source in sources]
    if (settings.out / CATALOG_FILE).is_file():
        catalog = Catalog.load(settings.out)
        require_same(catalog, settings, jobs)
    else:
        decode_all(jobs, settings.workers, on_progress or (lambda progress: None))
        catalog = pack(jobs, settings, refused)
    shutil.rmtree(settings.out / WORK_FOLDER, ignore_errors=True)
    return catalog


def require_usable(settings: PrepareSettings) -> None:
    """Raises UserError when `out` holds something else, or lies among the songs, whose number would then grow."""
    out = settings.out
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out} is a file: give a folder")
    if settings.catalog.is_dir() and out.resolve().is_relative_to(settings.catalog.resolve()):
        raise UserError(f"out={out} lies inside catalog={settings.catalog}: choose a folder elsewhere")
    ours = (out / CATALOG_FILE, out / WORK_FOLDER)
    if out.is_dir() and any(out.iterdir()) and not any(path.exists() for path in ours):
        raise UserError(f"out={out} holds other files: choose a new or empty folder")


def require_same(catalog: Catalog, settings: PrepareSettings, jobs: list[Job]) -> None:
    """Raises UserError with the differences when `catalog` was made with other settings or from other songs."""
    now = describe(settings, jobs)
    was = catalog.prepared or {"settings": {}, "songs": {}}
    changes = [
        f"{name} {was['settings'].get(name)} -> {value}"
        for name, value in now["settings"].items()
        if was["settings"].get(name) != value
    ]
    changes += _song_changes(was["songs"], now["songs"])
    if changes:
        way_out = "choose another out=, or delete it to prepare again"
        raise UserError(f"{settings.out} was prepared otherwise: {'; '.join(changes)}; {way_out}")


def describe(settings: PrepareSettings, jobs: list[Job]) -> dict[str, Any]:
    """What decides the shards: the settings, and every song with its fingerprint."""
    songs = {job.source.path: job.fingerprint for job in jobs}
    return {"settings": settings.of_the_catalog(), "songs": songs}


def _song_changes(was: dict[str, str], now: dict[str, str]) -> list[str]:
    kinds = {
        "new": [path for path in now if path not in was],
        "gone": [path for path in was if path not in now],
        "changed": [path for path in now if path in was and was[path] != now[path]],
    }
    return [f"{kind} songs: {len(paths)} ({shorten(paths)})" for kind, paths in kinds.items() if paths]


def shorten(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def decode_all(jobs: list[Job], workers: int, on_progress: Callable[[Progress], None]) -> None:
    """Finishes every job that an earlier run has not."""
    unfinished = [job for job in jobs if not job.finished]
    done = len(jobs) - len(unfinished)
    on_progress(Progress(done, len(jobs)))
    for job, survived in run_all(finish, unfinished, workers):
        if not survived:
            skip_crashed(job)
        done += 1
        on_progress(Progress(done, len(jobs), job.source.path))


class Usable(NamedTuple):
    """A finished job that has a song, and the song's entry in `catalog.json`."""

    job: Job
    entry: SongEntry


def pack(jobs: list[Job], settings: PrepareSettings, refused: list[Skipped]) -> Catalog:
    """Writes the shards and then `catalog.json` from finished jobs. Raises UserError when no song is usable."""
    usable, skipped = sort_out(jobs)
    skipped = refused + skipped
    if not usable:
        reasons = [f"{skip['path']}: {skip['reason']}" for skip in skipped]
        raise UserError(f"none of {len(reasons)} songs can be used: {shorten(reasons)}")
    splits = write_splits(jobs, usable, settings)
    remove_strays(settings.out, splits)
    entries = [song.entry for song in usable.values()]
    catalog = Catalog(
        folder=settings.out,
        sample_rate=settings.sample_rate,
        channels=settings.channels,
        splits=splits,
        artists=distinct(entry["artist"] for entry in entries),
        genres=distinct(genre for entry in entries for genre in entry["genres"]),
        characters=Characters.from_texts(song.job.song().lyrics for song in usable.values()).characters,
        max_duration=max(entry["samples"] for entry in entries),
        skipped=skipped,
        prepared=describe(settings, jobs),
    )
    catalog.save()
    return catalog


def sort_out(jobs: list[Job]) -> tuple[dict[str, Usable], list[Skipped]]:
    """The usable songs by id, and the others with their reasons."""
    usable: dict[str, Usable] = {}
    skipped: list[Skipped] = []
    for job in jobs:
        song, reason, warnings = job.outcome()
        if song is None:
            skipped.append({"path": job.source.path, "reason": reason})
        else:
            usable[song.id] = Usable(job, to_entry(job.source.path, song, warnings))
    return usable, skipped


def to_entry(path: str, song: Song, warnings: tuple[str, ...]) -> SongEntry:
    return {
        "id": song.id,
        "path": path,
        "samples": song.duration,
        "title": song.title,
        "artist": song.artist,
        "genres": list(song.genres),
        "lyrics": len(song.lyrics),
        "words": len(song.words),
        "warnings": list(warnings),
    }


def write_splits(jobs: list[Job], usable: dict[str, Usable], settings: PrepareSettings) -> dict[str, Split]:
    """A skipped song is missing from its shard and moves no other, unless a whole split would be missing."""
    planned = plan([job.source for job in jobs], settings.held_out, settings.songs_per_shard)
    if any(shards and not usable.keys() & set(chain(*shards)) for shards in planned.values()):
        planned = plan([song.job.source for song in usable.values()], settings.held_out, settings.songs_per_shard)
    return {split: write_split(settings.out, split, planned[split], usable) for split in SPLITS}


def write_split(out: Path, split: str, shards: list[list[str]], usable: dict[str, Usable]) -> Split:
    written: Split = {"shards": [], "songs": []}
    for index, ids in enumerate(shards):
        songs = [usable[id] for id in ids if id in usable]
        if songs:
            file = shard_file(split, index)
            write_shard(out / file, (song.job.sample() for song in songs))
            written["shards"].append({"file": file, "songs": len(songs)})
            written["songs"] += [song.entry for song in songs]
    return written


def remove_strays(out: Path, splits: dict[str, Split]) -> None:
    """Removes half-written files, and the shards of an interrupted run that had other settings."""
    listed = {out / shard["file"] for split in splits.values() for shard in split["shards"]}
    for path in (*out.glob(".*.part"), *(path for split in SPLITS for path in out.glob(f"{split}/*.tar*"))):
        if path not in listed:
            path.unlink()


def distinct(names: Iterable[str]) -> list[str]:
    """Sorted, each once however it is capitalised."""
    return sorted(Vocabulary(sorted(names)).names[1:])
