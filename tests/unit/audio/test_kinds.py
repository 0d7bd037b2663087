"""Every kind of sound is known by its content, under any name; what is no sound is none, and nothing is waited for."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_pl.audio.kinds import kind_of

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (8000, 2))

BY_LIBSNDFILE = {
    ("WAV", "PCM_16"): "wav",
    ("WAVEX", "PCM_24"): "wav",
    ("RF64", "PCM_16"): "wav",
    ("W64", "PCM_16"): "w64",
    ("AIFF", "PCM_16"): "aiff",
    ("CAF", "PCM_16"): "caf",
    ("AU", "PCM_16"): "au",
    ("VOC", "PCM_16"): "voc",
    ("NIST", "PCM_16"): "nist",
    ("SVX", "PCM_16"): "svx",
    ("FLAC", "PCM_16"): "flac",
    ("OGG", "VORBIS"): "ogg",
    ("OGG", "OPUS"): "ogg",
    ("MP3", "MPEG_LAYER_III"): "mp3",
}
BY_FFMPEG = {
    "mp3": ["mp3", "-c:a", "mp3"],
    "mp2": ["mp2"],
    "aac": ["adts", "-c:a", "aac"],
    "mp4": ["mp4", "-c:a", "aac"],
    "matroska": ["webm", "-c:a", "libopus"],
    "asf": ["asf", "-c:a", "wmav2"],
    "avi": ["avi", "-c:a", "mp3"],
    "flv": ["flv", "-c:a", "mp3", "-ar", "44100"],
    "mpegts": ["mpegts", "-c:a", "mp2"],
    "mpeg": ["vob", "-c:a", "mp2"],
    "wavpack": ["wv"],
    "tta": ["tta"],
    "ac3": ["ac3"],
    "dts": ["dts", "-c:a", "dca", "-strict", "-2", "-ar", "44100"],
    "caf": ["caf"],
    "aiff": ["aiff"],
}
NO_SOUND = {
    "empty": b"",
    "text": b"hello\n" * 1000,
    "utf-16": "la la la\n".encode("utf-16") * 100,
    "jpeg": bytes.fromhex("ffd8ffe000104a464946") + bytes(range(256)) * 64,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(1000),
    "pdf": b"%PDF-1.7\n" + bytes(range(256)) * 64,
    "webp": b"RIFF\x00\x10\x00\x00WEBPVP8 " + bytes(1000),
    "heic": b"\x00\x00\x00\x18ftypheic" + bytes(1000),
    "midi": b"MThd\x00\x00\x00\x06" + bytes(1000),
    "playlist": b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n",
    "concat": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "zeros": bytes(20_000),
    "ones": b"\xff" * 20_000,
    "noise": np.random.default_rng(1).bytes(20_000),
}


def song(folder: Path, name: str = "song") -> Path:
    soundfile.write(folder / "song.wav", NOISE, 8000)
    return (folder / "song.wav").rename(folder / name)


@pytest.mark.parametrize(("format", "kind"), BY_LIBSNDFILE.items(), ids=lambda value: str(value))
def test_what_libsndfile_writes_is_known_under_no_name(tmp_path, format, kind):
    soundfile.write(tmp_path / "a", NOISE[:, :1], 8000, format=format[0], subtype=format[1])
    assert kind_of(tmp_path / "a") == kind


@needs_ffmpeg
@pytest.mark.parametrize(("kind", "how"), BY_FFMPEG.items(), ids=BY_FFMPEG)
def test_what_ffmpeg_writes_is_known_under_a_wrong_name(tmp_path, kind, how):
    subprocess.run(["ffmpeg", "-v", "error", "-i", song(tmp_path), "-f", *how, tmp_path / "a.txt"], check=True)
    assert kind_of(tmp_path / "a.txt") == kind


@pytest.mark.parametrize("content", NO_SOUND.values(), ids=NO_SOUND)
def test_what_is_no_sound_is_none(tmp_path, content):
    (tmp_path / "a.mp3").write_bytes(content)
    assert kind_of(tmp_path / "a.mp3") is None


def test_a_cover_and_rubbish_in_front_hide_nothing(tmp_path):
    soundfile.write(tmp_path / "a.mp3", NOISE, 8000, format="MP3")
    mp3 = (tmp_path / "a.mp3").read_bytes()
    tag = b"ID3\x04\x00\x00\x00\x1e\x00\x00" + bytes(0x1E << 14)  # 480 KB
    flac = song(tmp_path).with_name("a.flac")
    soundfile.write(flac, NOISE, 8000)
    behind = {"mp3": mp3, "flac": flac.read_bytes()}
    for front, kind in ((tag, "mp3"), (tag + tag, "flac"), (bytes(5000), "mp3"), (b"\xff" * 3000, "mp3")):
        (tmp_path / "b").write_bytes(front + behind[kind])
        assert kind_of(tmp_path / "b") == kind


def test_what_is_no_regular_file_is_none_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "none", tmp_path / "link", Path("/dev/zero"), Path("a\0b")):
        assert kind_of(path) is None


def test_only_the_beginning_is_read(tmp_path):
    path = song(tmp_path)
    with open(path, "r+b") as file:
        file.truncate(2**40)  # 1 TiB, of which nothing is on the disk
    assert kind_of(path) == "wav"
