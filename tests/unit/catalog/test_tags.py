"""Labels from tags of every format, and names that are fit to be learned."""

from __future__ import annotations

import shutil
import struct
import subprocess
import unicodedata

import mutagen
import pytest
from mutagen.aiff import AIFF
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, TCON, TIT2, TPE1, TPE2
from mutagen.wave import WAVE

from jukebox_pl.catalog.prepare import prepare
from jukebox_pl.catalog.tags import clean_labels, read_header

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
SAID = {"title": "Ä title", "artist": "Ärtist", "genre": "Jazz"}


@pytest.fixture
def song(make_song):
    """song("mp3"): a file without tags."""

    def make(ending):
        path = make_song("file.wav", rate=48_000)
        if ending != "wav":
            other = path.with_name(f"file.{ending}")
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, "-map_metadata", "-1", other], check=True)
            return other
        return path

    return make


@needs_ffmpeg
@pytest.mark.parametrize("ending", ["mp3", "flac", "ogg", "opus", "m4a", "wma", "wv", "oga"])
def test_tags_of_every_format_say_the_same(song, ending):
    path = song(ending)
    file = mutagen.File(path, easy=True)
    names = {"title": "Title", "artist": "Author", "genre": "WM/Genre"} if ending == "wma" else {name: name for name in SAID}
    if file.tags is None:
        file.add_tags()
    for label, text in SAID.items():
        file[names[label]] = [text]
    file.save()
    assert read_header(path, tagged=True)[0] == SAID
    assert read_header(path, tagged=False)[0] == {}


def id3(**frames):
    kinds = {"title": TIT2, "artist": TPE1, "genre": TCON, "band": TPE2}
    return [kinds[name](encoding=3, text=text) for name, text in frames.items()]


@needs_ffmpeg
@pytest.mark.parametrize(("ending", "opens"), [("wav", WAVE), ("aiff", AIFF)])
def test_id3_in_wav_and_aiff(song, ending, opens):
    path = song(ending)
    file = opens(path)
    file.add_tags()
    for frame in id3(**SAID):
        file.tags.add(frame)
    file.save()
    assert read_header(path, tagged=True)[0] == SAID


def test_text_chunks_of_a_wav(song):
    path = song("wav")
    body = b"INFO"
    for name, text in ((b"INAM", b"A title\0"), (b"IART", b"Artist\0\0"), (b"IGNR", b"Jazz")):
        body += name + struct.pack("<I", len(text)) + text
    data = path.read_bytes()[12:] + b"LIST" + struct.pack("<I", len(body)) + body
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(data)) + b"WAVE" + data)
    assert read_header(path, tagged=True)[0] == {"title": "A title", "artist": "Artist", "genre": "Jazz"}


@needs_ffmpeg
def test_an_mp3_with_apev2_alone_and_beside_id3(song):
    path = song("mp3")
    tags = APEv2()
    for name, text in SAID.items():
        tags[name.capitalize()] = text
    tags.save(path)
    assert read_header(path, tagged=True)[0] == SAID
    ID3().save(path)
    both = ID3(path)
    both.add(TIT2(encoding=3, text="other"))
    both.save(path)
    assert read_header(path, tagged=True)[0] == SAID | {"title": "other"}


@needs_ffmpeg
def test_who_an_album_is_by_where_no_song_says(song):
    path = song("mp3")
    tags = ID3()
    for frame in id3(band="Band"):
        tags.add(frame)
    tags.save(path)
    assert read_header(path, tagged=True)[0] == {"artist": "Band"}


@pytest.mark.parametrize(
    "data", [b"", b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xffINFO", b"fLaC"]
)
def test_damaged_tags_are_none(tmp_path, data):
    for ending in ("mp3", "wav", "flac", "m4a", "ogg", "aiff", "wma", "ape"):
        path = tmp_path / f"a.{ending}"
        path.write_bytes(data)
        assert read_header(path, tagged=True)[0] == {}


def labels(**changes):
    cleaned, warnings = clean_labels({"title": "", "artist": "", "genre": ""} | changes)
    return cleaned, list(warnings)


@pytest.mark.parametrize("name", ["Björk\0\0", " Björk  ", "Bjo\u0308rk", "\ufeffBjörk", "Bj\u200börk", "Björk\n", "Björk;"])
def test_what_looks_the_same_is_one_name(name):
    cleaned, warnings = labels(artist=name)
    assert (cleaned["artist"], warnings) == ("Björk", [])


def test_names_in_other_scripts_stay():
    for name in ("深秋", "Сергей", "محمّد", "می‌خواهم", "AC/DC", "Simon & Garfunkel", "Mötley Crüe", "ＡＢＣ"):
        assert labels(artist=name) == (labels(artist=unicodedata.normalize("NFC", name))[0], [])
        assert labels(artist=name)[0]["artist"] == unicodedata.normalize("NFC", name)


def test_of_several_artists_the_first_counts_and_the_others_are_named():
    cleaned, warnings = labels(artist="Ann; Bo;Cy", title="A;B", genre="Pop;Rock")
    assert cleaned == {"title": "A;B", "artist": "Ann", "genre": "Pop;Rock"}
    assert warnings == ["artist 'Ann' is the first of several, the others are left out: Bo, Cy"]


@pytest.mark.parametrize(("name", "encoding"), [("Сергей Бабкин", "cp1251"), ("蔡淳佳", "gbk"), ("さくら", "cp932")])
def test_garbled_names_are_repaired_and_said(name, encoding):
    garbled = name.encode(encoding).decode("latin-1")
    cleaned, (warning,) = labels(artist=garbled)
    assert cleaned["artist"] == name
    assert warning.endswith(f"has garbled letters: read as {name!r}")


@needs_ffmpeg
def test_several_artists_of_one_file_are_told_in_its_warnings(song, settings):
    path = song("mp3")
    tags = ID3()
    for frame in id3(artist=["Ann", "Bo"], genre="(17)Rock"):
        tags.add(frame)
    tags.save(path)
    path.rename(path.parent / "a.mp3")
    (path.parent / "file.wav").unlink()
    (entry,) = prepare(settings()).songs("train")
    assert (entry["artist"], entry["genres"]) == ("Ann", ["Rock"])
    assert "artist 'Ann' is the first of several, the others are left out: Bo" in entry["warnings"]


def test_one_artist_in_two_unicode_forms_is_one_name(make_song, settings):
    for form in ("NFC", "NFD"):
        make_song(f"{unicodedata.normalize(form, 'Björk')}/{form}.flac")
    assert prepare(settings()).artists == ["Björk"]
