"""Files that are whole at any moment, and JSON in them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jukebox_pl.errors import UserError


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
