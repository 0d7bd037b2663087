"""A head that follows the lyrics is told from those that do not, by a prior whose attention is made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jukebox_pl.evaluation.lyric_attention import LyricHeads, character_seconds, window_looks
from jukebox_pl.models.conditioners import LyricsEncoder
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import Song, Word

RATE, HOP, CTX, TOKENS, LAYER = 100, 10, 40, 20, 1
LYRICS = "la na\nmi to su re"
SLOT = 0.5  # seconds a character
LABELLER = Labeller(Vocabulary([]), Vocabulary([]), Characters("").including(LYRICS), TOKENS)


def song(timed=True):
    words, at = [], 1.0  # a rest first
    for text in LYRICS.split():
        words.append(Word(text, at, at + SLOT * len(text)))
        at += SLOT * (len(text) + 1)
    return Song("1", 12 * RATE, RATE, lyrics=LYRICS, words=tuple(words) if timed else ())


@pytest.fixture
def prior():
    """Two heads of the X layer: one looks anywhere, the other, moved on by `shift`, at what is sung."""
    torch.manual_seed(0)
    encoder = LyricsEncoder(len(LABELLER.characters), 8, Transformer(8, 2, "R", TOKENS, 4))
    made = Prior(5, Transformer(8, 2, "RXR", CTX, 8), lyrics=encoder).eval()
    made.shift = 1
    sung, offsets = song(), iter([100, 300, 500, 700])

    def weights(x, states):
        start = next(offsets)
        tokens = torch.tensor(LABELLER.sung_tokens(sung, start, CTX * HOP, CTX)).cummax(0).values  # it waits in a rest
        anywhere = torch.full((1, 1, CTX, TOKENS), 1 / TOKENS)
        there = torch.nn.functional.one_hot((tokens + made.shift).clamp(0, TOKENS - 1), TOKENS).float()
        return torch.cat([anywhere, there[None, None]], dim=1)

    made.transformer.blocks[LAYER].attention.weights = weights
    return made


def heads_of(prior, timed=True):
    heads = LyricHeads(prior, LABELLER, HOP, windows=4)
    heads.add(song(timed), torch.zeros(120, dtype=torch.long))
    return heads


def test_the_head_that_looks_at_what_is_sung_is_found(prior):
    heads = heads_of(prior)
    anywhere, there = heads.looks()[LAYER, 0], heads.looks()[LAYER, 1]
    assert heads.best() == (LAYER, 1)
    assert heads.follows((LAYER, 1))
    assert not heads.follows((LAYER, 0))
    assert (there.share, there.characters) == (1, 0)
    assert there.seconds <= SLOT / 2
    assert anywhere.share == pytest.approx(3 / TOKENS, abs=0.02)
    assert anywhere.characters > 3
    assert anywhere.seconds > 1


@pytest.mark.parametrize(("shift", "share", "characters"), [(0, 1, 1), (2, 1, 1), (3, 0, 2), (-2, 0, 3)])
def test_the_true_column_is_the_first_that_knows_the_character(prior, shift, share, characters):
    """The encoder is causal: column p has seen the characters before p."""
    prior.shift = shift
    there = heads_of(prior).looks()[LAYER, 1]
    assert there.share == pytest.approx(share, abs=0.2)  # less at the edges of the text
    assert there.characters == pytest.approx(characters, abs=0.3)


def test_without_times_the_steadiest_head_is_the_best(prior):
    heads = heads_of(prior, timed=False)
    assert heads.best() == (LAYER, 1)
    looks = heads.looks()[LAYER, 1]
    assert np.isnan([looks.share, looks.characters, looks.seconds]).all()
    assert looks.monotonicity > 0.5 > heads.looks()[LAYER, 0].monotonicity


def test_a_song_without_lyrics_says_nothing(prior):
    heads = LyricHeads(prior, LABELLER, HOP)
    heads.add(Song("1", 800, RATE), torch.zeros(80, dtype=torch.long))
    assert (heads.looks(), heads.best()) == ({}, None)


def test_a_head_that_hardly_looks_at_the_lyrics_does_not_win_by_where_it_would():
    """D layers look at codes too: rows sum to less than 1."""
    true, moments, places = np.array([1, 2, 3]), np.array([0.5, 1.5, 2.5]), np.array([0, 0.5, 1.5, 2.5])
    eye = np.eye(4)[true]
    assert window_looks(eye, true, moments, places) == (1, 0, 0, 1)
    faint = window_looks(0.01 * eye, true, moments, places)
    assert (faint.share, faint.characters) == (pytest.approx(0.01), pytest.approx(0))


def test_characters_between_words_are_between_them_in_time():
    seconds = character_seconds(song(), LABELLER)
    assert len(seconds) == len(LYRICS)
    np.testing.assert_allclose(np.diff(seconds), SLOT)
    assert seconds[0] == 1.0 + SLOT / 2
