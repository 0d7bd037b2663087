"""Files that are whole at any moment, and JSON in them."""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from jukebox_pl.errors import UserError
from jukebox_pl.utils.records import Record, from_json, to_record

MOST_BYTES = 64 * 2**20


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside to write to, which is synced and renamed at the end: a reader sees the old file or the whole new one.

    Raises OSError naming `path`. Where anything is raised nothing is left beside.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_atomic(path: str | Path, data: bytes) -> None:
    """Writes beside, syncs, renames: a reader sees the old file or the whole new one, never a part.

    Raises OSError naming `path`, with nothing left beside it.
    """
    with replacing(path) as beside, open(beside, "wb") as file:
        file.write(data)


@contextmanager
def new_folder(path: str | Path, setting: str) -> Iterator[Path]:
    """A folder beside to fill, which is renamed at the end: `path` is there whole or not at all.

    Raises UserError, naming the `setting` that gives it, where something is there already or there can be no folder.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists: name another folder, or delete it first")
    beside = path.with_name(f".{path.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        make_folder(beside, setting)
        yield beside
        os.replace(beside, path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def make_folder(path: str | Path, setting: str) -> Path:
    """Raises UserError, naming the `setting` that gives it, where there can be none."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # a null character is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{setting}={path} cannot be made: {reason}; choose another folder") from None
    return Path(path)


def require_writable(path: str | Path, setting: str) -> None:
    """Raises UserError, naming the `setting` that gives it, where no folder can be made or written to; leaves nothing."""
    try:
        there = next(place for place in (Path(path), *Path(path).absolute().parents) if place.exists())
        with tempfile.TemporaryDirectory(dir=there):
            pass
    except (OSError, ValueError) as error:  # a null character is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{setting}={path} cannot be made: {reason}; choose another folder") from None


def write_json(path: Path, record: Any) -> None:
    """A number that is none, as of a training that went astray, is written as null: JSON has no word for it."""
    try:
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(without_nan(record), indent=1, ensure_ascii=False)
    write_atomic(path, text.encode(errors="backslashreplace"))  # half a surrogate pair becomes its escape


def without_nan(record: Any) -> Any:
    """A record with None in the place of every number that is none, for which JSON has no word."""
    if isinstance(record, dict):
        return {key: without_nan(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [without_nan(value) for value in record]
    return None if isinstance(record, float) and not math.isfinite(record) else record


def read_bytes(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a regular file. Raises UserError for anything else and for a larger one, OSError where there is none."""
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > most_bytes:
            raise UserError(f"{path} has {size:,} bytes, at most {most_bytes:,} were expected; it is no file of ours")
        return file.read(size)


def open_regular(path: Path) -> BinaryIO:
    """Opens a file to read. Raises UserError for a folder, a device or a FIFO, which might never end, or never begin."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would wait for its writer
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path} is no regular file; put the file itself there")
    return os.fdopen(descriptor, "rb")


def read_json(path: Path, what: str, most_bytes: int = MOST_BYTES) -> Any:
    """Plain objects of a JSON file. Raises UserError where it is missing, naming `what` it would be, or is not JSON."""
    try:
        data = read_bytes(path, most_bytes)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path.parent} does not hold {what}: there is no {path.name}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return from_json(data, str(path))


def read_record(path: Path, kind: type[Record], what: str, most_bytes: int = MOST_BYTES) -> Record:
    """The record in a JSON file. Raises UserError where the file is missing, or does not hold one."""
    return to_record(read_json(path, what, most_bytes), kind, str(path))
