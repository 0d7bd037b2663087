"""From a source to a song: sound as asked for, words that fit the lyrics, a reason for what cannot be used."""

from __future__ import annotations

import json
import shutil
import subprocess

import mutagen
import numpy as np
import pytest
import soundfile

from jukebox_pl.catalog import reading
from jukebox_pl.catalog.reading import Prepared, load_song, load_sound, read_text
from jukebox_pl.catalog.sources import Source
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


@pytest.fixture
def source(tmp_path, make_song):
    """source({"a.txt": "la"}, lyrics="a.txt"): one song, and these files in its folder."""
    make_song("a.flac")

    def make(files: dict[str, str], **fields: str) -> Source:
        for name, text in files.items():
            (tmp_path / "songs" / name).write_text(text, encoding="utf-8")
        return Source("id", tmp_path / "songs", "a.flac", **fields)

    return make


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg"])
def test_sound_comes_at_the_rate_and_channels_asked_for(make_song, settings, extension):
    path = make_song(f"a.{extension}", seconds=1.5, rate=16_000, channels=2)
    mono, stereo = (load_sound(path, settings(channels=channels))[0] for channels in (1, 2))
    assert (mono.shape, stereo.shape, mono.dtype) == ((1, 12_000), (2, 12_000), np.float32)
    np.testing.assert_allclose(mono[0], stereo.mean(axis=0), atol=1e-5)


@needs_ffmpeg
@pytest.mark.parametrize("extension", ["m4a", "aac"])
def test_what_libsndfile_cannot_read_goes_through_ffmpeg(make_song, settings, extension):
    wav = make_song("a.wav", rate=44_100, channels=2)
    path = wav.with_suffix(f".{extension}")
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, path], check=True)
    sound, _ = load_sound(path, settings(sample_rate=44_100, channels=2))
    assert sound.shape[0] == 2
    assert abs(sound.shape[1] - 88_200) < 4096
    assert 0.1 < sound.std() < 0.5


@needs_ffmpeg
def test_ffmpeg_follows_no_playlist(make_song, settings):
    song = make_song("a.wav")
    playlist = song.with_suffix(".aac")
    playlist.write_text(f"#EXTM3U\n#EXTINF:2,\nfile://{song}\n#EXT-X-ENDLIST\n")
    with pytest.raises(UserError, match="ffmpeg cannot read it"):
        load_sound(playlist, settings())


def test_without_ffmpeg_its_formats_say_so(make_song, settings, monkeypatch):
    monkeypatch.setattr(reading.shutil, "which", lambda program: None)
    path = make_song("a.wav")
    with pytest.raises(UserError, match=r"\.m4a needs ffmpeg, which is not installed"):
        load_sound(path.rename(path.with_suffix(".m4a")), settings())


def spoilt(samples) -> dict:
    return {"data": np.asarray(samples, dtype=np.float32), "samplerate": 8000, "subtype": "FLOAT"}


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
UNUSABLE = {
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "text": (lambda path: path.write_text("hello\n" * 100), r"damaged, or not a \.wav file at all"),
    "silent": (lambda path: soundfile.write(path, **spoilt(NOISE * 0)), "every sample is zero"),
    "nan": (lambda path: soundfile.write(path, **spoilt(np.where(NOISE > 0.49, np.nan, NOISE))), "NaN"),
    "infinite": (lambda path: soundfile.write(path, **spoilt(np.where(NOISE > 0.49, np.inf, NOISE))), "infinite"),
    "short": (lambda path: soundfile.write(path, **spoilt(NOISE[:4000])), "0.50 s long, less than min_seconds=1"),
    "long": (lambda path: soundfile.write(path, **spoilt(np.tile(NOISE, 4))), "8.00 s long, more than max_seconds=5"),
}


@pytest.mark.parametrize(("spoil", "message"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable_sound_is_told_why(tmp_path, settings, spoil, message):
    path = tmp_path / "a.wav"
    spoil(path)
    with pytest.raises(UserError, match=message):
        load_sound(path, settings(max_seconds=5.0))


@pytest.mark.parametrize("extension", ["wav", "ogg", pytest.param("mp3", marks=needs_ffmpeg)])
def test_a_file_that_is_the_beginning_of_another_is_told(make_song, settings, extension):
    wav = make_song("a.wav", seconds=6.0)
    path = wav.with_suffix(f".{extension}")
    if extension == "mp3":
        subprocess.run(["ffmpeg", "-v", "error", "-i", wav, path], check=True)
    elif extension == "ogg":
        make_song("a.ogg", seconds=6.0)
    source = Source("id", path.parent, path.name)
    whole, whole_sound = load_song(source, settings())
    assert whole.warnings == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut, cut_sound = load_song(source, settings())
    assert cut_sound.shape[1] < 0.6 * whole_sound.shape[1]
    assert len(cut.warnings) == 1
    assert cut.warnings[0].startswith("cut short: ")


def test_a_song_is_measured_as_it_was_before_it_was_resampled(source, settings):
    stats = load_song(source({}), settings(sample_rate=4000))[0].audio_stats
    assert (stats.sample_rate, stats.channels, stats.seconds) == (8000, 1, 2.0)


def test_what_became_of_a_song_is_kept_as_version_1_kept_it(source, settings, tmp_path):
    """Whose interrupted runs go on."""
    prepared, _ = load_song(
        source({"a.txt": "la", "w.json": '[["la", 0.5, 1]]'}, lyrics="a.txt", words="w.json"), settings()
    )
    for written in (prepared._replace(warnings=("lyrics left out: x",)), Prepared(None, "silent")):
        written.save(tmp_path / "record")
        assert json.loads((tmp_path / "record").read_bytes()).keys() == {"song", "reason", "warnings", "checkup"}
        assert Prepared.load(tmp_path / "record") == written


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
    (song, _, (warning,), _), _ = load_song(made, settings())
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
    (song, _, (warning,), _), _ = load_song(made, settings())
    assert song.lyrics == ""
    assert warning.startswith(f"lyrics left out: {name}")
    assert message in warning


def test_missing_words_are_left_out(source, settings):
    made = source({"a.txt": "la"}, lyrics="a.txt", words="gone.csv")
    assert load_song(made, settings())[0].warnings == ("word times left out: gone.csv: no such file",)


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
    song = load_song(source, settings())[0].song
    assert (song.artist, song.title, song.genres) == ("Ärtist", "file", ("Pop", "Rock", "Folk"))


def test_genres_are_separated_by_semicolon_and_slash(source, settings):
    song = load_song(source({}, genre=" Pop; R, B/Blues;;Pop/ "), settings())[0].song
    assert song.genres == ("Pop", "R, B", "Blues")
