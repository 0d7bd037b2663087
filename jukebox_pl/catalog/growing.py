"""A finished catalog whose songs have changed since: what is new or changed is prepared, and packed in shards of its own.

Shards of songs that rest stay as they are, and every song its split. A shard that loses songs, or holds a changed one, is
written anew under another name, which tells its contents: until `catalog.json` is replaced, the old catalog is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from jukebox_pl.catalog.packing import shorten, to_entry
from jukebox_pl.catalog.records import Skipped
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import (
    CATALOG_FILE,
    HELD_OUT,
    SPLITS,
    Catalog,
    ShardSample,
    SongEntry,
    Split,
    read_shard,
    shard_file,
    write_shard,
)
from jukebox_pl.catalog.steps import Job, OnProgress, Progress, digest
from jukebox_pl.errors import UserError
from jukebox_pl.text.labels import characters_from, fold, frequent

GROWN_FROM = "grown_from"  # in `Catalog.prepared`: the fingerprints of the catalogs that it was before


class Changes(NamedTuple):
    """Paths of songs that differ from those that a catalog was made from."""

    new: list[str]
    changed: list[str]
    gone: list[str]

    def __str__(self) -> str:
        """`new songs: 2 (a.wav, b.wav); gone songs: 1 (c.wav)`"""
        kinds = zip(self._fields, self, strict=True)
        return "; ".join(f"{kind} songs: {len(paths)} ({shorten(paths)})" for kind, paths in kinds if paths)


def changes_since(was: Mapping[str, str], now: Mapping[str, str]) -> Changes:
    """Between the songs of two times, fingerprints by path."""
    new, gone = [path for path in now if path not in was], [path for path in was if path not in now]
    return Changes(new, [path for path in now if was.get(path, now[path]) != now[path]], gone)


def fingerprint(catalog: Catalog) -> str:
    """Names what is in the shards of a catalog."""
    return hashlib.sha256((catalog.folder / CATALOG_FILE).read_bytes()).hexdigest()[:16]


def grow(
    old: Catalog,
    jobs: Sequence[Job],
    unchanged: set[str],
    refused: Sequence[Skipped],
    settings: PrepareSettings,
    on_progress: OnProgress,
) -> Catalog:
    """The catalog, yet unsaved, of the `unchanged` paths of `old` and of `jobs`, which are prepared; writes their shards.

    Names, characters and the longest duration of before stay, so that trained models read it as long as nothing joins
    them. Raises UserError when no song is usable.
    """
    skipped = [*refused, *(skip for skip in old.skipped if skip["path"] in unchanged)]
    usable: dict[str, Job] = {}
    entries: dict[str, SongEntry] = {song["id"]: song for split in SPLITS for song in old.songs(split)}
    characters = characters_from(old.characters)
    for job in jobs:
        song, reason, warnings, _ = job.prepared()
        if song is None:
            skipped.append({"path": job.source.path, "reason": reason})
        else:
            usable[song.id], entries[song.id] = job, to_entry(job.source.path, song, warnings)
            characters = characters.including(song.lyrics)
    on_progress(Progress("packed", 0, len(usable)))
    splits = {split: grow_split(old, split, usable, entries, unchanged, settings) for split in SPLITS}
    on_progress(Progress("packed", len(usable), len(usable)))
    songs = [song for split in splits.values() for song in split["songs"]]
    if not songs:
        reasons = [f"{skip['path']}: {skip['reason']}" for skip in skipped]
        raise UserError(f"none of {len(reasons)} songs can be used: {shorten(reasons)}")
    known = settings.min_songs, settings.max_names
    return replace(
        old,
        splits=splits,
        artists=joined(old.artists, frequent((song["artist"] for song in songs), *known)),
        genres=joined(old.genres, frequent((genre for song in songs for genre in song["genres"]), *known)),
        characters=characters.to_config(),
        skipped=skipped,
    )


def joined(old: Sequence[str], new: Iterable[str]) -> list[str]:
    """Names of before and those that are new, also where only the usual spelling of one has changed."""
    known = {fold(name) for name in old}
    return sorted([*old, *(name for name in new if fold(name) not in known)])


def grow_split(
    old: Catalog,
    split: str,
    usable: Mapping[str, Job],
    entries: Mapping[str, SongEntry],
    unchanged: set[str],
    settings: PrepareSettings,
) -> Split:
    """One split: its shards of before as far as they hold, and after them those of new songs."""
    out, before, songs = settings.out, old.splits[split]["shards"], iter(old.songs(split))
    rest = {song["id"] for song in old.songs(split) if song["path"] in unchanged}
    files: dict[str, list[str]] = {}
    groups: list[tuple[str, list[str]]] = []
    for shard in before:
        ids = [song["id"] for song in islice(songs, shard["songs"])]
        if rest.issuperset(ids):
            files[shard["file"]] = ids
        else:
            groups.append((shard["file"], [id for id in ids if id in rest or id in usable]))
    placed = {song["id"] for name in SPLITS for song in old.songs(name)}
    held_out = held_out_of_new(old, sorted(usable.keys() - placed), unchanged, settings.held_out)
    new = [id for id in sorted(usable.keys() - placed) if (id in held_out) == (split == HELD_OUT)]
    size = settings.songs_per_shard
    groups += [("", new[start : start + size]) for start in range(0, len(new), size)]
    first = 1 + max((int(Path(shard["file"]).stem.partition("-")[0]) for shard in before), default=-1)
    for index, (shard_of_before, ids) in enumerate([group for group in groups if group[1]], start=first):
        made_of = [[usable[id].key, usable[id].aligned_file.name] if id in usable else [shard_of_before, id] for id in ids]
        file = shard_file(split, index).replace(".tar", f"-{digest(made_of)[:8]}.tar")
        if not (out / file).is_file():
            write_shard(out / file, samples(out / shard_of_before, ids, usable))
        files[file] = ids
    return {
        "shards": [{"file": file, "songs": len(ids)} for file, ids in files.items()],
        "songs": [entries[id] for ids in files.values() for id in ids],
    }


def held_out_of_new(old: Catalog, new: Sequence[str], unchanged: set[str], share: float) -> set[str]:
    """Of new songs, the first ones by id as far as the share of held-out songs lacks them."""
    rest = {split: sum(song["path"] in unchanged for song in old.songs(split)) for split in SPLITS}
    songs = sum(rest.values()) + len(new)
    wanted = max(1, round(songs * share)) if share and songs > 1 else 0
    return set(new[: max(0, wanted - rest[HELD_OUT])])


def samples(shard: Path, ids: Sequence[str], usable: Mapping[str, Job]) -> Iterator[ShardSample]:
    """The songs of a new shard: prepared, or as they are in the `shard` of before, which has them in this order."""
    kept = {id for id in ids if id not in usable}
    of_before = read_shard(shard, kept) if kept else iter(())
    for id in ids:
        if id not in usable:
            yield next(of_before)
        elif song := usable[id].prepared().song:
            yield ShardSample(song, audio=usable[id].file("flac").read_bytes())
