"""Lyrics as people give them to `sample`."""

from __future__ import annotations

import pytest

from jukebox_pl.cli.sample_arguments import read_lyrics
from jukebox_pl.errors import UserError

FILES = {
    "plain.txt": "la na\nmi\n",
    "UP.TXT": "la na\nmi\n",
    "song.lrc": "[ti:Song]\n[00:00.50]la na\n[00:01.00]mi\n",
    "song.srt": "1\n00:00:01,000 --> 00:00:02,500\nla na\n\n2\n00:00:03,000 --> 00:00:04,500\nmi\n",
    "song.vtt": "WEBVTT\n\n00:01.000 --> 00:02.500\nla na\nmi\n",
    "tags.txt": "[Verse 1]\nla na\n(x2)\nmi\n",
    "lyrics": "la na\nmi",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_sung_without_what_is_not(name, encoding, tmp_path):
    (tmp_path / name).write_text(FILES[name].replace("\n", "\r\n"), encoding=encoding)
    assert read_lyrics(str(tmp_path / name)).strip() == "la na\nmi"


def test_a_file_in_another_encoding_is_told(tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes("olé mañana".encode("latin-1"))
    assert read_lyrics(str(tmp_path / "a.txt")) == "olé mañana"
    assert "read as cp1252" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.txt", "missing.TXT", "missing.lrc", "a folder/missing.SRT", "missing.docx"])
def test_what_looks_like_a_path_is_one(name):
    with pytest.raises(UserError, match=f"there is no file {name}"):
        read_lyrics(name)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(UserError, match=r"cannot read the lyrics in .*a\.docx: is not text"):
        read_lyrics(str(tmp_path / "a.docx"))


@pytest.mark.parametrize(
    ("text", "sung"),
    [
        ("la na, mi (ooh)", "la na, mi (ooh)"),
        ("la\\nna", "la\nna"),
        ("[Verse 1] la, na: {mi} #so", "la, na: {mi} #so"),
        ("la " * 2000, "la " * 2000),
        ("la.txt\nna", "la.txt\nna"),
        ("a\0b", "a\0b"),
        ("深秋嫩绿", "深秋嫩绿"),
    ],
)
def test_words_are_given_as_they_are(text, sung):
    assert read_lyrics(text) == sung


def test_section_tags_may_be_kept():
    assert read_lyrics("[Verse 1]\\nla", "keep") == "[Verse 1]\nla"
    assert read_lyrics("[Verse 1]\\nla", "tokens") == "§\nla"
    with pytest.raises(UserError, match="sections=drop: expected strip or keep or tokens"):
        read_lyrics("la", "drop")
