"""From a source to a song: its labels, and the record of what became of it."""

from __future__ import annotations

import json
import shutil
import subprocess

import mutagen
import pytest

from jukebox_pl.catalog.reading import Prepared, load_song
from jukebox_pl.catalog.sources import Source
from jukebox_pl.errors import UserError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def test_a_song_is_measured_as_it_was_before_it_was_resampled(source, settings):
    stats = load_song(source({}), settings(sample_rate=4000)).audio_stats
    assert (stats.sample_rate, stats.channels, stats.seconds) == (8000, 1, 2.0)


def test_what_became_of_a_song_is_kept_as_version_1_kept_it(source, settings, tmp_path):
    """Whose interrupted runs go on."""
    prepared = load_song(source({"a.txt": "la", "w.json": '[["la", 0.5, 1]]'}, lyrics="a.txt", words="w.json"), settings())
    for written in (prepared._replace(warnings=("lyrics left out: x",)), Prepared(None, "silent")):
        written.save(tmp_path / "record")
        assert json.loads((tmp_path / "record").read_bytes()).keys() == {"song", "reason", "warnings", "checkup"}
        assert Prepared.load(tmp_path / "record") == written


def test_a_song_that_could_not_be_read_again_is_refused(source, settings):
    with pytest.raises(UserError, match=r"does not fit at artist: Expected `str` of length <= 10000"):
        load_song(source({}, artist="a" * 10_001), settings())


CSV = "word_start,word_end,line_end\n0.5,0.75,nan\n0.75,1.5,1.5\n"


@needs_ffmpeg
@pytest.mark.parametrize("extension", ["mp3", "ogg", "opus", "flac", "m4a"])
def test_tags_win_over_folder_names(make_song, settings, extension):
    wav = make_song("Folder/file.wav", rate=48_000)
    path = wav.with_suffix(f".{extension}")
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", wav, path], check=True)
    tags = mutagen.File(path, easy=True)
    tags["artist"], tags["genre"] = ["Ärtist"], ["Pop / Rock", "Folk"]
    tags.save()
    source = Source("id", wav.parents[1], f"Folder/{path.name}", artist="Folder", title="file", tagged=True)
    song = load_song(source, settings()).song
    assert (song.artist, song.title, song.genres) == ("Ärtist", "file", ("Pop", "Rock", "Folk"))


def test_genres_are_separated_by_semicolon_and_slash(source, settings):
    song = load_song(source({}, genre=" Pop; R, B/Blues;;Pop/ "), settings()).song
    assert song.genres == ("Pop", "R, B", "Blues")
