"""What a folder or a table lists, and what each broken one is told."""

from __future__ import annotations

import json
import os
import unicodedata

import pytest

from jukebox_pl.catalog.sources import discover, song_id
from jukebox_pl.errors import UserError


def by_path(sources) -> dict:
    return {source.path: source for source in sources}


def reasons(skipped) -> dict[str, str]:
    return {skip["path"]: skip["reason"] for skip in skipped}


def table(tmp_path, text: str | bytes, name: str = "songs/catalog.csv"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_folder_lists_its_songs_with_the_lyrics_beside_them(tmp_path, make_song):
    for name in ("Artist/Album/One v1.2.flac", "loose.WAV", "Artist/._One.flac", ".hidden/x.flac"):
        make_song(name)
    folder = tmp_path / "songs"
    (folder / "Artist/Album/One v1.2.txt").write_text("la")
    (folder / "Artist/Album/One v1.2.words.json").write_text("[]")
    (folder / "loose.lrc").write_text("[00:01.00]la")
    sources, skipped, *_ = discover(folder)
    found = by_path(sources)
    assert skipped == []
    assert found.keys() == {"Artist/Album/One v1.2.flac", "loose.WAV"}
    one, loose = found["Artist/Album/One v1.2.flac"], found["loose.WAV"]
    assert (one.artist, one.title, one.lyrics, one.words, one.id) == (
        "Artist", "One v1.2", "Artist/Album/One v1.2.txt", "Artist/Album/One v1.2.words.json", song_id(one.path),
    )  # fmt: skip
    assert one.has_lyrics
    assert (loose.artist, loose.title, loose.lyrics, loose.words) == ("", "loose", "loose.lrc", "loose.lrc")


def test_a_csv_and_a_jsonl_say_the_same(tmp_path, make_song):
    make_song("a/ä 1.flac")
    row = {"path": "a/ä 1.flac", "title": 'x, "y"\u2028z', "artist": "N;N", "genre": "Pop;Rock", "license": "CC0"}
    quoted = ",".join('"' + value.replace('"', '""') + '"' for value in row.values())
    from_csv, *_ = discover(table(tmp_path, "\ufeff" + ", ".join(row) + "\r\n" + quoted + "\r\n\r\n"))
    line = json.dumps(row | {"genre": ["Pop", "Rock"], "lyrics": None}, ensure_ascii=False)
    from_jsonl, *_ = discover(table(tmp_path, line + "\n\n", "songs/catalog.jsonl"))
    assert from_csv == from_jsonl
    assert from_csv[0].title == row["title"]
    assert from_csv[0].genre == "Pop;Rock"


UNREADABLE = {
    "no path column": ("where,title\na.mp3,x\n", "has no column path, found: where, title"),
    "nothing": ("", "has no column path, found: none"),
    "header alone": ("path,title\n", "lists no songs"),
    "open quote": ('path\n"a.mp3\n', "cannot be read: line 2: unexpected end of data"),
    "misspelt column": ("path,artst\na.mp3,b\n", "did you mean 'artist'"),
}


@pytest.mark.parametrize(("text", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_table_is_told_why(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        discover(table(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"), [('{"path": "a"}\n{"path"', "line 2"), ("[1]", "expected an object"), ("", "no column path")]
)
def test_an_unreadable_jsonl_is_told_why(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        discover(table(tmp_path, text, "songs/catalog.jsonl"))


def test_no_catalog_and_no_songs(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        discover(tmp_path / "missing")
    with pytest.raises(UserError, match=r"looked for files that hold sound, found nothing"):
        discover(tmp_path)
    with pytest.raises(UserError, match=r"neither a folder nor one of \.csv, \.tsv, \.jsonl, \.json"):
        discover(table(tmp_path, "x", "songs/catalog.xlsx"))


def test_paths_that_leave_the_catalog_are_skipped(tmp_path, make_song):
    make_song("in.flac")
    make_song("../out.flac")
    (tmp_path / "songs/link.flac").symlink_to(tmp_path / "out.flac")
    (tmp_path / "songs/loop.flac").symlink_to(tmp_path / "songs/loop.flac")
    paths = [
        "in.flac",
        "../out.flac",
        str(tmp_path / "out.flac"),
        "link.flac",
        "loop.flac",
        "gone.flac",
        "",
        "a\0b",
        "x" * 5000,
    ]
    sources, skipped, *_ = discover(
        table(tmp_path, "\n".join(json.dumps({"path": path}) for path in paths), "songs/catalog.jsonl")
    )
    found = reasons(skipped)
    assert [source.path for source in sources] == ["in.flac"]
    assert found.keys() == set(paths[1:])
    assert all("leaves the catalog" in found[path] for path in paths[1:4])
    assert found["gone.flac"] == "no such file"
    assert found[""] == "its row has no path"


def test_a_song_listed_twice_counts_once(tmp_path, make_song):
    make_song("a.flac")
    (tmp_path / "songs/b.flac").symlink_to("a.flac")
    sources, skipped, *_ = discover(table(tmp_path, "path\na.flac\n./a.flac\nb.flac\n"))
    assert [source.path for source in sources] == ["a.flac"]
    assert set(reasons(skipped).values()) == {"listed twice, the same file as a.flac"}


def test_names_that_differ_in_case_or_normalisation_are_two_songs(tmp_path, make_song):
    names = [unicodedata.normalize(form, "Ä.flac") for form in ("NFC", "NFD")] + ["ä.flac"]
    for name in names:
        make_song(name)
    if len(os.listdir(tmp_path / "songs")) < 3:
        pytest.skip("this disk takes these names for the same")
    sources, skipped, *_ = discover(tmp_path / "songs")
    assert len({source.id for source in sources}) == 3
    assert skipped == []
    (tmp_path / "songs" / names[0]).unlink()
    alone, *_ = discover(tmp_path / "songs")
    assert by_path(alone)[names[1]].id == song_id(names[0])


def test_a_name_that_is_no_text_is_skipped(tmp_path, make_song):
    good = make_song("a.flac")
    try:
        os.link(good, os.fsencode(good.parent) + b"/\xff.flac")
    except OSError:
        pytest.skip("this disk refuses such names")
    _, skipped, *_ = discover(tmp_path / "songs")
    assert skipped == [{"path": "\\udcff.flac", "reason": "its name is not UTF-8: rename it"}]
