"""Channels are mixed by what they are, and never clip."""

import numpy as np
import pytest

from jukebox_pl.audio.mix import SIDES, USUAL, mix_matrix

HALF_POWER = 0.5**0.5
LAYOUTS = [*USUAL.values(), ("FC",), ("LFE",), ("",) * 13, ("FL", "FR", "what is new"), tuple(SIDES)]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "speakers", [*USUAL.values(), ("FC",), ("LFE",), ("",) * 13, ("FL", "FR", "what is new"), tuple(SIDES)]
)
def test_gains_sum_to_one_and_silence_nothing_but_the_bass(speakers, channels):
    matrix = mix_matrix(speakers, channels)
    assert matrix.shape == (channels, len(speakers))
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
    heard = matrix.any(axis=0)
    assert all(heard[place] or name.startswith("LFE") for place, name in enumerate(speakers))


@pytest.mark.parametrize("channels", range(2, 9))
def test_mono_is_the_mean_of_left_and_right(channels):
    mono, stereo = (mix_matrix(USUAL[channels], to) for to in (1, 2))
    np.testing.assert_allclose(mono[0], stereo.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(mix_matrix(("",) * channels, 1), mono)


def test_stereo_of_5_1_is_that_of_the_recommendation():
    left, right = mix_matrix(("FL", "FR", "FC", "LFE", "SL", "SR"), 2)
    expected = np.array([1, 0, HALF_POWER, 0, HALF_POWER, 0])
    np.testing.assert_allclose(left, expected / expected.sum(), rtol=1e-6)
    np.testing.assert_allclose(right, left[[1, 0, 2, 3, 5, 4]], rtol=1e-6)


def test_one_channel_is_copied_and_two_stay():
    np.testing.assert_array_equal(mix_matrix(("FC",), 2), [[1], [1]])
    np.testing.assert_array_equal(mix_matrix(("FL", "FR"), 2), np.eye(2))
    np.testing.assert_array_equal(mix_matrix(("", ""), 1), [[0.5, 0.5]])
