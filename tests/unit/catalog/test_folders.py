"""A folder's files: each is a song, lies beside one, or is counted and named."""

from __future__ import annotations

import os
import unicodedata
import wave

import pytest

from jukebox_pl.catalog.folders import in_words, stem
from jukebox_pl.catalog.prepare import prepare
from jukebox_pl.catalog.sources import discover
from jukebox_pl.errors import UserError, one_line


@pytest.fixture
def folder(tmp_path):
    """folder({"a.txt": "la"}): these files among the songs."""

    def make(files):
        for name, text in files.items():
            path = tmp_path / "songs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "songs"

    return make


def counts(found):
    return {entry["kind"]: entry["files"] for entry in found.passed_over}


def beside(found):
    return {source.path: (source.lyrics, source.words) for source in found.sources}


def test_no_file_is_forgotten(folder, make_song):
    for name in ("a.flac", "B/b.WAV", "B/no ending", "B/02. It's live"):
        make_song(f"{name}.wav").rename(folder({}) / name)
    catalog = folder(
        {
            "a.txt": "la",
            "B/b.lrc": "[00:01.00]la",
            "cover.jpg": b"\xff\xd8\xff\xe0",
            "B/back.JPG": b"\xff\xd8\xff\xe0",
            "B/booklet.pdf": "%PDF",
            "B/a.nfo": "",
            "README": "read me",
            "notes.txt": "no lyrics",
            "a.srt": "1",
            "B/b.txt": "lo",
            "B/._b.WAV": "Mac OS X",
            ".Trash/a.flac": "",
            ".DS_Store": "",
        }
    )
    found = discover(catalog)
    assert beside(found) == {
        "a.flac": ("a.txt", "a.srt"),
        "B/b.WAV": ("B/b.txt", "B/b.lrc"),
        "B/no ending": ("", ""),
        "B/02. It's live": ("", ""),
    }
    assert counts(found) == {
        "hidden": 3, ".jpg": 2, ".nfo": 1, ".pdf": 1, ".txt (beside no song)": 1, "without an ending": 1,
    }  # fmt: skip
    assert in_words(found.passed_over).startswith("3 hidden, 2 .jpg, 1 .nfo")
    assert found.passed_over[0]["such_as"] == [".DS_Store", ".Trash", "B/._b.WAV"]
    all_files = sum(len(files) for _, _, files in os.walk(catalog))
    used = {path for pair in beside(found).values() for path in pair if path}
    assert all_files == len(found.sources) + len(used) + sum(counts(found).values())
    assert {source.title for source in found.sources} >= {"no ending", "02. It's live"}


def test_what_a_song_has_twice_is_named(folder, make_song):
    make_song("a.flac")
    found = discover(folder({"a.txt": "la", "a.lyrics": "la", "a.srt": "1", "a.vtt": "WEBVTT", "a.TextGrid": ""}))
    assert beside(found) == {"a.flac": ("a.txt", "a.TextGrid")}
    assert counts(found) == {f"{ending} (their songs have others)": 1 for ending in (".lyrics", ".srt", ".vtt")}


FOUND = {
    "lyrics": ["a.txt", "a.TXT", "A.Txt", "a.lrc", "a.LRC", "a.lyrics", "a_lyrics.txt", "a.lyrics.txt", "a.flac.txt",
               "lyrics/a.txt", "Lyrics/a.TXT", "../Lyrics/a.lrc"],
    "words": ["a.words.csv", "a.Words.csv", "a.words.json", "a.TextGrid", "a.textgrid", "a.srt", "a.SRT", "a.vtt", "a.json",
              "a.csv", "a.tsv", "a.eaf", "a.words.txt", "a.lrc", "words/a.json"],
}  # fmt: skip


@pytest.mark.parametrize(("column", "name"), [(column, name) for column, names in FOUND.items() for name in names])
def test_lyrics_and_times_are_found_by_the_names_that_people_give(folder, make_song, column, name):
    make_song("Ann/a.flac")
    (source,) = discover(folder({f"Ann/{name}": "la"})).sources
    assert getattr(source, column) == os.path.normpath(f"Ann/{name}")
    assert source.has_lyrics


def test_case_and_unicode_form_do_not_matter_and_the_same_name_wins(folder, make_song):
    composed, taken_apart = (unicodedata.normalize(form, "Verän") for form in ("NFC", "NFD"))
    make_song(f"{composed}.flac")
    assert discover(folder({f"{taken_apart}.txt": "la"})).sources[0].lyrics == f"{taken_apart}.txt"
    folder({f"{composed}.txt": "lo"})
    assert discover(folder({})).sources[0].lyrics == f"{composed}.txt"


def test_of_songs_whose_names_differ_in_case_each_has_its_own(folder, make_song):
    make_song("a.flac")
    make_song("A.flac")
    found = discover(folder({"a.txt": "la", "A.txt": "LA"}))
    assert beside(found) == {"a.flac": ("a.txt", ""), "A.flac": ("A.txt", "")}


@pytest.mark.parametrize("length", [249, 250, 251, 255])
def test_the_longest_names_stop_nothing(make_song, settings, length):
    make_song("b.flac")
    song = make_song("a.flac")
    song.rename(song.with_name("a" * (length - 5) + ".flac"))
    assert len(prepare(settings()).songs("train")) == 1


def test_links_lead_into_trusted_folders_only(tmp_path, make_song):
    make_song("a.flac")
    songs, store = tmp_path / "songs", tmp_path / "store"
    for name in ("one.flac", "deep/two.flac"):
        make_song(f"../store/{name}")
    (songs / "one.flac").symlink_to(store / "one.flac")
    (songs / "more").symlink_to(store)
    (songs / "itself").symlink_to(songs)
    (store / "deep/up").symlink_to(store)
    (songs / "broken.flac").symlink_to(tmp_path / "gone")
    found = discover(songs)
    assert [source.path for source in found.sources] == ["a.flac"]
    assert {skip["path"] for skip in found.skipped} == {"one.flac", "broken.flac"}
    assert counts(found) == {"linked folder(s)": 2}
    found = discover(songs, [store])
    assert len(found.sources) == 3
    assert {source.file(source.path).name for source in found.sources} == {"a.flac", "one.flac", "two.flac"}
    assert counts(found) == {"linked folder(s)": 2}  # those that lead in circles


def test_lyrics_by_a_link_are_read_where_links_may_lead(tmp_path, make_song, settings):
    song = make_song("a.flac")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/words.txt").write_text("la la")
    song.with_suffix(".txt").symlink_to(tmp_path / "store/words.txt")
    (entry,) = prepare(settings(out="plain")).songs("train")
    assert (entry["lyrics"], len(entry["warnings"])) == (0, 1)
    (entry,) = prepare(settings(out="trusting", trusted_roots=[str(tmp_path / "store")])).songs("train")
    assert (entry["lyrics"], entry["warnings"]) == (5, [])


def test_what_is_passed_over_is_in_the_catalog(folder, make_song, settings):
    make_song("a.flac")
    folder({"cover.jpg": b"\xff\xd8", "b\n.jpg": b"\xff\xd8"})
    catalog = prepare(settings())
    assert catalog.passed_over == [{"kind": ".jpg", "files": 2, "such_as": ["b\n.jpg", "cover.jpg"]}]


def test_a_folder_without_songs_is_told_what_it_has(folder):
    with pytest.raises(UserError, match=r"no songs in .*: looked for files that hold sound, found only 2 \.jpg, 1 \.pdf"):
        discover(folder({"a.jpg": "", "b.jpg": "", "c.pdf": ""}))


def test_a_table_in_a_folder_is_pointed_out(folder, make_song):
    make_song("a.flac")
    (note,) = discover(folder({"catalog.csv": "path,title\na.flac,One\n", "other.csv": "x,y\n1,2\n"})).notes
    assert note.startswith("catalog.csv lists songs and is not read: catalog=")


def test_an_unreadable_folder_is_counted(folder, make_song, monkeypatch):
    make_song("a.flac")
    (folder({}) / "closed").mkdir()
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert counts(discover(folder({}))) == {"unreadable folder(s)": 1}


CUE = 'PERFORMER "Ann"\nFILE "{file}" WAVE\n' + "".join(f"  TRACK {n:02} AUDIO\n    INDEX 01 00:00:00\n" for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("sheet", "file"), [("album.cue", "album.wav"), ("Album.CUE", "x.wav"), ("cd.cue", "C:\\ALBUM.WAV")]
)
def test_an_album_in_one_file_is_pointed_out(folder, make_song, sheet, file):
    make_song("Ann/album.flac")
    found = discover(folder({f"Ann/{sheet}": CUE.format(file=file)}))
    assert found.notes == ["Ann/album.flac has a cue sheet of 3 tracks; it is one song here: cut it into its tracks"]
    assert counts(found) == {}


def test_a_cue_sheet_of_songs_that_are_cut_already_is_no_news(folder, make_song):
    make_song("1.flac")
    make_song("2.flac")
    found = discover(folder({"album.cue": "".join(f'FILE "{n}.wav" WAVE\n TRACK 0{n} AUDIO\n' for n in (1, 2))}))
    assert (found.notes, counts(found)) == ([], {})


def test_a_cue_sheet_that_cannot_be_read_is_passed_over(folder, make_song):
    make_song("album.flac")
    found = discover(folder({"album.cue": b"\0\1\2", "other.cue": "nothing"}))
    assert (found.notes, counts(found)) == ([], {".cue": 2})


@pytest.mark.parametrize(
    ("name", "without"), [("a.b.mp3", "a.b"), ("02. Song", "02. Song"), (".x", ".x"), ("a", "a"), ("v1.2", "v1")]
)
def test_an_ending_has_no_blanks(name, without):
    assert stem(name) == without


def test_text_from_outside_is_one_harmless_line():
    assert one_line("Ä 深秋 🎵 a") == "Ä 深秋 🎵 a"
    assert one_line("a\nb\x1b[31mc\u2028d\udce9") == "a\\nb\\x1b[31mc\\u2028d\\udce9"


def test_random_bytes_are_no_song(folder, make_song, tmp_path):
    make_song("a.flac")
    with wave.open(str(folder({}) / "b.sound"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    found = discover(folder({"c.bin": bytes(range(256)) * 64}))
    assert [source.title for source in sorted(found.sources, key=lambda source: source.path)] == ["a", "b"]
    assert counts(found) == {".bin": 1}
