"""Lyrics in tags."""

from __future__ import annotations

import shutil
import subprocess

import mutagen
import pytest
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, SYLT, USLT

from jukebox_pl.catalog.lyrics import read_text
from jukebox_pl.catalog.sources import Source
from jukebox_pl.catalog.word_times.tags import lyrics_of_tags

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
LYRICS = "[Verse 1]\nla là\nna\n"
LRC = "[00:00.50]la là\n[00:01.00]na\n"


@pytest.fixture
def encoded(make_song, request):
    wav = make_song("A/song.wav", rate=48_000)
    path = wav.with_suffix(f".{request.param}")
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", wav, path], check=True)
    return path


@needs_ffmpeg
@pytest.mark.parametrize("encoded", ["mp3", "ogg", "flac", "m4a", "opus"], indirect=True)
@pytest.mark.parametrize("text", [LYRICS, LRC])
def test_lyrics_are_found_in_tags(encoded, text):
    tags = mutagen.File(encoded)
    if encoded.suffix == ".mp3":
        tags.tags.add(USLT(encoding=3, lang="eng", desc="", text=text))
    else:
        tags["\xa9lyr" if encoded.suffix == ".m4a" else "LYRICS"] = [text]
    tags.save()
    lyrics, words, warnings = read_text(Source("id", encoded.parent, encoded.name))
    assert lyrics.split() == ["la", "là", "na"]
    assert [word.text for word in words] == (lyrics.split() if text == LRC else [])
    assert warnings == (() if text == LRC else ("section tags and the like left out of the lyrics: 1",))


@needs_ffmpeg
@pytest.mark.parametrize("encoded", ["mp3"], indirect=True)
@pytest.mark.parametrize(
    "pieces",
    [[("la là", 500), ("na", 1000)], [("la", 500), (" là", 700), ("\nna", 1000)], [("la là\n", 500), ("na\n", 1000)]],
)
def test_synchronised_lyrics_bring_their_times(encoded, pieces):
    tags = ID3(encoded)
    tags.add(SYLT(encoding=3, lang="eng", format=2, type=1, desc="", text=pieces))
    tags.add(USLT(encoding=3, lang="eng", desc="", text="la là\nna"))
    tags.save(encoded)
    found = lyrics_of_tags(encoded)
    assert [word.text for word in found.words] == found.lyrics.split() == ["la", "là", "na"]
    assert (found.words[0].start, found.words[2].start) == (0.5, 1.0)


@needs_ffmpeg
@pytest.mark.parametrize("encoded", ["mp3"], indirect=True)
def test_other_tags_than_id3_are_read_too(encoded):
    ID3().save(encoded)
    ID3(encoded).delete(encoded)
    tags = APEv2()
    tags["Lyrics"] = LYRICS
    tags.save(encoded)
    assert "la là" in lyrics_of_tags(encoded).lyrics


def test_what_has_no_tags_has_no_lyrics(make_song, tmp_path):
    (tmp_path / "noise.mp3").write_bytes(bytes(range(256)) * 20)
    assert lyrics_of_tags(make_song("a.wav")) == lyrics_of_tags(tmp_path / "noise.mp3") == ("", (), ())


def test_a_file_beside_the_song_counts_before_its_tags(source, tmp_path):
    made = source({"a.txt": "from the file"}, lyrics="a.txt")
    tags = mutagen.File(tmp_path / "songs/a.flac")
    tags["LYRICS"] = ["from the tags"]
    tags.save()
    assert read_text(made)[0] == "from the file"
    assert read_text(Source("id", tmp_path / "songs", "a.flac"))[0] == "from the tags"
