"""Files that are whole at any moment, and JSON in them."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from jukebox_pl.errors import UserError


def write_atomic(path: str | Path, data: bytes) -> None:
    """Writes beside, syncs, renames: a reader sees the old file or the whole new one, never a part.

    Raises OSError naming `path`, with nothing left beside it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        error.filename = str(path)
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


def read_regular(path: str | Path, most: int) -> bytes:
    """The bytes of a file. Raises UserError for what is none (a pipe, a device), cannot be read, or has more than `most`."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is no regular file")
        if status.st_size > most:
            raise UserError(f"{path} has {status.st_size:,} bytes, expected at most {most:,}")
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def write_json(path: Path, record: Any) -> None:
    write_atomic(path, json.dumps(record, indent=1, ensure_ascii=False).encode())


def read_json(path: Path, what: str) -> Any:
    """Raises UserError when the file is missing or not JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path.parent} does not hold {what}: there is no {path.name}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error}); delete it and write it again") from None
