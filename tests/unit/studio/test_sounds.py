import numpy as np
import pytest

from jukebox_pl import audio
from jukebox_pl.errors import UserError
from jukebox_pl.studio.sounds import BARS, Sounds, peaks


@pytest.fixture
def sounds():
    made = Sounds()
    yield made
    made.close()


def clip(folder, seconds=2.0, rate=8000, format="wav"):
    sound = np.sin(np.arange(round(seconds * rate)) / 9)[None].astype(np.float32) / 2
    return audio.write(folder / f"clip.{format}", sound, rate)


def test_a_clip_is_kept_as_it_was_and_as_it_is_played(sounds, tmp_path):
    token = sounds.clip(clip(tmp_path), 2**20)
    kept = sounds[token]
    assert kept.original.read_bytes() == (tmp_path / "clip.wav").read_bytes()
    assert (kept.seconds, len(kept.peaks), max(kept.peaks)) == (2.0, BARS, 100)
    assert audio.read(kept.file)[1] == 8000


WRONG = {
    "too large": (lambda folder: clip(folder, 100.0), "2 MB, at most 1 MB are taken"),
    "too long": (lambda folder: clip(folder, 1300.0, 4000, "flac"), "22 minutes, at most 20 minutes are taken"),
    "empty": (lambda folder: touch(folder, b""), "the file is empty"),
    "none": (lambda folder: touch(folder, b"words"), "this clip cannot be used"),
    "missing": (lambda folder: folder / "nothing.wav", "this clip cannot be used"),
}


def touch(folder, data):
    (folder / "clip.wav").write_bytes(data)
    return folder / "clip.wav"


@pytest.mark.parametrize(("make", "told"), WRONG.values(), ids=WRONG)
def test_what_is_no_clip_is_refused(sounds, tmp_path, make, told):
    with pytest.raises(UserError, match=told):
        sounds.clip(make(tmp_path), 2**20 * (9 if "minutes" in told else 1))


def test_what_was_made_once_is_not_made_again(sounds):
    made = []

    def make():
        made.append(1)
        return np.zeros((1, 100), np.float32), 8000

    assert sounds.once("a song: level 2", make) == sounds.once("a song: level 2", make)
    assert made == [1]


def test_a_token_that_is_none_is_no_file(sounds):
    with pytest.raises(KeyError):
        sounds["../../etc/passwd"]


def test_peaks_of_little_or_of_nothing():
    assert peaks(np.zeros((1, 3), np.float32)) == [0, 0, 0]
    assert peaks(np.zeros((1, 0), np.float32)) == []
    assert peaks(np.array([[0.1, -0.2]], np.float32)) == [50, 100]
