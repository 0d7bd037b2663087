"""Codes on disk: an npz with one uint16 array [T] a level, `level_0` the bottom; int32 where some are missing (-1)."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import tokenize
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

Codes = dict[int, np.ndarray]

NAME = re.compile(r"level_(\d)")
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What zipfile and NumPy raise on bytes that are no npz, cut short or damaged.
OF_ZIPS = (OSError, EOFError, LookupError, RuntimeError, zipfile.BadZipFile, struct.error)
OF_ARRAYS = (ValueError, TypeError, SyntaxError, MemoryError, OverflowError, tokenize.TokenError)


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
    """Raises ValueError, saying what is wrong, unless `data` is what `to_npz` writes.

    Nothing in it is compressed, so what an array says of its size is compared with the file before there is any room made.
    """
    codes: Codes = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if not (found := NAME.fullmatch(name)):
                    raise ValueError(f"an array named {name!r} found, expected level_0, level_1, ...")
                if (level := int(found[1])) in codes:
                    raise ValueError(f"{name} is there twice")
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(data):
                    raise ValueError(f"{name} is compressed or damaged, expected what np.savez writes")
                with archive.open(member) as file:
                    codes[level] = _read_array(file, level, member.file_size)
    except (*OF_ZIPS, *OF_ARRAYS) as error:
        raise ValueError(f"no readable npz of codes: {error}") from None
    return codes


def _read_array(file: IO[bytes], level: int, size: int) -> np.ndarray:
    """The array [T] in a file of `size` bytes."""
    shape, _, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded: they are pickles")
    if len(shape) != 1 or dtype not in (np.uint16, np.int32):
        raise ValueError(f"level {level} is {dtype} {list(shape)}, expected uint16 or int32 [T]")
    if shape[0] * dtype.itemsize > size:
        raise ValueError(f"level {level} declares {shape[0]:,} codes, its file has {size:,} bytes")
    content = file.read()  # to its end, where its checksum is compared
    if len(content) != shape[0] * dtype.itemsize:
        raise ValueError(f"level {level} declares {shape[0]:,} codes, {len(content):,} bytes of them found")
    return np.frombuffer(bytearray(content), dtype)


def fingerprint(codes: np.ndarray) -> str:
    """Names the codes [T] of one level."""
    return hashlib.sha256(codes.astype("<i4").tobytes()).hexdigest()[:16]
