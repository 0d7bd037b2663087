import numpy as np
import pytest

from jukebox_pl.evaluation.intervals import interval, shown


def test_an_interval_holds_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = [low <= 1.0 <= high for _, (low, high) in (interval(rng.normal(1.0, 1.0, size=30), seed=0) for _ in range(200))]
    assert 0.88 <= np.mean(held) <= 0.98  # the percentile bootstrap is a little narrow for 30 songs


def test_one_song_has_an_interval_without_width_and_none_has_no_interval():
    assert interval([2.0], seed=0) == (2.0, [2.0, 2.0])
    with pytest.raises(ValueError, match="at least one song"):
        interval([], seed=0)


def test_an_interval_is_shown_where_songs_are_enough_for_one():
    assert shown(4.138, (4.1, 4.2), songs=7) == "4.138 [4.100, 4.200]"
    assert shown(0.5, (-0.25, 0.75), songs=3, digits=2, sign="+") == "+0.50 [-0.25, +0.75]"
    assert shown(4.138, (4.138, 4.138), songs=1) == "4.138"
