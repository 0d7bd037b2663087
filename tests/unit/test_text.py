import pytest

from jukebox_pl.text import Characters, normalize


def test_encode_decode_round_trip():
    characters = Characters.from_texts(["héllo wörld\nla la"])
    assert characters.decode(characters.encode("héllo\nwörld")) == "héllo\nwörld"
    assert 0 not in characters.encode("héllo")


def test_composed_and_decomposed_text_are_the_same():
    characters = Characters.from_texts(["é"])
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
