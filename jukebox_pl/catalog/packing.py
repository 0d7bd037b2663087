"""Finished songs to the shards and the `catalog.json` of a catalog."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from jukebox_pl.catalog.plan import plan
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import SPLITS, Catalog, Skipped, SongEntry, Split, shard_file, write_shard
from jukebox_pl.catalog.work import WORK_FOLDER, Job, digest, store
from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import frequent
from jukebox_pl.types import Song


class Usable(NamedTuple):
    """A finished job that has a song, and the song's entry in `catalog.json`."""

    job: Job
    entry: SongEntry


class Sorted(NamedTuple):
    """The usable songs by id with the vocabulary of their lyrics, and the others with their reasons."""

    usable: dict[str, Usable]
    characters: Characters
    skipped: list[Skipped]


def sort_out(jobs: list[Job], refused: list[Skipped], characters: Characters) -> Sorted:
    """`characters` says how lyrics are spelt. Raises UserError when no song is usable."""
    usable: dict[str, Usable] = {}
    skipped = list(refused)
    for job in jobs:
        song, reason, warnings, _ = job.outcome()
        if song is None:
            skipped.append({"path": job.source.path, "reason": reason})
        else:
            usable[song.id] = Usable(job, to_entry(job.source.path, song, warnings))
            characters = characters.including(song.lyrics)
    if not usable:
        reasons = [f"{skip['path']}: {skip['reason']}" for skip in skipped]
        raise UserError(f"none of {len(reasons)} songs can be used: {shorten(reasons)}")
    return Sorted(usable, characters, skipped)


def pack(jobs: list[Job], settings: PrepareSettings, found: Sorted, on_shard: Callable[[str, int], None]) -> Catalog:
    """Writes the shards, calls `on_shard(file, songs)` after each, and describes them in a catalog, which is yet unsaved."""
    usable, characters, skipped = found
    packer = Packer(settings.out, usable, on_shard)
    planned = plan_usable(jobs, usable, settings)
    splits = {split: packer.write_split(split, planned[split]) for split in SPLITS}
    remove_strays(settings.out, splits)
    entries, known = [song.entry for song in usable.values()], (settings.min_songs, settings.max_names)
    return Catalog(
        folder=settings.out,
        sample_rate=settings.sample_rate,
        channels=settings.channels,
        splits=splits,
        artists=frequent((entry["artist"] for entry in entries), *known),
        genres=frequent((genre for entry in entries for genre in entry["genres"]), *known),
        characters=characters.to_config(),
        max_duration=max(entry["samples"] for entry in entries),
        skipped=skipped,
    )


def to_entry(path: str, song: Song, warnings: tuple[str, ...]) -> SongEntry:
    entry: SongEntry = {
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
    return entry | {"aligner": song.aligner} if song.aligner else entry


def plan_usable(jobs: list[Job], usable: dict[str, Usable], settings: PrepareSettings) -> dict[str, list[list[str]]]:
    """A skipped song is missing from its shard and moves no other, unless a whole split would be missing."""
    planned = plan([job.source for job in jobs], settings.held_out, settings.songs_per_shard)
    if any(shards and not usable.keys() & set(chain(*shards)) for shards in planned.values()):
        planned = plan([song.job.source for song in usable.values()], settings.held_out, settings.songs_per_shard)
    return planned


class Packer:
    """Writes shards one by one. A receipt beside the finished songs tells an interrupted run which are whole."""

    def __init__(self, out: Path, usable: dict[str, Usable], on_shard: Callable[[str, int], None]):
        self.out, self.usable, self.on_shard = out, usable, on_shard

    def write_split(self, split: str, shards: list[list[str]]) -> Split:
        written: Split = {"shards": [], "songs": []}
        for index, ids in enumerate(shards):
            songs = [self.usable[id] for id in ids if id in self.usable]
            if songs:
                file = shard_file(split, index)
                self.write(file, [song.job for song in songs])
                written["shards"].append({"file": file, "songs": len(songs)})
                written["songs"] += [song.entry for song in songs]
        return written

    def write(self, file: str, jobs: list[Job]) -> None:
        receipt = self.out / WORK_FOLDER / f"{file}.receipt"
        content = digest([job.content for job in jobs]).encode()
        if not (receipt.is_file() and receipt.read_bytes() == content and (self.out / file).is_file()):
            receipt.unlink(missing_ok=True)  # before the shard becomes another than it tells of
            write_shard(self.out / file, (job.sample() for job in jobs))
            store(receipt, content)
        self.on_shard(file, len(jobs))


def remove_strays(out: Path, splits: dict[str, Split]) -> None:
    """Removes half-written files, and the shards of an interrupted run that had other settings."""
    listed = {out / shard["file"] for split in splits.values() for shard in split["shards"]}
    for path in (*out.glob(".*.part"), *(path for split in SPLITS for path in out.glob(f"{split}/*.tar*"))):
        if path not in listed:
            path.unlink()


def shorten(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
