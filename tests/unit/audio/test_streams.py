"""Sound comes in blocks that are the whole, from regular files alone."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_pl import audio
from jukebox_pl.audio.streams import cut, regroup
from jukebox_pl.errors import UserError

SOUND = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 1000)).astype(np.float32)


def blocks(*sizes):
    place = 0
    for size in sizes:
        yield SOUND[:, place : place + size]
        place += size


@pytest.mark.parametrize("sizes", [(1000,), (0, 1, 999), (300, 300, 400), (1,) * 1000])
@pytest.mark.parametrize("size", [1, 64, 250, 2000])
def test_regrouped_blocks_are_the_same_sound(sizes, size):
    made = list(regroup(blocks(*sizes), size))
    np.testing.assert_array_equal(np.concatenate(made, axis=1), SOUND)
    assert {block.shape[1] for block in made[:-1]} <= {size}


@pytest.mark.parametrize(("start", "length"), [(0, 10), (0, 5000), (299, 2), (300, 300), (950, 100), (2000, 10)])
def test_a_part_is_a_slice_and_what_follows_is_not_read(start, length):
    asked = []
    watched = (asked.append(block.shape[1]) or block for block in blocks(*(100,) * 10))
    part = np.concatenate([SOUND[:, :0], *cut(watched, start, length)], axis=1)
    np.testing.assert_array_equal(part, SOUND[:, start : start + length])
    assert sum(asked) <= start + length + 100


def test_a_file_is_decoded_whole(tmp_path):
    soundfile.write(tmp_path / "a", SOUND.T, 8000, format="WAV", subtype="FLOAT")
    sound, rate = audio.decode(tmp_path / "a")
    assert rate == 8000
    np.testing.assert_array_equal(sound, SOUND)


@pytest.mark.parametrize("format", ["PVF", "AVR", "PAF", "HTK"])
def test_old_formats_without_a_signature_of_ours_are_read_too(tmp_path, format):
    soundfile.write(tmp_path / "a.raw", SOUND[0], 8000, format=format, subtype="PCM_16")
    np.testing.assert_allclose(audio.decode(tmp_path / "a.raw")[0], SOUND[:1], atol=1e-4)


def test_tags_in_another_encoding_do_not_cost_the_song(tmp_path):
    soundfile.write(tmp_path / "a.mp3", SOUND[0].repeat(20), 8000, format="MP3")
    title, artist = "Александр".encode("cp1251"), "Сергей Бабкин".encode("cp1251")
    with open(tmp_path / "a.mp3", "ab") as file:
        file.write(b"TAG" + title.ljust(30, b"\0") + artist.ljust(30, b"\0") + bytes(64) + b"\x11")  # ID3v1
    assert audio.decode(tmp_path / "a.mp3")[0].shape[1] > 15_000


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    paths = {
        tmp_path: "Is a directory",
        tmp_path / "fifo": "no regular file",
        Path("/dev/zero"): "no regular file",
        tmp_path / "none": "No such file",
        Path("a\0b"): "null",
    }
    for path, message in paths.items():
        with pytest.raises(UserError, match=message), audio.open_sound(path):
            pass
