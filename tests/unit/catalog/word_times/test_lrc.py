"""LRC by its lines and by its words, and what is none."""

import numpy as np
import pytest

from jukebox_pl.catalog.word_times.lrc import read_lrc, write_lrc
from jukebox_pl.types import Word


def times(text):
    """Of every word, to the millisecond."""
    return {word.text: (round(word.start, 3), round(word.end, 3)) for word in read_lrc(text).words}


def test_words_of_a_line_are_spread_until_the_next_one():
    found = read_lrc("[ti:A song]\n[ar: Ada: Bell]\n\n[00:10.00]lala nanana\n[00:12.2]mi to\n")
    assert found.lyrics == "lala nanana\nmi to"
    assert [word.text for word in found.words] == found.lyrics.split()
    expected = [(10.0, 10.8), (11.0, 12.2), (12.2, 13.0), (13.4, 14.2)]
    np.testing.assert_allclose([word[1:] for word in found.words], expected)


def test_an_empty_line_is_a_pause_and_a_long_wait_is_one_too():
    assert times("[00:10]lala\n[00:11]\n[01:00]mimi") == {"lala": (10, 11), "mimi": (60, 61.6)}
    assert times("[00:10]lala\n[00:50]mimi") == {"lala": (10, 11.6), "mimi": (50, 51.6)}
    assert read_lrc("[00:10]la\n[00:11]\n[01:00]mi").lyrics == "la\n\nmi"


def test_words_with_times_of_their_own_keep_them():
    marked = "[00:10.00] <00:10.50> When <00:11.00> the <00:12.00> day<00:13.00>\n[00:20.00]<00:20.00>is <00:21.00>over"
    found = times(marked)
    assert read_lrc(marked).lyrics == "When the day\nis over"
    assert [start for start, _ in found.values()] == [10.5, 11, 12, 20, 21]
    assert found["day"] == (12, 13)
    assert found["over"][1] == 22.6


def test_syllables_with_times_of_their_own_place_the_word_around_them():
    found = times("[00:10.00]hel<00:12.00>lo all<00:15.00>")
    assert found == {"hello": (10, 13), "all": (13.5, 15)}


def test_a_line_with_several_times_is_sung_as_often_each_in_its_place():
    found = read_lrc("[00:30.00][00:10.00]<00:30.50>la <00:31.00>na\n[00:20.00]mi\n")
    assert found.lyrics == "la na\nmi\nla na"
    assert [word.start for word in found.words] == [10.5, 11.0, 20.0, 30.5, 31.0]


@pytest.mark.parametrize(("offset", "start"), [("+500", 9.5), ("-250", 10.25), ("0", 10.0), ("20000", 0.0)])
def test_an_offset_makes_words_earlier(offset, start):
    assert read_lrc(f"[offset:{offset}]\n[00:10.00]<00:10.00>la").words[0].start == start


@pytest.mark.parametrize(
    "time",
    ["01:02", "1:02", "01:02.0", "01:02.00", "01:02.000", "01:02:00", "001:02", "01:02,00", "01:02.00000", "00:01:02.0"],
)
def test_times_come_in_many_spellings(time):
    assert read_lrc(f"[{time}]la").words[0].start == 62.0


def test_lines_may_lie_over_each_other_and_words_stay_in_order():
    found = read_lrc("[00:10]<00:10>la <00:14>na\n[00:12]mi\n[00:12]to").words
    starts = [word.start for word in found]
    assert starts == sorted(starts)
    assert all(word.start <= word.end < np.inf for word in found)


@pytest.mark.parametrize(
    "odd",
    [
        "na",
        "[00:99.00]na",
        "[-1:10.00]na",
        "[00:1e3]na",
        "[00:10.00na",
        "[Chorus]",
        "[offset:soon]",
        '{"t":0,"c":[{"tx":"lyricist: "},{"tx":"Ann"}]}',
    ],
)
def test_an_odd_line_is_passed_over_and_counted(odd):
    found = read_lrc(f"[00:10.00]la\n\n{odd}\n[00:12.00]mi")
    assert (found.lyrics, [word.start for word in found.words]) == ("la\nmi", [10, 12])
    assert found.notes == (f"1 odd line passed over (line 3: {odd[:40]})",)


@pytest.mark.parametrize("text", ["[00:10.00]<00:09.00>la", "[00:10]<00:12>la <00:11>na"])
def test_times_that_go_backwards_in_a_line_are_not_used(text):
    found = read_lrc(text)
    assert found.words[0].start == 10
    assert "1 odd line" in found.notes[0]


@pytest.mark.parametrize(
    "head", ["[ti:Some Song [Live] (Remastered)]", "[t_time:(00:12)]", "[#:c]", "[tool: x]", "[length: 05:25]", "[by:]", ""]
)
def test_headers_are_no_words(head):
    found = read_lrc(f"{head}\n[00:01.00]la\n[00:03.00]na\n")
    assert (found.lyrics, found.notes) == ("la\nna", ())


@pytest.mark.parametrize("text", ["la na\nmi", "[ar:Ann]\nla na\nmi", ""])
def test_without_times_it_is_lyrics_alone(text):
    found = read_lrc(text)
    assert found.lyrics == text
    assert found.words == ()
    assert "no line of words begins with a time" in found.notes[0]


def test_the_first_of_two_languages_counts():
    found = read_lrc("[00:01.00]深秋嫩绿\n[00:01.00]deep autumn\n[00:05.00]亲吻着我\n[00:05.00]kisses me\n")
    assert [word.text for word in found.words] == found.lyrics.split() == ["深秋嫩绿", "亲吻着我"]
    assert found.words[0].end > found.words[0].start + 1
    assert found.notes == ("2 lines with the time of the one before passed over, as of a translation",)


@pytest.mark.parametrize("singer", ["F: ", "M: ", "D: ", "v1: ", "v2:", "bg: "])
def test_who_sings_is_not_sung(singer):
    assert read_lrc(f"[00:01.00]{singer}la na").lyrics == "la na"


def test_lines_may_have_the_times_of_their_words_alone():
    assert times("<00:01.00>la <00:02.00>na<00:03.00>") == {"la": (1, 1.667), "na": (2, 3)}


def test_what_is_written_is_read_again():
    lyrics = "la  na\n\nmi to su\nre"
    starts = [0.004, 1.5, 59.996, 61.25, 61.25, 3600.126]
    words = tuple(Word(text, start, start + 0.25) for text, start in zip(lyrics.split(), starts, strict=True))
    written = write_lrc(lyrics, words)
    assert written.splitlines()[1] == "[01:00.00]<01:00.00>mi <01:01.25>to <01:01.25>su<01:01.50>"
    found = read_lrc(written)
    assert found.lyrics == "la na\nmi to su\nre"
    assert [word.text for word in found.words] == lyrics.split()
    np.testing.assert_allclose([word.start for word in found.words], starts, atol=0.0051)
    ends = [found.words[at].end for at in (1, 4, 5)]
    np.testing.assert_allclose(ends, [words[at].end for at in (1, 4, 5)], atol=0.0051)


def test_lines_that_are_not_sung_are_not_written():
    written = write_lrc("la na\nmi\nto su", [Word("na", 0.0, 1.0), Word("to", 1.0, 2.0)])
    assert written == "[00:00.00]<00:00.00>na<00:01.00>\n[00:01.00]<00:01.00>to<00:02.00>\n"
