import errno
from contextlib import suppress

import numpy as np
import pytest

from jukebox_pl import audio
from jukebox_pl.utils.files import write_atomic

RATE = 8000


def tone(channels=2, seconds=1.0):
    time = np.arange(int(RATE * seconds)) / RATE
    return np.stack([0.5 * np.sin(2 * np.pi * 440 * (c + 1) * time) for c in range(channels)]).astype(np.float32)


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_what_is_written_is_read(tmp_path, format):
    path = audio.write(tmp_path / f"a.{format}", tone(), RATE)
    read, rate = audio.read(path)
    assert rate == RATE
    np.testing.assert_allclose(read, tone(), atol=1e-4)


def test_a_piece_is_a_slice_of_the_whole():
    data = audio.encode(tone(), RATE)
    piece, _ = audio.read(data, start=1000, frames=500)
    assert np.array_equal(piece, audio.read(data)[0][:, 1000:1500])


def test_minutes_of_vorbis_are_written():
    assert audio.read(audio.encode(np.zeros((2, 44_100 * 90), np.float32), 44_100, "ogg"))[0].shape == (2, 44_100 * 90)


def test_rate_and_channels_change_the_shape_and_keep_the_pitch():
    half = audio.resample(tone(1), RATE, RATE // 2)
    assert half.shape == (1, RATE // 2)
    assert np.abs(np.fft.rfft(half[0])).argmax() == 440
    assert audio.to_channels(tone(2), 1).shape == (1, RATE)
    assert audio.to_channels(tone(1), 2).shape == (2, RATE)


def test_a_downmix_is_the_mean_of_the_channels():
    stereo = tone(2)
    np.testing.assert_array_equal(audio.downmix(stereo), (stereo[0] + stereo[1]) / np.float32(2))
    np.testing.assert_array_equal(audio.downmix(stereo)[None], audio.to_channels(stereo, 1))
    np.testing.assert_array_equal(audio.downmix(stereo[:1]), stereo[0])
    assert audio.downmix(stereo).dtype == np.float32


def test_loud_sound_is_clipped_not_wrapped():
    read, _ = audio.read(audio.encode(np.full((1, 100), 3.0, np.float32), RATE))
    assert read.max() == pytest.approx(1.0, abs=1e-4)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "disk full")))
    with pytest.raises(OSError, match=rf"disk full: '{path}'"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_sound_is_added_to_what_was_written_at_once(tmp_path):
    sound = tone(channels=1)
    audio.write(tmp_path / "whole.wav", sound, RATE)
    audio.write(tmp_path / "grown.wav", sound[:, :0], RATE)
    for start in range(0, sound.shape[1], 1000):
        audio.append(tmp_path / "grown.wav", sound[:, start : start + 1000])
    assert (tmp_path / "grown.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()


@pytest.mark.parametrize(("rate", "target"), [(44_100, 22_050), (8000, 44_100), (48_000, 44_100), (8000, 8000)])
def test_blocks_are_resampled_as_the_whole(rate, target):
    sound = np.random.default_rng(0).uniform(-1, 1, (2, 30_011)).astype(np.float32)
    blocks = (sound[:, start : start + 7001] for start in range(0, sound.shape[1], 7001))
    np.testing.assert_array_equal(
        np.concatenate(list(audio.resampled(blocks, rate, target)), axis=1), audio.resample(sound, rate, target)
    )


def test_flac_in_blocks_is_flac_at_once(tmp_path):
    with audio.writing_flac(tmp_path / "a.flac", RATE, 2) as write:
        for start in range(0, RATE, 999):
            write(2 * tone()[:, start : start + 999])
    assert (tmp_path / "a.flac").read_bytes() == audio.encode(2 * tone(), RATE)


def test_flac_that_is_not_finished_is_not_there(tmp_path):
    with suppress(KeyError), audio.writing_flac(tmp_path / "a.flac", RATE, 2) as write:
        write(tone())
        raise KeyError
    assert list(tmp_path.iterdir()) == []
