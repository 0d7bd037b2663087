"""Phonemes by a program of that name: here one that spells every letter with a prime, a word a line."""

import os

import pytest

from jukebox_pl import phonemes
from jukebox_pl.errors import UserError
from jukebox_pl.labels import characters_from, word_spans
from jukebox_pl.phonemes import Phonemes
from jukebox_pl.types import Word

FAKE = """#!/bin/sh
[ "$4" = xx ] && { echo "Error: The specified espeak-ng voice does not exist." >&2; exit 1; }
echo called >> "$CALLS"
sed -e '/^$/d' -e "s/./&ˈ/g"
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The program on the path, and a file with a line for every time it was started."""
    (tmp_path / "espeak-ng").write_text(FAKE)
    (tmp_path / "espeak-ng").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr(phonemes, "KNOWN", {})
    phonemes.program.cache_clear()
    yield tmp_path / "calls"
    phonemes.program.cache_clear()


def test_words_and_lines_stay_apart(calls):
    made = Phonemes.of(["La, la!\n\nÉté — it's"], "fr")
    assert made.clean("La, la!\n\nÉté — it's") == "la la\nété it's"
    assert made.decode(made.encode("Été")) == "été"
    assert made.unknown("lax") == {"x": 1}


def test_a_word_is_asked_for_once(calls):
    made = Phonemes.of(["la na la", "na la"], "fr")
    made.encode("la la na")
    made.encode("la no")
    assert calls.read_text().count("called") == 2  # la and na together, then no


def test_a_config_brings_it_back(calls):
    made = Phonemes.of(["la na"], "fr")
    again = characters_from(made.to_config())
    assert isinstance(again, Phonemes)
    assert again.encode("na la") == made.encode("na la")


def test_times_of_words_find_their_phonemes(calls):
    made = Phonemes.of(["La na"], "fr")
    words = (Word("La", 0.0, 1.0), Word("na", 1.0, 2.0))
    assert word_spans(made.clean("La na"), words, made) == [(0, 2), (3, 5)]


def test_an_unknown_language(calls):
    with pytest.raises(UserError, match=r"phonemes=xx: espeak-ng refuses .*does not exist"):
        Phonemes.of(["la"], "xx")


def test_without_the_program(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    phonemes.program.cache_clear()
    with pytest.raises(UserError, match="espeak-ng, which is not installed"):
        Phonemes.of(["unheard of"], "fr")
