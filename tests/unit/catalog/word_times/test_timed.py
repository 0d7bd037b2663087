"""Words with times fitted to lyrics."""

from __future__ import annotations

import numpy as np
import pytest

from jukebox_pl.catalog.word_times.timed import fit
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word


def timed(text: str) -> list[Word]:
    """A word a second, each half a second long."""
    return [Word(word, float(at), at + 0.5) for at, word in enumerate(text.split(), start=1)]


def test_every_word_of_the_lyrics_has_a_time_in_order():
    """Whatever one of five words is taken for, and whatever is heard beside them."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        texts = ["".join(rng.choice(list("abcdefgh"), 4)) for _ in range(rng.integers(5, 60))]
        heard = [text if rng.random() > 0.15 else "zzzz" for text in texts]
        heard = [word for text in heard for word in ([text, "ooh"] if rng.random() < 0.2 else [text])]
        try:
            words = fit(timed(" ".join(heard)), "\n".join(texts)).words
        except UserError:
            assert sum(word == "zzzz" for word in heard) > 0.2 * len(texts)
            continue
        assert [word.text for word in words] == texts
        starts = [word.start for word in words]
        assert starts == sorted(starts)
        assert all(0 <= word.start <= word.end for word in words)


def test_case_signs_and_accents_do_not_count():
    words = fit(timed("dont stop cafe"), "“Don’t — STOP, Café!”").words
    assert [word.text for word in words] == ["“Don’t", "—", "STOP,", "Café!”"]
    assert [word.start for word in words] == [1, 1.5, 2, 3]


def test_a_word_that_is_not_found_is_sung_between_its_neighbours():
    words = fit([Word("la", 1, 1.5), Word("na", 2, 2.5), Word("mi", 4, 4.5)], "la na two mi").words
    assert words[2] == Word("two", 2.5, 4.0)


def test_times_of_a_part_of_the_lyrics_are_taken_and_said():
    fitted = fit([Word("la", 2, 2.5), Word("na", 3, 3.5)], "oh la na two mi")
    oh, *_, two, mi = fitted.words
    assert (oh.end, two.start, mi.start) == (2, 3.5, two.end)  # as fast as those that are known: 0.25 s a character
    assert (oh.start, mi.end) == (1.5, 4.75)
    assert fitted.notes == ("2 of the 5 words of the lyrics are among its 2: the times of the others are guessed",)
    assert fit([Word("na", 0.1, 0.6)], "la la na").words[0].start == 0


def test_scripts_without_blanks_are_compared_by_their_letters():
    words = fit(timed("深秋 嫩绿 的 垂柳"), "深秋嫩绿\n的垂柳").words
    assert words == (Word("深秋嫩绿", 1.0, 2.5), Word("的垂柳", 3.0, 4.5))


def test_milliseconds_become_seconds():
    words = [Word(word.text, 1000 * word.start, 1000 * word.end) for word in timed("la na")]
    assert [word.start for word in fit(words, "la na").words] == [1, 2]


@pytest.mark.parametrize(
    ("words", "lyrics", "message"),
    [
        (timed("x y z la"), "la na mi so", "1 of the 4 words of the lyrics are among its 4, expected 80%"),
        (timed("x y"), "la na", "0 of the 2 words"),
        ([Word("", 1, 2)], "la na", "has times for 1 words, the lyrics have 2"),
        ([Word("la", 2, 3), Word("na", 1, 2)], "la na", r"word 2 \(na\) starts at 1 s, before the one before it: 2 s"),
        ([Word("la", 2, 1)], "la", r"word 1 \(la\) does not end after it starts"),
        ([Word("la", -1, 1)], "la", "does not end"),
        ([Word("la", 0, float("inf"))], "la", "does not end"),
        ([Word("la", float("nan"), 1)], "la", "does not end"),
    ],
)
def test_what_does_not_fit_is_refused(words, lyrics, message):
    with pytest.raises(UserError, match=message):
        fit(words, lyrics)
