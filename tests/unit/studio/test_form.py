import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.studio.form import LEVEL_FIELDS, SECONDS, SEED, Field, params_of, request_of
from jukebox_pl.types import SamplingParams, SongRequest


def test_what_a_form_shows_is_what_it_means():
    params = SamplingParams((0.9, 0.8, 0.7), (0, 5, 10), (0.1, 0.0, 0.9), (0.5, 0.5, 0.125), parallel_windows=4)
    shown = [getattr(params.at(level), name) for level in range(3) for name in LEVEL_FIELDS]
    assert params_of(shown, SamplingParams(parallel_windows=4)) == params


def test_an_untouched_form_asks_for_a_song_of_nobody():
    assert request_of(None, [], None, 10, 0, 0) == SongRequest()


def test_a_part_of_a_song():
    asked = request_of("Ada", ["folk"], "la", 5, 60, 20.5)
    assert asked == SongRequest("Ada", ("folk",), "la", seconds=5.0, total_seconds=60.0, offset_seconds=20.5)


@pytest.mark.parametrize("value", [None, "", "ten", -1, 0, float("inf"), float("nan"), [3]])
def test_what_is_no_length_is_refused_by_name(value):
    with pytest.raises(UserError, match=r"^Seconds: expected a number of at least 0\.001, found ."):
        SECONDS.read(value)


def test_limits_and_levels_are_named():
    with pytest.raises(UserError, match="Top p of level 1: expected a number from 0 to 1, found 2"):
        params_of([1.0, 0, 0.0, 0.5, 1.0, 0, 2, 0.5], SamplingParams())


def test_whole_numbers_stay_whole():
    assert isinstance(SEED.read(3.0), int)
    assert Field("Top k", "", whole=True).read(40) == 40
