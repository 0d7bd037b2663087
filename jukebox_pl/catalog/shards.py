"""Prepared catalogs on disk: `catalog.json` and WebDataset shards of audio or codes. Only this module reads or writes them.

OUT/catalog.json         splits, vocabularies, what was skipped; written last, so where it is, the catalog is whole
OUT/train/000000.tar     per song `<id>.json` and `<id>.flac`, or `<id>.codes.npz` (level_0, level_1, ... as uint16)
OUT/held_out/000000.tar
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NotRequired, TypedDict

import numpy as np

from jukebox_pl.catalog.urls import Place, Url, to_place
from jukebox_pl.errors import UserError
from jukebox_pl.text.labels import characters_from
from jukebox_pl.types import Song
from jukebox_pl.utils.codes import from_npz, to_npz
from jukebox_pl.utils.files import write_atomic
from jukebox_pl.utils.records import from_json, to_record

os.environ["WDS_SECURE"] = "1"  # webdataset reads it on import: no pickles, no `pipe:` commands

SCHEMA = 1
CATALOG_FILE = "catalog.json"
TRAIN, HELD_OUT = SPLITS = ("train", "held_out")
EXTENSIONS = ("json", "flac", "codes.npz")
# The same bytes whoever writes them, and when.
SAME_HEADER_EVERYWHERE = {"mtime": 0, "user": "jukebox_pl", "group": "jukebox_pl", "mode": 0o644}
TAR_END = bytes(2 * tarfile.BLOCKSIZE)  # two blocks of zeros, as POSIX has it
TRUNCATED = "truncated, its end is missing"


class SongEntry(TypedDict):
    """One song in `catalog.json`: `samples` per channel, `lyrics` in characters, `words` with times."""

    id: str
    path: str
    samples: int
    title: str
    artist: str
    genres: list[str]
    lyrics: int
    words: int
    warnings: list[str]
    view: NotRequired[str]  # how it was changed, where it is not the song itself
    aligner: NotRequired[str]  # what found the times of its words, where they were not given


class ShardEntry(TypedDict):
    """`file` is relative to the catalog's folder, `songs` counts them."""

    file: str
    songs: int


class Split(TypedDict):
    shards: list[ShardEntry]
    songs: list[SongEntry]


class CodesInfo(TypedDict):
    """What the codes of a code catalog are: `bins` per codebook, `hops` in samples per code, whose they are."""

    bins: int
    hops: list[int]
    fingerprint: str


class Skipped(TypedDict):
    path: str
    reason: str


class PassedOver(TypedDict):
    """Files of a folder that are neither songs nor lie beside one, by kind, and the first of them by name."""

    kind: str
    files: int
    such_as: list[str]


class ShardSample(NamedTuple):
    """One song of a shard: the bytes of its FLAC file, or its codes [T_l] per level, bottom first, as uint16."""

    song: Song
    audio: bytes | None = None
    codes: tuple[np.ndarray, ...] | None = None


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
class Catalog:
    """The contents of `folder`. `max_duration` is in samples per channel; `codes` is None where shards hold audio.

    `prepared` tells the settings and the source files it was made from, for `prepare` to compare; `notes` are what is to
    be said of the source as a whole.
    """

    folder: Place
    sample_rate: int
    channels: int
    splits: dict[str, Split]
    artists: list[str]
    genres: list[str]
    characters: Any  # the config of a vocabulary, for `labels.characters_from`
    max_duration: int
    codes: CodesInfo | None = None
    skipped: list[Skipped] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    prepared: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: str | Place) -> Catalog:
        """From a folder or a URL. Raises UserError when it holds no catalog, one of another schema, a corrupt or an
        incomplete one; whether the shards are there is only seen in a folder.
        """
        folder = to_place(folder)
        record = _read_record(folder / CATALOG_FILE)
        try:
            catalog = cls(folder, **record)
            characters_from(catalog.characters)
            for split in SPLITS:  # it may come from anywhere: its shards lie in its folder
                for shard in catalog.splits[split]["shards"]:
                    if not re.fullmatch(rf"{split}/[\w-]+\.tar", shard["file"]):
                        raise ValueError(f"{shard['file']!r} is no shard of {split}")
        except (TypeError, KeyError, ValueError) as error:
            raise _corrupt(folder / CATALOG_FILE, error) from error
        for path in (path for split in SPLITS for path in catalog.shards(split)):
            if isinstance(path, Path) and not path.is_file():
                raise UserError(f"{path} is missing, {folder} is incomplete: delete {folder} and make it again")
        return catalog

    def save(self) -> None:
        """Raises ValueError when the catalog is that of a URL, which is only read."""
        if isinstance(self.folder, Url):
            raise ValueError(f"{self.folder} is a URL")
        record = {"schema": SCHEMA} | vars(self)
        del record["folder"]
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


def _read_record(path: Place) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        command = f"python -m jukebox_pl.prepare catalog=SONGS out={path.parent}"
        way_out = f"make it with `{command}`"
        raise UserError(f"{path} does not exist, {path.parent} is not a finished catalog: {way_out}") from None
    try:
        record = json.loads(text)
        schema = record.pop("schema")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise _corrupt(path, error) from error
    if schema != SCHEMA:
        raise UserError(f"{path} has schema {schema}, this version reads {SCHEMA}: delete {path.parent} and make it again")
    return record


def _corrupt(path: Place, error: Exception) -> UserError:
    return UserError(f"{path} is corrupt ({type(error).__name__}: {error}): delete {path.parent} and make it again")


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
        for song, audio, codes in samples:
            members = {"__key__": song.id, "json": _to_json({"schema": SCHEMA} | song.to_json())}
            if audio is not None:
                members["flac"] = audio
            if codes is not None:
                members["codes.npz"] = to_npz(dict(enumerate(_require_codes(codes))))
            tar.write(members)
    file.flush()


class _Member(NamedTuple):
    id: str
    extension: str
    data: bytes


def read_shard(path: str | Place, only: Container[str] | None = None) -> Iterator[ShardSample]:
    """The songs of a shard, in a folder or at a URL, in the order they were written.

    With `only` those of these ids: the bytes of the others are skipped, which in a folder costs nothing.

    Raises UserError, naming the shard and the member, on a truncated tar, a member of an unknown kind (pickles among
    them), one that is there twice, a song without its parts, another schema.
    """
    path = to_place(path)
    for id, members in groupby(_read_members(path, only), key=lambda member: member.id):
        parts = {member.extension: member.data for member in members}
        try:
            sample = _to_sample(id, parts)
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise _broken(path, f"the members of {id}", f"{type(error).__name__}: {error}") from error
        yield sample


def _read_members(path: Place, only: Container[str] | None) -> Iterator[_Member]:
    seen = set()
    try:
        with path.open("rb") as file, _whole_tar(file) as tar:
            for member in tar:
                id, _, extension = member.name.partition(".")
                if extension not in EXTENSIONS:
                    raise _broken(path, member.name, f"only {', '.join(EXTENSIONS)} may be in a shard")
                if "/" in id or not member.isreg() or member.issparse():
                    raise _broken(path, member.name, "it is no plain file")
                if member.name in seen:
                    raise _broken(path, member.name, "it is there twice")
                seen.add(member.name)
                if only is not None and id not in only:
                    continue
                yield _Member(id, extension, tar.extractfile(member).read())  # type: ignore[union-attr]
    except (OSError, tarfile.TarError) as error:
        raise _broken(path, "the tar file", str(error)) from error


@contextmanager
def _whole_tar(file: BinaryIO) -> Iterator[tarfile.TarFile]:
    """tarfile takes a tar cut between two members for a whole one; a whole one ends in TAR_END."""
    if file.seekable():
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - len(TAR_END), 0))
        if file.read() != TAR_END:
            raise tarfile.ReadError(TRUNCATED)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            yield tar
    else:
        tail: Any = _Tail(file)
        with tarfile.open(fileobj=tail, mode="r|") as tar:
            yield tar
        while tail.read(tarfile.RECORDSIZE):
            pass
        if tail.end != TAR_END:
            raise tarfile.ReadError(TRUNCATED)


class _Tail:
    """A stream that remembers its end."""

    def __init__(self, file: BinaryIO):
        self.file, self.end = file, b""

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.end = (self.end + data[-len(TAR_END) :])[-len(TAR_END) :]
        return data


def _to_sample(id: str, parts: dict[str, bytes]) -> ShardSample:
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


def _broken(path: Place, member: str, reason: str) -> UserError:
    return UserError(f"{path} is broken at {member}: {reason}; delete {path.parent.parent} and make it again")
