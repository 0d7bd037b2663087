"""Reads an offline run of Weights & Biases back: its package writes .wandb files, and has had no reader since 0.31.

A file is a log as of LevelDB: a header of 7 bytes, then blocks of 32 KiB of pieces (crc of 4 bytes, length of 2, kind of 1),
a record in one piece or several; the records are messages of wandb's own protocol.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

HEADER, BLOCK = 7, 2**15
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = HEADER
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if kind == 0:
            return
        yield kind, data[at + 7 : at + 7 + length]
        at += 7 + length


def records(path: Path) -> Iterator[Record]:
    whole = b""
    for kind, piece in pieces(path.read_bytes()):
        whole = piece if kind in (FULL, FIRST) else whole + piece
        if kind in (FULL, LAST):
            yield Record.FromString(whole)


def key_of(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def rows(run_dir: Path) -> list[dict[str, Any]]:
    """What was logged, row by row, in all of the offline files of a run in the order in which they were begun."""
    return [{key_of(item): json.loads(item.value_json) for item in row.item} for row in of_kind(run_dir, "history")]


def of_kind(run_dir: Path, kind: str) -> list[Any]:
    """All records of a kind: run, history, metric, artifact."""
    paths = sorted(run_dir.glob("wandb/offline-run-*/*.wandb"))
    return [getattr(record, kind) for path in paths for record in records(path) if record.WhichOneof("record_type") == kind]
