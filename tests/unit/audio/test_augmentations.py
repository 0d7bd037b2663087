import numpy as np
import pytest

from jukebox_pl.audio.augmentations import Blend, Gain, Pitch, Shift, Tempo, augment
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word

RATE = 8000


@pytest.fixture
def song():
    return Song("ab12", 2 * RATE, RATE, artist="Ada", lyrics="la na", words=(Word("la", 0.0, 0.5), Word("na", 1.0, 1.5)))


@pytest.fixture
def tone():
    return np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE, dtype=np.float32)[None]


def pitch_of(sound):
    return np.abs(np.fft.rfft(sound[0])).argmax() * RATE / sound.shape[1]


@pytest.mark.parametrize("augmentation", [Shift(), Gain(), Blend(), Pitch(2), Tempo(1.25)])
def test_a_song_is_augmented_the_same_way_every_time_and_has_a_name_and_length_of_its_own(augmentation, song, tone):
    sound, known = augment("v", augmentation, tone, song)
    again, _ = augment("v", augmentation, tone, song)
    np.testing.assert_array_equal(sound, again)
    assert (known.id, known.duration, known.artist, known.lyrics) == ("ab12_v", sound.shape[1], "Ada", "la na")
    assert len(known.words) == 2


def test_a_shift_begins_later_and_its_words_earlier(song, tone):
    sound, known = augment("later", Shift(100), tone, song)
    later = tone.shape[1] - sound.shape[1]
    assert 1 <= later <= 100
    np.testing.assert_array_equal(sound, tone[:, later:])
    assert known.words[1].start == pytest.approx(1.0 - later / RATE)
    assert known.words[0].start == 0.0


def test_gain_is_softer_by_at_most_what_was_asked(song, tone):
    ratios = [np.abs(augment(name, Gain(6.0), tone, song)[0]).max() / np.abs(tone).max() for name in "abcdef"]
    assert len(set(ratios)) == 6
    assert all(10 ** (-6 / 20) <= ratio <= 1 for ratio in ratios)


def test_a_blend_mixes_the_two_channels(song, tone):
    stereo = np.concatenate([tone, np.zeros_like(tone)])
    sound, _ = augment("mix", Blend(), stereo, song)
    share = sound[0] @ tone[0] / (tone[0] @ tone[0])
    assert 0 < share < 1
    np.testing.assert_allclose(sound, share * tone, atol=1e-6)


def test_pitch_moves_the_tone_and_tempo_the_words(song, tone):
    higher, known = augment("up", Pitch(12), tone, song)
    assert pitch_of(higher) == pytest.approx(880, rel=0.02)
    assert known.words == song.words
    faster, known = augment("fast", Tempo(1.25), tone, song)
    assert faster.shape[1] == pytest.approx(tone.shape[1] / 1.25, rel=0.01)
    assert pitch_of(faster) == pytest.approx(440, rel=0.02)
    assert known.words[1].start == pytest.approx(0.8)


@pytest.mark.parametrize("make", [lambda: Shift(0), lambda: Gain(-1), lambda: Pitch(0), lambda: Tempo(4)])
def test_an_augmentation_that_makes_no_sense(make):
    with pytest.raises(UserError, match=r"views: .*expected"):
        make()
