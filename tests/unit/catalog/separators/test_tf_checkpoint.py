"""A checkpoint reads as it was written, and never as something else."""

import numpy as np
import pytest

from jukebox_pl.catalog.separators.tf_checkpoint import masked_crc32c, read_checkpoint
from jukebox_pl.errors import UserError

TENSORS = {f"layer_{i}/kernel": np.arange(i * 6, dtype=np.float32).reshape(i, 2, 3) for i in range(100)}
TENSORS["global_step"] = np.array(2**40, np.int64)


@pytest.fixture
def prefix(tmp_path, write_checkpoint):
    write_checkpoint(tmp_path / "model", TENSORS)
    return tmp_path / "model"


def test_what_is_written_is_read(prefix):
    found = read_checkpoint(prefix)
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor, strict=True)


def test_checksums_are_those_of_the_standard():
    """RFC 3720, B.4: 32 zeros have the CRC-32C 0x8A9136AA; LevelDB rotates it by 15 bits and adds a constant."""
    assert masked_crc32c(bytes(32)) == ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("place", [0, 100, 1500, -60])
def test_a_changed_byte_of_the_index_is_found(prefix, place):
    index = prefix.with_name("model.index")
    content = bytearray(index.read_bytes())
    content[place] ^= 1
    index.write_bytes(content)
    with pytest.raises(UserError, match=r"not a whole checkpoint \(a block of the index has another checksum\)"):
        read_checkpoint(prefix)


@pytest.mark.parametrize("name", ["model.index", "model.data-00000-of-00001"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_cut_short_is_found(prefix, name, share):
    path = prefix.with_name(name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match="not a whole checkpoint"):
        read_checkpoint(prefix)


@pytest.mark.parametrize("name", ["model.index", "model.data-00000-of-00001"])
def test_a_missing_file_is_named(prefix, name):
    prefix.with_name(name).unlink()
    with pytest.raises(UserError, match=rf"{name} cannot be read: No such file"):
        read_checkpoint(prefix)


def test_a_tensor_of_another_kind_is_refused(tmp_path, write_checkpoint, monkeypatch):
    monkeypatch.setitem(write_checkpoint.__globals__["TYPES"], "float32", 14)  # bfloat16
    write_checkpoint(tmp_path / "model", {"a": np.zeros(3, np.float32)})
    with pytest.raises(UserError, match="a tensor of type 14"):
        read_checkpoint(tmp_path / "model")
