"""Prepared catalogs on disk: `catalog.json` and WebDataset shards of audio or codes. Only this module reads or writes them.

OUT/catalog.json         splits, vocabularies, what was skipped; written last, so where it is, the catalog is whole
OUT/train/000000.tar     per song `<id>.json` and `<id>.flac`, or `<id>.codes.npz` (level_0, level_1, ... as uint16)
OUT/held_out/000000.tar
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from jukebox_pl.catalog.records import HELD_OUT, SPLITS, TRAIN, CatalogRecord, CodesInfo, SongEntry, Split
from jukebox_pl.catalog.tar import BrokenTarError, read_members
from jukebox_pl.catalog.urls import Place, Url, to_place
from jukebox_pl.errors import UserError
from jukebox_pl.text.labels import characters_from
from jukebox_pl.types import Song
from jukebox_pl.utils.codes import from_npz, to_npz
from jukebox_pl.utils.files import open_regular, read_bytes, write_atomic
from jukebox_pl.utils.records import from_json, to_record, without_collections

__all__ = [
    "HELD_OUT",
    "SPLITS",
    "TRAIN",
    "Catalog",
    "CodesInfo",
    "ShardSample",
    "SongEntry",
    "Split",
    "read_shard",
    "write_shard",
]

os.environ["WDS_SECURE"] = "1"  # webdataset reads it on import: no pickles, no `pipe:` commands

SCHEMA = 1
CATALOG_FILE = "catalog.json"
MOST_BYTES = 2**30  # of `catalog.json`: three million songs
MOST_BYTES_OF = {"json": 2**26, "flac": 2**32, "codes.npz": 2**30}  # the members of a song
# The same bytes whoever writes them, and when.
SAME_HEADER_EVERYWHERE = {"mtime": 0, "user": "jukebox_pl", "group": "jukebox_pl", "mode": 0o644}


class ShardSample(NamedTuple):
    """One song of a shard: the bytes of its FLAC file, or its codes [T_l] per level, bottom first, as uint16.

    `shard` is where it was read, for whoever finds it damaged later.
    """

    song: Song
    audio: bytes | None = None
    codes: tuple[np.ndarray, ...] | None = None
    shard: Place | None = None

    def sound(self, frames: int = -1) -> np.ndarray:
        """Audio [C, T], the first `frames` samples or all. Raises UserError where the FLAC file is not whole."""
        try:
            with soundfile.SoundFile(io.BytesIO(self.audio or b"")) as file:  # its header is read before there is room made
                found = file.format, file.samplerate, file.frames
                if found != (expected := ("FLAC", self.song.sample_rate, self.song.duration)):
                    raise ValueError(f"{found} found, expected {expected}")
                sound = file.read(frames, dtype="float32", always_2d=True)
            if len(sound) != (expected_frames := file.frames if frames < 0 else min(frames, file.frames)):
                raise ValueError(f"{len(sound)} samples found, expected {expected_frames}")
        except (ValueError, soundfile.LibsndfileError) as error:
            raise _broken(self.shard, f"the sound of {self.song.id}", str(error)) from None
        return np.ascontiguousarray(sound.T)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the disk refuses (full, read-only, no permission) into a UserError naming `path`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; make room or choose another folder, and run it again"
        ) from error


def store(path: Path, data: bytes) -> None:
    """A file that is there whole or not at all. Raises UserError where the disk refuses it."""
    with writing(path):
        write_atomic(path, data)


@dataclass(frozen=True)
class Catalog(CatalogRecord):
    """The contents of `folder`."""

    folder: Place = field(kw_only=True)

    @classmethod
    def load(cls, folder: str | Place) -> Catalog:
        """From a folder or a URL. Raises UserError when it holds no catalog, one of another schema, a corrupt or an
        incomplete one; whether the shards are there is only seen in a folder.
        """
        folder = to_place(folder)
        with without_collections():
            record = _read_record(folder / CATALOG_FILE)
        catalog = cls(**vars(record), folder=folder)
        for path in (path for split in SPLITS for path in catalog.shards(split)):
            if isinstance(path, Path) and not path.is_file():
                raise UserError(
                    f"{path} is missing, {folder} is incomplete: put it back, or delete {folder} and make it again"
                )
        return catalog

    def save(self) -> None:
        """Raises ValueError when the catalog is that of a URL, which is only read."""
        if isinstance(self.folder, Url):
            raise ValueError(f"{self.folder} is a URL")
        record = {"schema": SCHEMA} | {part.name: getattr(self, part.name) for part in fields(CatalogRecord)}
        store(self.folder / CATALOG_FILE, _to_json(record))

    def shards(self, split: str) -> list[Place]:
        return [self.folder / shard["file"] for shard in self.splits[split]["shards"]]

    def songs(self, split: str) -> list[SongEntry]:
        """The songs of a split in the order of its shards."""
        return self.splits[split]["songs"]

    def shard_of(self, split: str) -> dict[str, Place]:
        """The shard that holds each song of a split, by the song's id; no shard is opened for it."""
        songs, shards = iter(self.songs(split)), zip(self.shards(split), self.splits[split]["shards"], strict=True)
        return {song["id"]: path for path, shard in shards for song in islice(songs, shard["songs"])}

    def samples(self, shard_of: Mapping[str, Place], ids: Iterable[str]) -> Iterator[ShardSample]:
        """The songs `ids`, one shard after the other in the order in which they are first named; others are not opened."""
        wanted = list(ids)
        for shard in dict.fromkeys(shard_of[id] for id in wanted):
            yield from self.read(shard, set(wanted))

    def read(self, shard: Place, only: Container[str] | None = None) -> Iterator[ShardSample]:
        """The songs of one of its shards, with `only` those of these ids, as `read_shard` gives them.

        Raises UserError where a song is not what the catalog says of it, and at the end where one did not come.
        """
        promised = {song["id"]: song for song in self.songs_of[shard] if only is None or song["id"] in only}
        for sample in read_shard(shard, only):
            if (entry := promised.pop(sample.song.id, None)) is None:
                raise _broken(shard, sample.song.id, f"{CATALOG_FILE} lists no such song in it")
            try:
                self._require_fit(sample, entry)
            except ValueError as error:
                raise _broken(shard, sample.song.id, f"{error}, as {CATALOG_FILE} says") from None
            yield sample._replace(shard=shard)
        for id, entry in promised.items():
            raise _broken(shard, "its end", f"{len(promised)} songs of it are missing, {id} ({entry['path']}) among them")

    @cached_property
    def songs_of(self) -> dict[Place, list[SongEntry]]:
        """The songs of every shard."""
        found = {}
        for split in SPLITS:
            songs = iter(self.songs(split))
            for path, shard in zip(self.shards(split), self.splits[split]["shards"], strict=True):
                found[path] = list(islice(songs, shard["songs"]))
        return found

    def _require_fit(self, sample: ShardSample, entry: SongEntry) -> None:
        """Raises ValueError with what was found and what was expected."""
        song, codes, info = sample.song, sample.codes, self.codes
        if (song.sample_rate, song.duration) != (expected := (self.sample_rate, entry["samples"])):
            raise ValueError(
                f"{song.duration} samples at {song.sample_rate} Hz found, expected {expected[1]} at {expected[0]}"
            )
        if (codes is None) != (info is None):
            raise ValueError(
                f"{'sound' if codes is None else 'codes'} found, expected {'sound' if info is None else 'codes'}"
            )
        if codes is not None and info is not None:
            lengths = [song.duration // info["hops"][-1] * info["hops"][-1] // hop for hop in info["hops"]]
            if (found := [len(level) for level in codes]) != lengths:
                raise ValueError(f"{found} codes by level found, expected {lengths}")
            if (highest := max(int(level.max(initial=0)) for level in codes)) >= info["bins"]:
                raise ValueError(f"code {highest} found, expected less than {info['bins']}")


def _read_record(path: Place) -> CatalogRecord:
    try:
        data = read_bytes(path, MOST_BYTES) if isinstance(path, Path) else path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        command = f"python -m jukebox_pl.prepare catalog=SONGS out={path.parent}"
        way_out = f"make it with `{command}`"
        raise UserError(f"{path} does not exist, {path.parent} is not a finished catalog: {way_out}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        record = from_json(data, CATALOG_FILE)
        if not isinstance(record, dict) or (schema := record.pop("schema", None)) is None:
            raise ValueError("no object with a schema")
        if schema == SCHEMA:
            found = to_record(record, CatalogRecord, CATALOG_FILE)
            characters_from(found.characters)
            return found
    except (ValueError, TypeError, LookupError) as error:
        raise UserError(f"{path} is corrupt ({error}): delete {path.parent} and make it again") from error
    raise UserError(f"{path} has schema {schema!r:.40}, this version reads {SCHEMA}: delete {path.parent} and make it again")


def _to_json(record: dict[str, Any]) -> bytes:
    """Readable UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes its JSON escape."""
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode(errors="backslashreplace")


def shard_file(split: str, index: int) -> str:
    """The name of a shard, relative to the catalog's folder."""
    return f"{split}/{index:06d}.tar"


def write_shard(path: str | Path, samples: Iterable[ShardSample]) -> None:
    """Writes a shard whose bytes depend on `samples` alone: beside, synced, renamed. Raises UserError on a full disk."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "wb") as file:
                _write_tar(file, samples)
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def _write_tar(file: io.BufferedWriter, samples: Iterable[ShardSample]) -> None:
    from webdataset.writer import TarWriter  # imports torch: processes that only decode songs start without it

    with TarWriter(file, encoder=False, **SAME_HEADER_EVERYWHERE) as tar:
        for song, audio, codes, _ in samples:
            members = {"__key__": song.id, "json": _to_json({"schema": SCHEMA} | song.to_json())}
            if audio is not None:
                members["flac"] = audio
            if codes is not None:
                members["codes.npz"] = to_npz(dict(enumerate(_require_codes(codes))))
            tar.write(members)
    file.flush()


def _most_bytes(name: str) -> int:
    """How large a member of this name may be. Raises ValueError where there is none."""
    id, _, extension = name.partition(".")
    if extension not in MOST_BYTES_OF:
        raise ValueError(f"only {', '.join(MOST_BYTES_OF)} may be in a shard")
    if "/" in id or not id:
        raise ValueError("it is no plain file")
    return MOST_BYTES_OF[extension]


def read_shard(path: str | Place, only: Container[str] | None = None) -> Iterator[ShardSample]:
    """The songs of a shard, in a folder or at a URL, in the order they were written.

    With `only` those of these ids: the bytes of the others are skipped, which in a folder costs nothing.

    Raises UserError, naming the shard and the member, on a truncated tar, a member of an unknown kind (pickles among
    them), one that is there twice, a song without its parts, another schema.
    """
    path, seen = to_place(path), set[str]()

    def wanted(name: str) -> bool:
        if name in seen:
            raise BrokenTarError(name, "it is there twice")
        seen.add(name)
        return only is None or name.partition(".")[0] in only

    try:
        with open_regular(path) if isinstance(path, Path) else path.open() as file:
            members = read_members(file, _most_bytes, wanted)
            for id, parts in groupby(members, key=lambda member: member.name.partition(".")[0]):
                yield _to_sample(id, {member.name.partition(".")[2]: member.data for member in parts})
    except BrokenTarError as error:
        raise _broken(path, error.member, str(error)) from None
    except FileNotFoundError:
        raise UserError(f"{path} is gone: put it back where it was, and the same command goes on") from None
    except OSError as error:
        raise _broken(path, "the tar file", str(error)) from error


def _to_sample(id: str, parts: dict[str, bytes]) -> ShardSample:
    """Raises BrokenTarError naming the song."""
    try:
        return _read_sample(id, parts)
    except (ValueError, KeyError) as error:
        raise BrokenTarError(f"the members of {id}", f"{type(error).__name__}: {error}") from error


def _read_sample(id: str, parts: dict[str, bytes]) -> ShardSample:
    record = from_json(parts["json"], f"{id}.json")
    if (schema := record.pop("schema", None) if isinstance(record, dict) else None) != SCHEMA:
        raise ValueError(f"schema {schema} found, this version reads {SCHEMA}")
    song = to_record(record, Song, f"{id}.json")
    if song.id != id or parts.keys() == {"json"}:
        raise ValueError(f"{sorted(parts)} of song {song.id!r} found, expected its json and its flac or codes.npz")
    if "codes.npz" not in parts:
        return ShardSample(song, parts["flac"])
    codes = from_npz(parts["codes.npz"])
    if missing := set(range(len(codes))) - codes.keys():
        raise ValueError(f"level_{min(missing)} is missing beside the codes of {len(codes)} levels")
    return ShardSample(song, parts.get("flac"), _require_codes([codes[level] for level in sorted(codes)]))


def _require_codes(levels: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Raises ValueError when a level is not uint16 [T]."""
    for level, array in enumerate(levels):
        if array.dtype != np.uint16 or array.ndim != 1:
            raise ValueError(f"codes of level {level} must be uint16 [T], found {array.dtype} {list(array.shape)}")
    return tuple(levels)


def _broken(path: Place | None, member: str, reason: str) -> UserError:
    if path is None:
        return UserError(f"{member} is broken: {reason}")
    return UserError(f"{path} is broken at {member}: {reason}; delete {path.parent.parent} and make it again")
