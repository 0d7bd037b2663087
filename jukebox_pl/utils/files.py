"""Files that are whole at any moment, and JSON in them."""

from __future__ import annotations

import json
import os
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
