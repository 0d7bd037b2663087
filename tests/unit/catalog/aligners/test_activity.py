"""Words without a model: where the voice is, after its pauses. And the baseline, which hears nothing."""

import pickle

import numpy as np
import pytest

from jukebox_pl.catalog.aligners.activity import ActivityAligner, place_lines
from jukebox_pl.catalog.aligners.linear import LinearAligner

RATE = 8_000
LYRICS = "la na mi\n\nto su re la\nna"


def singing(*stretches):
    """Sound [1, T] of (seconds, loudness) stretches of one tone."""
    loudness = np.concatenate([np.full(round(seconds * RATE), level) for seconds, level in stretches])
    return (loudness * np.sin(2 * np.pi * 440 * np.arange(len(loudness)) / RATE)).astype(np.float32)[None]


def starts(words):
    return np.array([word.start for word in words])


def test_linear_spreads_the_characters():
    words = LinearAligner()(np.zeros((2, 10 * RATE)), RATE, "la na\nnaná")
    assert [word.text for word in words] == ["la", "na", "naná"]
    np.testing.assert_allclose(starts(words), [0, 3, 6])
    assert words[-1].end == 10


def test_nothing_is_sung_in_silence():
    words = ActivityAligner()(singing((4, 0), (3, 1), (5, 0), (4, 1), (4, 0)), RATE, LYRICS)
    assert all(4 <= start <= 7 or 12 <= start <= 16 for start in starts(words))


def test_lines_begin_after_pauses():
    words = ActivityAligner()(
        singing((1, 0), (2, 1), (1, 0), (4, 1), (1, 0), (3, 1), (1, 0)), RATE, "la na\nmi to su\nre la"
    )
    np.testing.assert_allclose(starts(words)[[0, 2, 5]], [1, 4, 9], atol=0.15)


@pytest.mark.parametrize("gain", [1e-4, 0.1, 3.0])
def test_loudness_does_not_matter(gain):
    sound = singing((2, 0.1), (3, 1), (1, 0), (4, 0.7))
    plain, louder = (ActivityAligner()(times * sound, RATE, LYRICS) for times in (1, gain))
    np.testing.assert_allclose(starts(louder), starts(plain), atol=0.02)


def test_words_move_with_the_singing():
    phrase = [(2, 1), (1, 0), (3, 0.5), (0.5, 0), (2, 1)]
    early, late = (ActivityAligner()(singing((rest, 0), *phrase, (6, 0)), RATE, LYRICS) for rest in (1, 4))
    np.testing.assert_allclose(starts(late) - 3, starts(early), atol=0.15)


@pytest.mark.parametrize("sound", [np.zeros((1, 5 * RATE)), np.zeros((1, 40))])
def test_silence_has_words_too(sound):
    words = ActivityAligner()(sound, RATE, LYRICS)
    assert [word.text for word in words] == LYRICS.split()
    assert list(starts(words)) == sorted(starts(words))


def test_many_lines_in_a_short_song_keep_their_order():
    lyrics = "\n".join(["la"] * 300)
    words = ActivityAligner()(singing((3, 1)), RATE, lyrics)
    assert len(words) == 300
    assert (np.diff(starts(words)) > 0).all()


def test_no_lyrics_have_no_words():
    assert ActivityAligner()(singing((1, 1)), RATE, " \n ") == LinearAligner()(singing((1, 1)), RATE, "\n") == []


def test_lines_are_placed_where_it_costs_least():
    pauses = np.zeros(21)
    pauses[13] = 1.0
    assert place_lines(np.array([0, 10, 20]), np.zeros(21), drift=4).tolist() == [0, 10, 20]
    assert place_lines(np.array([0, 10, 20]), pauses, drift=4).tolist() == [0, 13, 20]
    assert place_lines(np.array([0, 10, 20]), pauses, drift=2).tolist() == [0, 10, 20]


def test_an_aligner_travels_to_another_process():
    assert pickle.loads(pickle.dumps(ActivityAligner(drift=2.0))) == ActivityAligner(drift=2.0)
