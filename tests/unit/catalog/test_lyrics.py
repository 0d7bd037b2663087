"""Lyrics and the times of their words, from the files beside a song."""

from __future__ import annotations

import pytest

from jukebox_pl.catalog.lyrics import read_text
from jukebox_pl.catalog.reading import load_song
from jukebox_pl.types import Word

CSV = "word_start,word_end,line_end\n0.5,0.75,nan\n0.75,1.5,1.5\n"


@pytest.mark.parametrize(("name", "times"), [("w.csv", CSV), ("w.json", '[["la", 0.5, 0.75], ["là", 0.75, 1.5]]')])
def test_words_take_their_text_from_the_lyrics(source, name, times):
    lyrics, found, warnings = read_text(source({"a.txt": "la\n là\n", name: times}, lyrics="a.txt", words=name))
    assert lyrics == "la\n là\n"
    assert found == (Word("la", 0.5, 0.75), Word("là", 0.75, 1.5))
    assert warnings == ()


BAD_WORDS = {
    "another count": ("w.csv", CSV, "w.csv has times for 2 words, the lyrics have 3"),
    "ends first": ("w.json", '[["", 0, 1], ["", 2, 1], ["", 3, 4]]', "does not end after it starts"),
    "no time": ("w.csv", "word_start,word_end\n" + "nan,nan\n" * 3, "does not end after it starts"),
    "backwards": (
        "w.csv",
        "word_start,word_end\n3,4\n2,3\n1,2\n",
        "w.csv word 2 (la) starts at 2 s, before the one before it",
    ),
    "other columns": ("w.csv", "a,b\n1,2\n", "w.csv: no columns word_start and word_end"),
    "no number": ("w.csv", "word_start,word_end\nsoon,2\n", "w.csv: row 1: expected a time in seconds, found 'soon'"),
    "not json": ("w.json", "{", "w.json: is not JSON"),
    "other json": ("w.json", '{"text": "la"}', "w.json: no words with times: expected"),
    "other kind": ("w.xyz", "la", "w.xyz: is none of .lrc, .srt"),
    "no lines": ("w.lrc", "", "w.lrc: no line of words begins with a time"),
    "other words": (
        "w.json",
        '[["x", 0, 1], ["la", 1, 2], ["y", 3, 4]]',
        "w.json 1 of the 3 words of the lyrics are among its 3",
    ),
    "no cue": ("w.srt", "la", "w.srt: no cue"),
    "half": ("w.TextGrid", '"ooTextFile" "TextGrid" 0 1', "w.TextGrid: is no whole TextGrid"),
}


@pytest.mark.parametrize(("name", "text", "message"), BAD_WORDS.values(), ids=BAD_WORDS.keys())
def test_bad_words_are_left_out_and_the_lyrics_kept(source, settings, name, text, message):
    made = source({"a.txt": "la la la", name: text}, lyrics="a.txt", words=name)
    song, _, (warning,), _ = load_song(made, settings())
    assert (song.lyrics, song.words) == ("la la la", ())
    assert message in warning


LRC = "[ti:Song]\n[00:00.50]la\n[00:00.75]là\n[00:01.50]\n"


@pytest.mark.parametrize(
    "fields", [{"lyrics": "a.lrc"}, {"lyrics": "a.lrc", "words": "a.lrc"}, {"lyrics": "a.txt", "words": "a.lrc"}]
)
def test_an_lrc_file_is_lyrics_and_their_times(source, fields):
    lyrics, words, warnings = read_text(source({"a.lrc": LRC, "a.txt": "la\nlà"}, **fields))
    assert (lyrics.strip(), warnings) == ("la\nlà", ())
    assert words == (Word("la", 0.5, 0.75), Word("là", 0.75, 1.5))


@pytest.mark.parametrize(
    ("name", "message"), [("gone.txt", "no such file"), ("../a.txt", "leaves"), ("zeros.txt", "not text")]
)
def test_bad_lyrics_are_left_out(source, tmp_path, settings, name, message):
    (tmp_path / "a.txt").write_text("secret")
    made = source({}, lyrics=name)
    (tmp_path / "songs/zeros.txt").write_bytes(bytes(100))
    song, _, (warning,), _ = load_song(made, settings())
    assert song.lyrics == ""
    assert warning.startswith(f"lyrics left out: {name}")
    assert message in warning


def test_missing_words_are_left_out(source, settings):
    made = source({"a.txt": "la"}, lyrics="a.txt", words="gone.csv")
    assert load_song(made, settings()).warnings == ("word times left out: gone.csv: no such file",)


TAGGED = "[Verse 1]\nla na\n[Chorus] (x2)\nTwo, mi!\n"
WORDS = ("la", "na", "Two,", "mi!")
STARTS = [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.csv", "word_start,word_end\n1,1.5\n2,2.5\n3,3.5\n4,4.5\n"),
        ("w.csv", "word_start,word_end\n0,0\n0,0\n1,1.5\n2,2.5\n2,2\n2,2\n3,3.5\n4,4.5\n"),  # those of the tags, too
        ("w.json", '[["la", 1, 1.5], ["NA", 2, 2.5], ["two", 3, 3.5], ["mi", 4, 4.5]]'),
        ("w.json", '[["la", 1, 1.5], ["ooh", 1.6, 1.7], ["na", 2, 2.5], ["two", 3, 3.5], ["mi", 4, 4.5]]'),
    ],
)
def test_times_fit_what_is_sung(source, name, text):
    lyrics, words, warnings = read_text(source({"a.txt": TAGGED, name: text}, lyrics="a.txt", words=name))
    assert lyrics == "la na\nTwo, mi!"
    assert (tuple(word.text for word in words), [word.start for word in words]) == (WORDS, STARTS)
    assert warnings == ("section tags and the like left out of the lyrics: 3",)


def test_section_tags_may_be_kept(source):
    made = source({"a.txt": TAGGED}, lyrics="a.txt")
    assert read_text(made, "keep")[0] == TAGGED
    assert read_text(made, "tokens")[0] == "§\nla na\n§\nTwo, mi!"


def test_an_instrumental_has_no_lyrics(source):
    assert read_text(source({"a.txt": "[Instrumental]\n"}, lyrics="a.txt"))[0] == ""


@pytest.mark.parametrize("name", ["w.srt", "w.lrc", "w.json"])
def test_lyrics_come_from_the_times_where_there_are_no_others(source, name):
    text = {
        "w.srt": "1\n00:00:01,000 --> 00:00:02,500\nla na\n\n2\n00:00:03,000 --> 00:00:04,500\ntwo mi\n",
        "w.lrc": "[00:01.00]la na\n[00:03.00]two mi\n",
        "w.json": '{"segments": [{"start": 1, "end": 2.5, "text": " la na"}, {"start": 3, "end": 4.5, "text": " two mi"}]}',
    }[name]
    lyrics, words, warnings = read_text(source({name: text}, words=name))
    assert (lyrics, warnings) == ("la na\ntwo mi", ())
    assert [word.text for word in words] == lyrics.split()
    assert [word.start for word in words][::2] == [1, 3]


def test_lyrics_in_another_encoding_are_read_with_a_warning(source, tmp_path):
    made = source({}, lyrics="latin.txt")
    (tmp_path / "songs/latin.txt").write_bytes("olé mañana".encode("latin-1"))
    lyrics, _, (warning,) = read_text(made)
    assert lyrics == "olé mañana"
    assert warning.startswith("latin.txt is not UTF-8: read as cp1252")


def test_lyrics_beside_a_song_may_have_notes_and_its_times_none(source):
    made = source(
        {"a.txt": "[Verse]\nla la\nna na\n", "a.lrc": "[00:01.00]♪\n[00:02.00]la la ♪\n[00:03.00]na na\n"},
        lyrics="a.txt",
        words="a.lrc",
    )
    lyrics, words, _ = read_text(made)
    assert lyrics == "la la\nna na"
    assert [word.text for word in words] == ["la", "la", "na", "na"]
