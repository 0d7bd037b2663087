"""The members of a shard's tar, read from anywhere: plain files of bounded sizes between the first header and the last zero.

`tarfile` takes a tar cut between two members for a whole one, goes round and round where a size is below zero, follows
headers that hold other headers, and reads as much as a header says. A shard has none of that: headers of 512 bytes,
contents in blocks of as many, and two blocks of zeros at the end, as POSIX has it.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

BLOCK = tarfile.BLOCKSIZE
AT_ONCE = 2**20
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
TRUNCATED = "truncated, its end is missing"


class BrokenTarError(ValueError):
    """`member` is where."""

    def __init__(self, member: str, reason: str):
        super().__init__(reason)
        self.member = member


class Member(NamedTuple):
    name: str
    data: bytes


def read_members(file: BinaryIO, most_bytes: Callable[[str], int], wanted: Callable[[str], bool]) -> Iterator[Member]:
    """The members whose names are `wanted`, of a file or of a stream; others are passed over, which in a file costs nothing.

    `most_bytes` says how large a member of a name may be, by a ValueError that there may be none. Raises BrokenTarError on
    anything that `write_shard` does not write.
    """
    size = os.fstat(file.fileno()).st_size if file.seekable() else None
    while (block := _read(file, BLOCK)) != bytes(BLOCK):
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise BrokenTarError("the tar file", f"no header where one should be ({error})") from None
        try:
            most = most_bytes(header.name)
        except ValueError as error:
            raise BrokenTarError(header.name, str(error)) from None
        if header.type not in PLAIN:
            raise BrokenTarError(header.name, "it is no plain file")
        if not 0 <= header.size <= most:
            raise BrokenTarError(header.name, f"{header.size:,} bytes are declared, expected at most {most:,}")
        padded = -(-header.size // BLOCK) * BLOCK
        if size is not None and padded > size - file.tell():
            raise BrokenTarError("the tar file", TRUNCATED)
        if wanted(header.name):
            yield Member(header.name, _read(file, padded)[: header.size])
        elif size is not None:
            file.seek(padded, os.SEEK_CUR)
        else:
            for start in range(0, padded, AT_ONCE):
                _read(file, min(AT_ONCE, padded - start))
    _read(file, BLOCK)
    rest = file.read(AT_ONCE + 1)  # writers fill up a record of some blocks
    if len(rest) > AT_ONCE or rest.count(0) != len(rest):
        raise BrokenTarError("the tar file", "there is something behind its end")


def _read(file: BinaryIO, size: int) -> bytes:
    """No more is asked for than there may be: a stream has not said how long it is."""
    parts = []
    while size:
        parts.append(file.read(min(size, AT_ONCE)))
        if not parts[-1]:
            raise BrokenTarError("the tar file", TRUNCATED)
        size -= len(parts[-1])
    return b"".join(parts)
