"""A network of the test's own: what it hears is what the test says."""

import numpy as np
import pytest

from jukebox_pl.catalog.aligners.ctc import CTCAligner, Emissions
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

RATE, FRAME = 100, 0.1


class Hears(CTCAligner):
    """Hears `text`, a character a frame of 0.1 s: `-` is the blank, `|` the delimiter of words."""

    def __init__(self, text, delimiter=""):
        self.tokens = {character: token for token, character in enumerate("-|abc")}
        self.text, self.delimiter = text, delimiter

    def emissions(self, vocals, sample_rate):
        log_probs = np.full((len(self.text), len(self.tokens)), -9.0)
        log_probs[np.arange(len(self.text)), [self.tokens[character] for character in self.text]] = -0.1
        return Emissions(log_probs, FRAME, delimiter=tuple(self.tokens[character] for character in self.delimiter))

    def tokenize(self, word):
        return [self.tokens[character] for character in word if character in "abc"]


def align(aligner, lyrics):
    return aligner(np.zeros((2, round(len(aligner.text) * FRAME * RATE))), RATE, lyrics)


def test_words_are_where_they_are_heard():
    words = align(Hears("--aab-cc-a-"), "ab c\na")
    assert [word.text for word in words] == ["ab", "c", "a"]
    np.testing.assert_allclose([word[1:] for word in words], [(0.2, 0.5), (0.6, 0.8), (0.9, 1.0)])


def test_the_delimiter_of_words_is_heard_too():
    plain, delimited = (align(Hears("-ab||c-", delimiter), "ab c") for delimiter in ("", "|"))
    assert [word.start for word in delimited] == pytest.approx([0.1, 0.5])
    assert [word.end for word in delimited] == pytest.approx([0.3, 0.6])
    assert plain[0].start == delimited[0].start


def test_what_cannot_be_spelt_fits_between_its_neighbours():
    words = align(Hears("--ab----c-", "|"), "42 ab — ¿? c")
    assert [word.text for word in words] == ["42", "ab", "—", "¿?", "c"]
    assert words[0] == Word("42", 0.0, 0.2)
    assert words[1].end <= words[2].start <= words[2].end <= words[3].start <= words[3].end == words[4].start


def test_frames_may_end_after_the_sound():
    words = Hears("-aab")(np.zeros((1, 35)), RATE, "ab")
    assert words == [Word("ab", pytest.approx(0.1), 0.35)]


def test_lyrics_that_cannot_be_spelt_at_all_are_refused():
    with pytest.raises(UserError, match="no character of the lyrics is one that the network knows"):
        align(Hears("-aab"), "日本 語")
    assert align(Hears("-aab"), " \n") == []
