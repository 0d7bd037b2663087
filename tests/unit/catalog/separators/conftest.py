"""Songs of known parts, and TensorFlow checkpoints written byte by byte, so that no test needs TensorFlow."""

from __future__ import annotations

import os
import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from datamodules.demo import make_song
from jukebox_pl.catalog.separators.install_spleeter import COMMAND
from jukebox_pl.catalog.separators.spleeter_process import PYTHON
from jukebox_pl.catalog.separators.tf_checkpoint import MAGIC, masked_crc32c

MISSING = f"NOT COMPARED WITH SPLEETER ITSELF: set {PYTHON} to an interpreter that has it (`{COMMAND} FOLDER` makes one)"

RATE = 44_100
FILTERS = (2, 3, 4, 5, 6, 7)
TYPES = {"float32": 1, "int64": 9}


@pytest.fixture(scope="session")
def real_python():
    """An interpreter that has spleeter; without one its tests are skipped and say so."""
    return os.environ.get(PYTHON) or pytest.skip(MISSING)


def pytest_terminal_summary(terminalreporter):
    if not os.environ.get(PYTHON):
        terminalreporter.write_line(MISSING, yellow=True)


@pytest.fixture(scope="session")
def sung():
    """Twelve seconds: the mix and its vocals, both float32 [1, T] at 44.1 kHz."""
    song = make_song("Mira Hush", "Waltz", 12.0, RATE, np.random.default_rng(0))
    return song.mix[None], song.vocal[None]


@pytest.fixture(scope="session")
def stereo(sung):
    """The mix with other things left than right, float32 [2, T] at 44.1 kHz."""
    mix, vocals = sung
    return np.concatenate([mix - 0.5 * vocals, 0.5 * mix])


@pytest.fixture(scope="session")
def write_checkpoint():
    """Writes {name: array} as PREFIX.index and PREFIX.data-00000-of-00001; the formats: see tf_checkpoint.py."""
    return _write_checkpoint


@pytest.fixture(scope="session")
def two_stems():
    """The tensors of a small 2stems network, their values a formula."""
    return _two_stems()


@pytest.fixture
def model_path(tmp_path, two_stems):
    """What MODEL_PATH names: a folder with 2stems in it."""
    return _install(tmp_path / "models", two_stems)


@pytest.fixture(scope="session")
def install_model():
    """Makes a folder what MODEL_PATH names, with these tensors."""
    return _install


def _install(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    (folder / "2stems").mkdir(parents=True)
    _write_checkpoint(folder / "2stems" / "model", tensors)
    (folder / "2stems" / "checkpoint").write_text('model_checkpoint_path: "model"\nall_model_checkpoint_paths: "model"\n')
    return folder


def _two_stems() -> dict[str, np.ndarray]:
    """Names as TensorFlow numbers the layers of two U-Nets, one after the other."""
    inner = FILTERS[-2::-1]
    wide = (FILTERS[-1], *(2 * size for size in inner))
    shapes: dict[str, tuple[int, ...]] = {"global_step": ()}
    for net in range(2):
        layers = [("conv2d", 5, *sizes, sizes[1]) for sizes in pairwise((2, *FILTERS))] + [("conv2d", 4, 1, 2, 2)]
        layers += [("conv2d_transpose", 5, out, into, out) for into, out in zip(wide, (*inner, 1), strict=True)]
        counts = {"conv2d": 7 * net, "conv2d_transpose": 6 * net}
        for kind, size, *sizes, bias in layers:
            name = _numbered(kind, counts[kind])
            counts[kind] += 1
            shapes |= {f"{name}/kernel": (size, size, *sizes), f"{name}/bias": (bias,)}
        for i, size in enumerate((*FILTERS, *inner, 1)):
            name = _numbered("batch_normalization", 12 * net + i)
            shapes |= {f"{name}/{part}": (size,) for part in ("gamma", "beta", "moving_mean", "moving_variance")}
    return {name: _values(name, shape, seed) for seed, (name, shape) in enumerate(shapes.items())}


def _numbered(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


def _values(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Waves around what a trained layer might hold, the same on every machine."""
    if name == "global_step":
        return np.array(7, np.int64)
    wave = np.cos(1.7 * np.arange(np.prod(shape)) ** 1.1 + seed).reshape(shape)
    centre = 1.0 if name.endswith(("gamma", "variance")) else 0.0
    width = 1.5 / np.sqrt(np.prod(shape[:-1])) if name.endswith("kernel") else 0.3
    return (centre + width * wave).astype(np.float32)


def _write_checkpoint(prefix: Path, tensors: dict[str, np.ndarray]) -> None:
    data, entries = b"", [(b"", _field(1, 1))]  # a header: one shard
    for name, tensor in sorted(tensors.items()):
        content = tensor.tobytes()
        shape = b"".join(_field(2, _field(1, size)) for size in tensor.shape)
        checksum = bytes([6 << 3 | 5]) + struct.pack("<I", masked_crc32c(content))
        places = _field(4, len(data)) + _field(5, len(content))
        entries.append((name.encode(), _field(1, TYPES[str(tensor.dtype)]) + _field(2, shape) + places + checksum))
        data += content
    prefix.with_name(prefix.name + ".index").write_bytes(_table(entries))
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)


def _table(entries: list[tuple[bytes, bytes]], per_block: int = 40) -> bytes:
    """Blocks of entries, an empty meta index, the block that finds the others by their last keys, a footer."""
    table, handles = b"", []
    for start in range(0, len(entries), per_block):
        part = entries[start : start + per_block]
        table, handle = _append(table, _block(part))
        handles.append((part[-1][0], handle))
    table, meta = _append(table, _block([]))
    table, index = _append(table, _block(handles))
    return table + (meta + index).ljust(40, b"\0") + MAGIC


def _append(table: bytes, block: bytes) -> tuple[bytes, bytes]:
    """The table with one more block, uncompressed, and the handle that finds it."""
    handle = _varint(len(table)) + _varint(len(block))
    return table + block + b"\0" + struct.pack("<I", masked_crc32c(block + b"\0")), handle


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Entries whose keys leave out what they share with the one before, and where that starts anew: at 0 only."""
    block, before = b"", b""
    for key, value in entries:
        shared = next((i for i, (a, b) in enumerate(zip(key, before, strict=False)) if a != b), min(len(key), len(before)))
        block += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        before = key
    return block + struct.pack("<II", 0, 1)


def _field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])
