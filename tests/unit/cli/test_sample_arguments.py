"""Lyrics and adapters as people give them to `sample`."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from jukebox_pl.cli import sample_arguments
from jukebox_pl.cli.sample_arguments import adapters_of, read_lyrics
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


@pytest.fixture
def adapter(monkeypatch):
    """A file that has levels 1 and 2, nobody made it."""
    record = SimpleNamespace(levels={"1": None, "2": None})
    monkeypatch.setattr(sample_arguments, "read_adapter", lambda path: SimpleNamespace(path=path, record=record))


@pytest.mark.parametrize(
    ("given", "strength", "used"),
    [
        (None, 0.5, []),
        ("a", 0.5, [("a", {1: 0.5, 2: 0.5})]),
        ("a", [0, 0.25, 1], [("a", {0: 0, 1: 0.25, 2: 1})]),
        (["a", "b"], 1, [("a", {1: 1, 2: 1}), ("b", {1: 1, 2: 1})]),
        ({"a": 0.7, "b": [0, -1]}, 1, [("a", {1: 0.7, 2: 0.7}), ("b", {0: 0, 1: -1})]),
    ],
)
def test_adapters_are_one_or_several_each_with_its_strength(given, strength, used, adapter):
    uses = adapters_of(OmegaConf.create({"adapter": given, "strength": strength}))
    assert [(use.adapter.path, use.strengths) for use in uses] == used


@pytest.mark.parametrize("strength", [math.nan, math.inf, 5, "much", None, [0, math.nan]])
def test_a_strength_that_is_none_is_refused(strength, adapter):
    with pytest.raises(UserError, match=r"strength=.*: expected a number of at least -4.0 and at most 4"):
        adapters_of(OmegaConf.create({"adapter": "a", "strength": strength}))


def test_a_level_that_an_adapter_has_not_is_named(adapter):
    with pytest.raises(UserError, match="a has no level 0, only 1, 2"):
        adapters_of(OmegaConf.create({"adapter": "a", "strength": [1, 1, 1]}))
