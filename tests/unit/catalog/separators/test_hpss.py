import pickle

import numpy as np
import pytest

from jukebox_pl.catalog.separators import hpss
from jukebox_pl.catalog.separators.hpss import HPSS
from jukebox_pl.errors import UserError

RATE = 11_025


TIME = np.arange(4 * RATE) / RATE


@pytest.fixture(scope="module")
def voice():
    """Glides by three semitones and trembles by half of one."""
    pitch = 300 * 2 ** ((3 * np.sin(2 * np.pi * 0.7 * TIME) + 0.5 * np.sin(2 * np.pi * 6 * TIME)) / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return sum(np.sin(k * phase) / k for k in range(1, 6)).astype(np.float32)[None]


@pytest.fixture(scope="module")
def organ():
    return sum(np.sin(2 * np.pi * pitch * TIME) for pitch in (196, 247, 523, 784)).astype(np.float32)[None]


@pytest.fixture(scope="module")
def clicks():
    """Four a second."""
    sound = np.zeros((1, len(TIME)), np.float32)
    sound[:, :: RATE // 4] = 8.0
    return sound


@pytest.fixture(scope="module")
def stereo(voice, organ):
    return np.concatenate([voice + organ, voice])


def kept(sound, share_of):
    """How much of `share_of` is in `sound`."""
    return float((sound * share_of).sum() / (share_of**2).sum())


def test_a_moving_voice_stays_and_steady_tones_and_clicks_go(voice, organ, clicks):
    vocals = HPSS()(voice + organ + clicks, RATE)
    assert kept(vocals, voice) > 0.5
    assert kept(vocals, organ) < 0.1
    assert kept(vocals, clicks) < 0.2


def test_pieces_add_up_to_the_whole(stereo, monkeypatch):
    song = np.tile(stereo, (1, 3))
    whole = HPSS()(song, RATE)
    monkeypatch.setattr(hpss, "PIECE_WINDOWS", 16)
    np.testing.assert_allclose(HPSS()(song, RATE), whole, atol=1e-5)


def test_loudness_does_not_matter_and_channels_are_alone(stereo):
    vocals = HPSS()(stereo, RATE)
    assert vocals.shape == stereo.shape
    assert vocals.dtype == np.float32
    np.testing.assert_allclose(HPSS()(0.25 * stereo, RATE), 0.25 * vocals, atol=1e-5)
    np.testing.assert_allclose(HPSS()(stereo[1:], RATE), vocals[1:], atol=1e-5)


def test_windows_the_wrong_way_round_are_refused():
    with pytest.raises(UserError, match=r"short_window=0\.5 and long_window=0\.37: expected 0 < short < long"):
        HPSS(short_window=0.5)


def test_goes_to_another_process(voice):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(HPSS()))(voice, RATE), HPSS()(voice, RATE))
