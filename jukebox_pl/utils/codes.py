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
    arrays: dict[str, Any] = {}
    for level, given in codes.items():
        array = np.asarray(given)
        arrays[f"level_{level}"] = array.astype(np.int32 if (array < 0).any() else np.uint16)
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def from_npz(data: bytes) -> Codes:
    """Raises ValueError, saying what is wrong, unless `data` is what `to_npz` writes."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            named = {name: file[name] for name in file.files}
    except UNREADABLE as error:
        raise ValueError(f"no readable npz of codes: {error}") from None
    codes: Codes = {}
    for name, array in named.items():
        if not (found := NAME.fullmatch(name)):
            raise ValueError(f"no readable npz of codes: an array named {name!r} found, expected level_0, level_1, ...")
        level = int(found[1])
        if array.ndim != 1 or array.dtype not in (np.uint16, np.int32):
            raise ValueError(f"level {level} is {array.dtype} {list(array.shape)}, expected uint16 or int32 [T]")
        codes[level] = array
    return codes


def fingerprint(codes: np.ndarray) -> str:
    """Names the codes [T] of one level."""
    return hashlib.sha256(codes.astype("<i4").tobytes()).hexdigest()[:16]
