"""TensorFlow checkpoints with numpy alone.

`PREFIX.index` is a table in LevelDB's format (leveldb/doc/table_format.md): sorted keys in blocks, each block with its
CRC-32C, and a footer that finds the block of blocks. The value of a tensor's name is a BundleEntryProto, that of the
empty name a BundleHeaderProto (tensorflow/core/protobuf/tensor_bundle.proto, in the wire format of protocol buffers).
`PREFIX.data-00000-of-00001` holds the tensors' bytes. Their sizes are checked; their checksums are not, because Python
would take longer over them than over a song.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from jukebox_pl.errors import UserError

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
FOOTER_BYTES = 48
POLYNOMIAL = 0x82F63B78  # of CRC-32C, its bits reversed
VARINT, BYTES, FIXED32 = 0, 2, 5  # kinds of fields
SHARDS, ENDIANNESS = 1, 2  # fields of a header
DTYPE, SHAPE, OFFSET, SIZE, SLICES = 1, 2, 4, 5, 7  # fields of an entry
DIMENSIONS, LENGTH = 2, 1  # fields of a shape, of a dimension
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 3: np.dtype("<i4"), 9: np.dtype("<i8")}

Fields = dict[int, list[Any]]


def read_checkpoint(prefix: str | Path) -> dict[str, np.ndarray]:
    """The tensors of `prefix`.index and `prefix`.data-00000-of-00001 by name. Raises UserError when they are damaged."""
    index, data = Path(f"{prefix}.index"), Path(f"{prefix}.data-00000-of-00001")
    try:
        table = dict(read_table(index.read_bytes()))
        header = _fields(table.pop(b""))
        if header[SHARDS] != [1] or header[ENDIANNESS] not in ([], [0]):
            raise ValueError("it has several shards, or is of a big-endian machine")
        content = np.memmap(data, np.uint8, "r")
        return {name.decode(): _tensor(_fields(entry), content) for name, entry in table.items()}
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, struct.error) as error:
        raise UserError(f"{index} and {data.name} are not a whole checkpoint ({error}): fetch both again") from None


def read_table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a LevelDB table. Raises ValueError or IndexError when it is damaged."""
    footer = table[-FOOTER_BYTES:]
    if not footer.endswith(MAGIC):
        raise ValueError("the index is cut short, or another kind of file")
    (_, _, offset, size), _ = _varints(footer, 0, 4)
    for _, handle in _entries(_block(table, offset, size)):
        (offset, size), _ = _varints(handle, 0, 2)
        yield from _entries(_block(table, offset, size))


def _block(table: bytes, offset: int, size: int) -> bytes:
    """The entries of a block, which a byte for its compression and its checksum follow."""
    end = offset + size
    compression, checksum = struct.unpack("<BI", table[end : end + 5])
    if checksum != masked_crc32c(table[offset : end + 1]):
        raise ValueError("a block of the index has another checksum")
    if compression:
        raise ValueError("the index is compressed")
    (restarts,) = struct.unpack("<I", table[end - 4 : end])
    return table[offset : end - 4 * (restarts + 1)]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; a key repeats the first `shared` bytes of the one before."""
    key, at = b"", 0
    while at < len(block):
        (shared, own, length), at = _varints(block, at, 3)
        key, at = key[:shared] + block[at : at + own], at + own
        yield key, block[at : at + length]
        at += length


def _varints(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    """`count` numbers from byte `at`, seven bits a byte and the lowest first, and where they end."""
    values = []
    for _ in range(count):
        value = shift = 0
        more = True
        while more:
            value |= (data[at] & 0x7F) << shift
            more, at, shift = data[at] > 0x7F, at + 1, shift + 7
        values.append(value)
    return values, at


def _fields(message: bytes) -> Fields:
    """The fields of a protocol buffer by number."""
    fields: Fields = defaultdict(list)
    at = 0
    while at < len(message):
        (tag,), at = _varints(message, at, 1)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            (value,), at = _varints(message, at, 1)
            fields[number].append(value)
            continue
        if kind not in (BYTES, FIXED32):
            raise ValueError(f"a field of kind {kind}")
        (length,), at = _varints(message, at, 1) if kind == BYTES else ([4], at)
        fields[number].append(message[at : at + length])
        at += length
    return fields


def _tensor(entry: Fields, content: np.ndarray) -> np.ndarray:
    """The tensor of an entry: the numbers that protocol buffers leave out are zeros."""
    shape = [_number(_fields(dimension), LENGTH) for shape in entry[SHAPE] for dimension in _fields(shape)[DIMENSIONS]]
    dtype = DTYPES.get(_number(entry, DTYPE))
    if dtype is None or entry[SLICES]:
        raise ValueError(f"a tensor of type {_number(entry, DTYPE)}, or in slices")
    offset, size = _number(entry, OFFSET), _number(entry, SIZE)
    raw = content[offset : offset + size]
    if not len(raw) == size == prod(shape) * dtype.itemsize:
        raise ValueError(f"a tensor of shape {shape} has {len(raw)} of its {size} bytes")
    return np.array(raw).view(dtype).reshape(shape)


def _number(fields: Fields, number: int) -> int:
    return fields[number][0] if fields[number] else 0


def masked_crc32c(data: bytes) -> int:
    """The CRC-32C of `data` as LevelDB stores it: rotated and moved, since checksums of checksums are weak."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ POLYNOMIAL * (crc & 1)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
