"""Finished songs to the shards and the `catalog.json` of a catalog.

Which song goes to which shard of which split is decided by the songs' ids, not by the order in which they are done.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from jukebox_pl.catalog.records import HELD_OUT, SPLITS, TRAIN, Skipped, SongEntry, Split
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import Catalog, ShardSample, shard_file, store, write_shard
from jukebox_pl.catalog.steps import WORK_FOLDER, Job, OnProgress, Progress, digest
from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import frequent
from jukebox_pl.types import Song

Plan = dict[str, list[list[str]]]  # by split, the ids of the songs of each shard


def plan(has_lyrics: Mapping[str, bool], held_out: float, songs_per_shard: int) -> Plan:
    """The ids of each shard of each split. Ids are hashes, so their order is a shuffle that every run repeats."""
    kept = held_out_ids(has_lyrics, held_out)
    planned: Plan = {TRAIN: [], HELD_OUT: []}
    for id in sorted(has_lyrics):
        shards = planned[HELD_OUT if id in kept else TRAIN]
        if not shards or len(shards[-1]) == songs_per_shard:
            shards.append([])
        shards[-1].append(id)
    return planned


def held_out_ids(has_lyrics: Mapping[str, bool], share: float) -> set[str]:
    """The `share` of the songs with the lowest ids, at least one and never all; with and without lyrics in proportion.

    Of two songs with lyrics, one at least is held out and one is not.
    """
    sung = sorted(id for id, sung in has_lyrics.items() if sung)
    others = sorted(id for id, sung in has_lyrics.items() if not sung)
    songs = len(has_lyrics)
    if share == 0 or songs < 2:
        return set()
    wanted = max(1, min(round(songs * share), songs - 1))
    wanted_sung = round(wanted * len(sung) / songs)
    if len(sung) >= 2:
        wanted_sung = max(1, min(wanted_sung, len(sung) - 1))
    return set(sung[:wanted_sung] + others[: wanted - wanted_sung])


def pack(
    jobs: list[Job], refused: list[Skipped], characters: Characters, settings: PrepareSettings, on_progress: OnProgress
) -> Catalog:
    """Writes the shards and describes them in a catalog, which is yet unsaved. Raises UserError when no song is usable.

    `characters` says how lyrics are spelt, `refused` which entries cannot be a song. Songs are read one at a time, so that
    a catalog of any size fits: their records for what is known of them all, then record and sound, shard by shard.
    """
    usable: dict[str, Job] = {}
    entries: dict[str, SongEntry] = {}
    skipped = list(refused)
    for job in jobs:
        song, reason, warnings, _ = job.prepared()
        if song is None:
            skipped.append({"path": job.source.path, "reason": reason})
        else:
            usable[song.id], entries[song.id] = job, to_entry(job.source.path, song, warnings)
            characters = characters.including(song.lyrics)
    if not usable:
        reasons = [f"{skip['path']}: {skip['reason']}" for skip in skipped]
        raise UserError(f"none of {len(reasons)} songs can be used: {shorten(reasons)}")
    splits = write_splits(jobs, usable, entries, settings, on_progress)
    known = settings.min_songs, settings.max_names
    return Catalog(
        folder=settings.out,
        sample_rate=settings.sample_rate,
        channels=settings.channels,
        splits=splits,
        artists=frequent((entry["artist"] for entry in entries.values()), *known),
        genres=frequent((genre for entry in entries.values() for genre in entry["genres"]), *known),
        characters=characters.to_config(),
        max_duration=max(entry["samples"] for entry in entries.values()),
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


def write_splits(
    jobs: list[Job],
    usable: dict[str, Job],
    entries: dict[str, SongEntry],
    settings: PrepareSettings,
    on_progress: OnProgress,
) -> dict[str, Split]:
    """Writes the shards one by one, and removes what an interrupted run with other settings left among them."""
    has_lyrics = {job.source.id: job.source.has_lyrics for job in jobs}  # looks at the disk, once a song
    planned = plan(has_lyrics, settings.held_out, settings.songs_per_shard)
    # A skipped song is missing from its shard and moves no other, unless a whole split would be missing.
    if any(shards and not usable.keys() & set(chain(*shards)) for shards in planned.values()):
        has_lyrics = {id: has_lyrics[id] for id in usable}
        planned = plan(has_lyrics, settings.held_out, settings.songs_per_shard)
    splits: dict[str, Split] = {}
    out, done = settings.out, 0
    on_progress(Progress("packed", done, len(usable)))
    for split in SPLITS:
        present = ([id for id in shard if id in usable] for shard in planned[split])
        files = {shard_file(split, index): ids for index, ids in enumerate(present) if ids}
        for file, ids in files.items():
            write_once(out, file, [usable[id] for id in ids])
            done += len(ids)
            on_progress(Progress("packed", done, len(usable), file))
        splits[split] = {
            "shards": [{"file": file, "songs": len(ids)} for file, ids in files.items()],
            "songs": [entries[id] for id in chain(*files.values())],
        }
    listed = {out / shard["file"] for split in splits.values() for shard in split["shards"]}
    for path in (*out.glob(".*.part"), *(path for split in SPLITS for path in out.glob(f"{split}/*.tar*"))):
        if path not in listed:
            path.unlink()
    return splits


def write_once(out: Path, file: str, jobs: list[Job]) -> None:
    """A receipt beside the finished songs tells an interrupted run which shards are whole."""
    receipt = out / WORK_FOLDER / f"{file}.receipt"
    made_of = [[job.key, job.aligned_file.name if job.aligned_file.is_file() else ""] for job in jobs]
    content = digest(made_of).encode()
    if receipt.is_file() and receipt.read_bytes() == content and (out / file).is_file():
        return
    receipt.unlink(missing_ok=True)  # before the shard becomes another than it tells of
    songs = ((job.prepared().song, job.file("flac").read_bytes()) for job in jobs)
    write_shard(out / file, (ShardSample(song, audio=audio) for song, audio in songs if song))
    store(receipt, content)


def shorten(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
