import sys

import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import Characters, ReleasedCharacters, alphabet, letters, normalize


def test_encode_decode_round_trip():
    characters = Characters("").including("héllo wörld\nla la")
    assert characters.decode(characters.encode("héllo\nwörld")) == "héllo\nwörld"
    assert 0 not in characters.encode("héllo")


def test_composed_and_decomposed_text_are_the_same():
    characters = Characters("").including("é")
    assert characters.encode("e\u0301") == characters.encode("é") == [1]


def test_unknown_characters_are_dropped_and_reported():
    characters = Characters("ab")
    assert characters.clean("abxbx") == "abb"
    assert characters.unknown("abxbx") == {"x": 2}


def test_blank_runs_and_blank_lines_fold():
    assert normalize(" a\t b \n\n\r\n c ") == "a b\nc"


def test_a_repeated_character_is_refused():
    with pytest.raises(ValueError, match="found twice: \\['a'\\]"):
        Characters("aba")


@pytest.mark.parametrize(("version", "size", "blank"), [("v2", 80, 77), ("v3", 79, 76)])
def test_the_released_characters_keep_their_numbers(version, size, blank):
    characters = ReleasedCharacters(version)
    assert len(characters) == size
    assert characters.encode("Aa0 \n") == [1, 27, 53, blank, size - 1]
    assert ("+" in characters.clean("a + b")) == (version == "v2")


def test_released_texts_are_ascii_and_keep_their_blanks():
    assert ReleasedCharacters("v2").clean("Céline’s  “été”\\\n#") == 'Celine\'s  "ete"\n\n'


def test_without_unidecode_only_ascii_can_be_spelt(monkeypatch):
    monkeypatch.setitem(sys.modules, "unidecode", None)
    assert ReleasedCharacters("v2").clean("plain") == "plain"
    with pytest.raises(UserError, match="pip install unidecode"):
        ReleasedCharacters("v2").clean("été")


@pytest.mark.parametrize(
    ("word", "heard"),
    [
        ("Allée!", "ale"),
        ("don't", "dont"),
        ("STRAßE", "strase"),
        ("éé", "e"),
        ("İki", "iki"),
        ("ℌ2", "h2"),
        ("—", ""),
        ("日本", "日本"),
    ],
)
def test_letters_are_what_is_heard_of_a_word(word, heard):
    assert letters(word) == heard


def test_an_alphabet_spells_every_word_of_its_text():
    text = "Élan & Strom,\n한글 Ünder 99"
    assert alphabet(text) == "".join(sorted(set(alphabet(text))))
    assert all(set(letters(word)) <= set(alphabet(text)) for word in text.split())
    assert not set(alphabet(text)) & set(" &,\nÉU")
