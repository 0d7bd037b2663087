"""Codes on disk: an npz with one uint16 array [T] a level, `level_0` the bottom; int32 where some are missing (-1)."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

Codes = dict[int, np.ndarray]

NAME = re.compile(r"level_(\d)")
# What np.load raises on bytes that are no npz, cut short or damaged.
UNREADABLE = (ValueError, OSError, EOFError, KeyError, NotImplementedError, MemoryError, zipfile.BadZipFile, zlib.error)


def to_npz(codes: Mapping[int, Any]) -> bytes:
    """The same codes give the same bytes."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {f"level_{level}": narrow(np.asarray(array)) for level, array in codes.items()}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def narrow(codes: np.ndarray) -> np.ndarray:
    return codes.astype(np.int32 if (codes < 0).any() else np.uint16)


def from_npz(data: bytes) -> Codes:
    """Raises ValueError, saying what is wrong, unless `data` is what `to_npz` writes."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {require_level(name): file[name] for name in file.files}
    except UNREADABLE as error:
        raise ValueError(f"no readable npz of codes: {error}") from None
    for level, array in arrays.items():
        if array.ndim != 1 or array.dtype not in (np.uint16, np.int32):
            raise ValueError(f"level {level} is {array.dtype} {list(array.shape)}, expected uint16 or int32 [T]")
    return arrays


def require_level(name: str) -> int:
    if not (found := NAME.fullmatch(name)):
        raise ValueError(f"an array named {name!r} found, expected level_0, level_1, ...")
    return int(found[1])


def fingerprint(codes: np.ndarray) -> str:
    """Names the codes [T] of one level."""
    return hashlib.sha256(codes.astype("<i4").tobytes()).hexdigest()[:16]
