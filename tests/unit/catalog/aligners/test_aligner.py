"""What is believed of an answer, and how words without times come by them."""

import math

import numpy as np
import pytest

from jukebox_pl.catalog.aligners.aligner import complete, match, require_alignment, seconds_of, spread
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

GOOD = [Word("la", 0.0, 0.5), Word("na", 0.5, 0.5), Word("mi", 0.5, 2.0)]


def test_a_good_answer_comes_back():
    assert require_alignment(tuple(GOOD), "la na\nmi", 2.0) == GOOD
    assert require_alignment([], " \n", 2.0) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (GOOD[:2], "answered 2 words, not the 3"),
        ([*GOOD, GOOD[2]], "answered 4 words, not the 3"),
        ([GOOD[1], GOOD[0], GOOD[2]], "in their order"),
        ([Word("la", -0.1, 0.5), *GOOD[1:]], "'la' from -0.1"),
        ([*GOOD[:2], Word("mi", 1.0, 2.1)], "to 2.1 s in 2.00 s"),
        ([*GOOD[:2], Word("mi", 1.5, 1.0)], "'mi' from 1.5 to 1.0"),
        ([Word("la", math.nan, 0.5), *GOOD[1:]], "from nan"),
        ([Word("la", 0.0, math.inf), *GOOD[1:]], "to inf"),
        ([GOOD[0], Word("na", 1.0, 1.2), GOOD[2]], "'mi' at 0.50 s, before 'na' at 1.00 s"),
    ],
)
def test_rubbish_is_refused(words, message):
    with pytest.raises(UserError, match=message):
        require_alignment(words, "la na mi", 2.0)


@pytest.mark.parametrize("sound", [np.zeros(5), np.zeros((1, 0)), np.array([[0.0, np.nan]])])
def test_sound_that_is_none_is_refused(sound):
    with pytest.raises(UserError, match="expected finite samples"):
        seconds_of(sound, 10)


def test_spread_gives_every_character_the_same_time():
    words = spread(["la", "nana", "mi"], 1.0, 11.0)
    assert [word.text for word in words] == ["la", "nana", "mi"]
    assert [(word.start, word.end) for word in words] == [(1.0, 3.0), (4.0, 8.0), (9.0, 11.0)]
    assert spread([], 0.0, 1.0) == []


def test_words_without_times_go_between_their_neighbours():
    words = complete(["la", "na", "mi", "to"], [(0.0, 1.0), None, None, (6.0, 7.0)], 10.0)
    assert [word[1:] for word in words] == [(0, 1), (1, 3), (4, 6), (6, 7)]
    overlapping = complete(["la", "na", "mi"], [(1.0, 6.0), None, (3.0, 4.0)], 7.0)
    assert [word[1:] for word in overlapping] == [(1, 6), (3, 3), (3, 4)]


def test_words_without_times_stay_near_the_only_neighbour_they_have():
    words = complete(["la", "na", "mi"], [None, (20.0, 21.0), None], 90.0)
    np.testing.assert_allclose([word[1:] for word in words], [(19.7, 20), (20, 21), (21, 21.3)])
    assert [word[1:] for word in complete(["la", "na", "mi"], [None, (0.0, 1.0), None], 1.0)] == [(0, 0), (0, 1), (1, 1)]


def test_match_finds_words_however_they_are_spelt():
    found = [Word("DONT", 1, 2), Word("YOU", 2, 3), Word("SINGING", 3, 4), Word("ETE", 5, 6)]
    assert match(["Don't", "you", "singin'", "—", "été!"], found, 1.0) == [(1, 2), (2, 3), (3, 4), None, (5, 6)]


def test_match_leaves_out_what_is_missing_and_refuses_when_that_is_much():
    found = [Word("a", 1, 2), Word("c", 2, 3)]
    assert match(["a", "b", "c"], found, 0.6) == [(1, 2), None, (2, 3)]
    with pytest.raises(UserError, match="only 2 of 3 words were found, expected 80%"):
        match(["a", "b", "c"], found, 0.8)
