import numpy as np
import pytest

from jukebox_pl.catalog.aligners.chain import Chain
from jukebox_pl.catalog.aligners.linear import LinearAligner
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

SOUND = np.zeros((1, 20))


class Refuses:
    def __call__(self, vocals, sample_rate, lyrics):
        raise UserError("heard nothing")


class Half:
    def __call__(self, vocals, sample_rate, lyrics):
        return LinearAligner()(vocals, sample_rate, lyrics)[:1]


class Sure:
    def __call__(self, vocals, sample_rate, lyrics):
        return [Word(text, 1.0, 2.0) for text in lyrics.split()]


def test_the_first_good_answer_counts():
    assert Chain([Refuses(), Half(), Sure(), LinearAligner()])(SOUND, 10, "la na") == Sure()(SOUND, 10, "la na")


def test_all_reasons_are_told_when_none_answers():
    with pytest.raises(UserError, match="Refuses: heard nothing; Half: the aligner answered 1 words, not the 2"):
        Chain([Refuses(), Half()])(SOUND, 10, "la na")


def test_a_chain_needs_a_link():
    with pytest.raises(UserError, match="name at least one"):
        Chain([])


def test_what_is_no_users_mistake_is_raised():
    class Broken:
        def __call__(self, vocals, sample_rate, lyrics):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Chain([Broken(), LinearAligner()])(SOUND, 10, "la")
