"""Tables as spreadsheets and other projects write them: all say the same, and what is not understood is told."""

from __future__ import annotations

import json

import pytest

from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.sources import discover
from jukebox_pl.catalog.tables import table_rows

ROWS = "path,title,artist,genre\na.flac,One,André,Pop\nb.flac,Two,Bo,Rock\n"


@pytest.fixture
def found(tmp_path, make_song):
    """found("name.csv", text): what a table beside a.flac and sub/b.flac lists."""
    for name in ("a.flac", "b.flac", "sub/b.flac"):
        make_song(name)

    def discover_in(name, text, **options):
        path = tmp_path / "songs" / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return discover(path, **options)

    return discover_in


def labels(found):
    return sorted((source.path, source.title, source.artist, source.genre) for source in found.sources)


WRITTEN = {
    "semicolons": ROWS.replace(",", ";"),
    "tabs": ROWS.replace(",", "\t"),
    "bars": ROWS.replace(",", "|"),
    "Excel": "sep=;\r\n" + ROWS.replace(",", ";").replace("\n", "\r\n"),
    "byte order mark": ("\ufeff" + ROWS).encode(),
    "UTF-16": ROWS.encode("utf-16"),
    "UTF-16 without a mark": ROWS.encode("utf-16-le"),
    "cp1252": ROWS.encode("cp1252"),
    "capitals": ROWS.replace("path,title,artist", "File Name, TITLE ,Artist"),
    "unread columns": ROWS.replace("\n", ",\n").replace("genre,", "genre,bpm"),
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN.keys())
def test_tables_of_all_kinds_say_the_same(found, text):
    listed = found("catalog.csv", text)
    assert labels(listed) == [("a.flac", "One", "André", "Pop"), ("b.flac", "Two", "Bo", "Rock")]
    assert listed.skipped == []


def test_what_is_guessed_or_not_read_is_said_once(found):
    (note,) = found("a.csv", WRITTEN["cp1252"]).notes
    assert note == "a.csv is not UTF-8: read as cp1252; save it as UTF-8 if its names are wrong"
    (note,) = found("b.csv", WRITTEN["unread columns"]).notes
    assert note == "b.csv has columns that are not read: bpm"
    (note,) = found("c.csv", "path,title\na.flac,One\nb.flac,Two, the second\n").notes
    assert note == (
        "c.csv has lines with more cells than columns (1, the first is line 3): put cells that hold ',' in quotes"
    )


@pytest.mark.parametrize("column", ["path", "Path", "file_name", "filepath", "FILE PATH", "audio", "audio-path", "wav"])
def test_a_path_by_any_name(found, column):
    assert [source.path for source in found("t.csv", f"{column}\na.flac\n").sources] == ["a.flac"]
    line = json.dumps({column: "a.flac"})
    assert [source.path for source in found("t.jsonl", line).sources] == ["a.flac"]
    assert [source.path for source in found("t.json", f"[{line}]").sources] == ["a.flac"]


def test_file_names_of_one_column_may_hold_commas(found, make_song):
    make_song("Hello, World; again.flac")
    assert [source.path for source in found("t.csv", "path\nHello, World; again.flac\n").sources] == [
        "Hello, World; again.flac"
    ]


def test_tables_of_other_projects(found):
    audiocraft = {"path": "a.flac", "duration": 2.0, "sample_rate": 8000, "amplitude": None, "weight": None}
    assert [source.path for source in found("data.jsonl", json.dumps(audiocraft)).sources] == ["a.flac"]
    folder = {"file_name": "sub/b.flac", "text": "la la\nna na", "genre": ["Pop", "Folk"]}
    (source,) = found("metadata.jsonl", json.dumps(folder)).sources
    assert (source.path, source.text, source.genre) == ("sub/b.flac", "la la\nna na", "Pop;Folk")
    sounds = {"audio": {"path": "a.flac", "bytes": None}}
    assert [source.path for source in found("sounds.jsonl", json.dumps(sounds)).sources] == ["a.flac"]


@pytest.mark.parametrize("cell", ['"[""Rock"", ""Pop""]"', "\"['Rock', 'Pop']\"", "Rock;Pop"])
def test_a_list_of_genres_is_several(found, cell):
    assert found("t.csv", f"path,genre\na.flac,{cell}\n").sources[0].genre == "Rock;Pop"


def test_windows_writes_paths_in_its_own_way(found, tmp_path):
    listed = found("t.csv", "path,lyrics\r\nsub\\b.flac,sub\\b.txt\r\nC:\\Music\\a.flac,\r\n")
    assert [(source.path, source.lyrics) for source in listed.sources] == [("sub/b.flac", "sub\\b.txt")]
    (tmp_path / "songs/sub/b.txt").write_text("la")
    listed = found("t.csv", "path,lyrics\r\nsub\\b.flac,sub\\b.txt\r\nC:\\Music\\a.flac,\r\n")
    assert [(source.path, source.lyrics) for source in listed.sources] == [("sub/b.flac", "sub/b.txt")]
    assert [skip["reason"] for skip in listed.skipped] == ["no such file"]


LYRICS = {
    "one line, several words": "la la la na na",
    "one word": "Hallelujah",
    "lines": "la la\nna.txt",
    "dots": "Oh... yes",
}


@pytest.mark.parametrize("lyrics", LYRICS.values(), ids=LYRICS.keys())
def test_lyrics_may_stand_in_the_table(found, lyrics):
    (source,) = found("t.jsonl", json.dumps({"path": "a.flac", "lyrics": lyrics})).sources
    assert (source.lyrics, source.text, source.has_lyrics) == ("", lyrics, True)


@pytest.mark.parametrize("name", ["a.txt", "a song.LRC", "no ending", "missing.txt", "lyrics/missing song.docx"])
def test_what_names_a_file_is_no_text(found, tmp_path, name):
    if "missing" not in name:
        (tmp_path / "songs" / name).write_text("la")
    (source,) = found("t.jsonl", json.dumps({"path": "a.flac", "lyrics": name})).sources
    assert (source.lyrics, source.text, source.has_lyrics) == (name, "", "missing" not in name)


def test_absolute_paths_and_links_into_trusted_folders(found, tmp_path, make_song):
    there = make_song("../store/deep/c.flac")
    (tmp_path / "songs/link.flac").symlink_to(there)
    rows = f"path,lyrics\n{there},{there.with_suffix('.txt')}\n../songs/a.flac,\n"
    there.with_suffix(".txt").write_text("la")
    (refused,) = found("t.csv", rows).skipped
    assert refused["reason"].startswith(
        "leaves the catalog's folder: move the file into it, or name its folder in trusted_roots"
    )
    listed = found("t.csv", rows + "link.flac,\n", trusted_roots=[tmp_path / "store"])
    assert sorted(source.path for source in listed.sources) == ["../store/deep/c.flac", "a.flac"]
    assert [skip["reason"] for skip in listed.skipped] == ["listed twice, the same file as ../store/deep/c.flac"]
    assert all(source.file(source.path).is_file() for source in listed.sources)
    assert {source.has_lyrics for source in listed.sources} == {True, False}


def test_a_json_that_is_no_list_is_told(tmp_path):
    (tmp_path / "t.json").write_text('{"path": "a"}')
    with pytest.raises(ValueError, match="cannot be read: expected a list like"):
        list(table_rows(tmp_path / "t.json", []))


def test_a_deep_json_is_told(tmp_path):
    (tmp_path / "t.jsonl").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="cannot be read"):
        list(table_rows(tmp_path / "t.jsonl", []))


def test_trusted_roots_that_are_not_there_are_told(found, tmp_path):
    with pytest.raises(ValueError, match=r"trusted_roots=.*gone: expected folders that are there"):
        found("t.csv", "path\na.flac\n", trusted_roots=[tmp_path / "gone"])
    assert PrepareSettings(tmp_path, tmp_path / "out").trusted_roots is None
