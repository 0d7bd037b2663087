"""The sound of a file as asked for, a reason for what cannot be used."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from jukebox_pl.catalog import decoding
from jukebox_pl.catalog.decoding import load_sound
from jukebox_pl.catalog.reading import load_song
from jukebox_pl.catalog.sources import Source
from jukebox_pl.errors import UserError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


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
    monkeypatch.setattr(decoding.shutil, "which", lambda program: None)
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
