import numpy as np
import pytest

from jukebox_pl.utils.codes import fingerprint, from_npz, to_npz

CODES = {0: np.arange(8), 2: np.array([65_535, 0])}


def test_codes_are_read_as_written():
    read = from_npz(to_npz(CODES))
    assert {level: array.tolist() for level, array in read.items()} == {0: [*range(8)], 2: [65_535, 0]}
    assert {array.dtype for array in read.values()} == {np.dtype("uint16")}


def test_missing_codes_are_kept_as_such():
    assert from_npz(to_npz({1: np.array([3, -1])}))[1].tolist() == [3, -1]


def test_the_same_codes_are_the_same_bytes_and_have_one_name():
    again = {level: array.astype(np.int32) for level, array in CODES.items()}
    assert to_npz(CODES) == to_npz(again)
    assert fingerprint(CODES[0]) == fingerprint(again[0])
    assert fingerprint(CODES[0]) != fingerprint(CODES[0][::-1])


@pytest.mark.parametrize("length", [0, 10, 100, -1])
def test_a_part_of_a_file_is_no_file(length):
    with pytest.raises(ValueError, match="no readable npz of codes"):
        from_npz(to_npz(CODES)[:length])
