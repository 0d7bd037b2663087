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
    "other columns": ("w.csv", "start,end\n1,2\n", "word_start"),
    "not json": ("w.json", "{", "w.json cannot be read"),
    "other kind": ("w.srt", "", "w.srt is none of .csv, .json, .lrc"),
    "no lines": ("w.lrc", "", "w.lrc cannot be read: no line of words begins with a time"),
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
    ("name", "message"), [("gone.txt", "no such file"), ("../a.txt", "leaves"), ("latin.txt", "not UTF-8")]
)
def test_bad_lyrics_are_left_out(source, tmp_path, settings, name, message):
    (tmp_path / "a.txt").write_text("secret")
    made = source({}, lyrics=name)
    (tmp_path / "songs/latin.txt").write_bytes("là".encode("latin-1"))
    song, _, (warning,), _ = load_song(made, settings())
    assert song.lyrics == ""
    assert warning.startswith(f"lyrics left out: {name}")
    assert message in warning


def test_missing_words_are_left_out(source, settings):
    made = source({"a.txt": "la"}, lyrics="a.txt", words="gone.csv")
    assert load_song(made, settings()).warnings == ("word times left out: gone.csv: no such file",)
