"""Phonemes by a program of that name: here the one of the fixture `calls`."""

import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.text.labels import characters_from, word_spans
from jukebox_pl.text.phonemes import Phonemes
from jukebox_pl.types import Word


def test_words_and_lines_stay_apart(calls):
    made = Phonemes("", "fr").including("La, la!\n\nÉté — it's")
    assert made.clean("La, la!\n\nÉté — it's") == "la la\nété it's"
    assert made.decode(made.encode("Été")) == "été"
    assert made.unknown("lax") == {"x": 1}


def test_a_word_is_asked_for_once(calls):
    made = Phonemes("", "fr").including("la na la\nna la")
    made.encode("la la na")
    made.encode("la no")
    assert calls.read_text().count("called") == 2  # la and na together, then no


def test_a_config_brings_it_back(calls):
    made = Phonemes("", "fr").including("la na")
    again = characters_from(made.to_config())
    assert isinstance(again, Phonemes)
    assert again.encode("na la") == made.encode("na la")


def test_times_of_words_find_their_phonemes(calls):
    made = Phonemes("", "fr").including("La na")
    words = (Word("La", 0.0, 1.0), Word("na", 1.0, 2.0))
    assert word_spans(made.clean("La na"), words, made) == [(0, 2), (3, 5)]


def test_an_unknown_language(calls):
    with pytest.raises(UserError, match=r"phonemes=xx: espeak-ng refuses .*does not exist"):
        Phonemes("", "xx").including("la")


def test_without_the_program(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="espeak-ng, which is not installed"):
        Phonemes("", "fr").including("unheard of")
