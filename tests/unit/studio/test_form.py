import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.studio.form import LEVEL_FIELDS, SECONDS, SEED, Field, Limits, params_of, request_of
from jukebox_pl.types import SamplingParams, SongRequest

EVEN = (50, 50, 50, 50)


def asked(artists=(), genres=(), lyrics="", seconds=10, total=0, offset=0, weights=EVEN, limits=None):
    return request_of(list(artists), weights, list(genres), weights, lyrics, seconds, total, offset, limits)


def test_what_a_form_shows_is_what_it_means():
    params = SamplingParams((0.9, 0.8, 0.7), (0, 5, 10), (0.1, 0.0, 0.9), (0.5, 0.5, 0.125), 4, (1.0, 2.0, 1.0))
    shown = [getattr(params.at(level), name) for level in range(3) for name in LEVEL_FIELDS]
    assert params_of(shown, SamplingParams(parallel_windows=4)) == params


def test_one_value_for_all_levels_is_that_of_sample():
    params = SamplingParams(0.98, hop_fraction=(0.5, 0.5, 0.125))
    shown = [getattr(params.at(level), name) for level in range(3) for name in LEVEL_FIELDS]
    assert params_of(shown, SamplingParams()) == params


def test_an_untouched_form_asks_for_a_song_of_nobody():
    assert request_of(None, EVEN, None, EVEN, None, 10, 0, 0) == SongRequest()


def test_a_part_of_a_song():
    expected = SongRequest("Ada", ("folk",), "la", seconds=5.0, total_seconds=60.0, offset_seconds=20.5)
    assert asked(["Ada"], ["folk"], "la", 5, 60, 20.5) == expected


def test_several_artists_are_a_blend_and_genres_of_one_weight_are_a_song_of_both():
    request = asked(["Ada", "Ben"], ["folk", "jazz"])
    assert (request.artist, request.genres) == ({"Ada": 1.0, "Ben": 1.0}, ("folk", "jazz"))
    request = asked(["Ada", "Ben"], ["folk", "jazz"], weights=(70, 30, 50, 50))
    assert (request.artist, request.genres) == ({"Ada": 70.0, "Ben": 30.0}, {"folk": 70.0, "jazz": 30.0})


def test_too_many_names_are_refused():
    with pytest.raises(UserError, match="Artist: expected at most 4, found 5"):
        asked("abcde")


@pytest.mark.parametrize("weight", [0, -1, 101, "much", None, float("nan")])
def test_a_weight_that_is_none_is_refused_by_name(weight):
    with pytest.raises(UserError, match="Weight of Ben: expected a number from 1 to 100"):
        asked(["Ada", "Ben"], weights=(50, weight, 50, 50))


@pytest.mark.parametrize("value", [None, "", "ten", -1, 0, float("inf"), float("nan"), [3]])
def test_what_is_no_length_is_refused_by_name(value):
    with pytest.raises(UserError, match=r"^Seconds: expected a number of at least 0\.001, found ."):
        SECONDS.read(value)


def test_a_length_beyond_the_limit_is_refused():
    with pytest.raises(UserError, match=r"Seconds: expected a number from 0\.001 to 60, found 1000000000"):
        asked(seconds=1e9, limits=Limits(seconds=60))


def test_limits_and_levels_are_named():
    levels = [1.0, 0, 0.0, 0.5, 1.0, 1.0, 0, 2, 0.5, 1.0]
    with pytest.raises(UserError, match="Top p of level 1: expected a number from 0 to 1, found 2"):
        params_of(levels, SamplingParams())


def test_whole_numbers_stay_whole():
    assert isinstance(SEED.read(3.0), int)
    assert Field("Top k", "", whole=True).read(40) == 40
    with pytest.raises(UserError, match=r"Seed: expected a whole number .*found 1\.5"):
        SEED.read(1.5)
