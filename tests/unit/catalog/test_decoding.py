"""The sound of a file as asked for, whole whatever its header says; a reason where it cannot be used."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tracemalloc

import numpy as np
import pytest
import soundfile

from jukebox_pl import audio
from jukebox_pl.audio import streams
from jukebox_pl.catalog import decoding
from jukebox_pl.catalog.decoding import load_sound
from jukebox_pl.errors import UserError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
RATE = 8000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32)


@pytest.fixture
def load(tmp_path, settings):
    """load(path, channels=2): the sound [C, T] as it is stored, and what is said of it."""

    def load(path, **changes):
        loaded = load_sound(path, settings(**changes), tmp_path / "out.flac")
        sound, _ = audio.read(tmp_path / "out.flac")
        assert sound.shape[1] == loaded.samples
        return sound, loaded

    return load


def ffmpeg(*arguments):
    return subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, capture_output=True).stdout


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg"])
def test_sound_comes_at_the_rate_and_channels_asked_for(make_song, load, extension):
    path = make_song(f"a.{extension}", seconds=1.5, rate=16_000, channels=2)
    mono, stereo = (load(path, channels=channels)[0] for channels in (1, 2))
    assert (mono.shape, stereo.shape) == ((1, 12_000), (2, 12_000))
    np.testing.assert_allclose(mono[0], stereo.mean(axis=0), atol=1e-4)


@pytest.mark.parametrize(("rate", "target"), [(44_100, 22_050), (48_000, 44_100), (8000, 8000)])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_are_the_whole(make_song, load, rate, target, channels):
    path = make_song("a.wav", seconds=7.3, rate=rate, channels=2)
    whole, _ = audio.read(path)
    whole = audio.resample(audio.to_channels(whole, channels), rate, target)
    sound, _ = load(path, sample_rate=target, channels=channels)
    np.testing.assert_array_equal(sound, audio.read(audio.encode(whole, target))[0])


def test_memory_does_not_grow_with_the_length(make_song, settings, tmp_path):
    """Of ten minutes, whose samples alone would take 180 MB."""
    path = make_song("a.wav", seconds=20.0, rate=RATE, channels=2)
    pcm = soundfile.read(path, dtype="int16")[0].tobytes() * 30
    (tmp_path / "long.wav").write_bytes(path.read_bytes()[:40] + struct.pack("<I", len(pcm)) + pcm)
    peaks = []
    for file in (path, tmp_path / "long.wav"):
        tracemalloc.start()
        load_sound(file, settings(sample_rate=44_100), tmp_path / "out.flac")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 10e6


UNTRUE = {
    "no Xing frame": ["-q:a", "4", "-write_xing", "0"],
    "from a pipe": ["-q:a", "4", "-f", "mp3"],
    "of one bitrate": ["-b:a", "128k", "-write_xing", "0"],
}


@needs_ffmpeg
@pytest.mark.parametrize("how", UNTRUE.values(), ids=UNTRUE)
def test_an_mp3_is_read_to_its_end_whatever_its_header_says(tmp_path, load, how):
    """Loud behind quiet: a guess from the first frames would be far off."""
    quiet_first = np.concatenate([np.zeros(88_200), np.random.default_rng(0).uniform(-0.9, 0.9, 352_800)])
    soundfile.write(tmp_path / "a.wav", quiet_first, 44_100)
    (tmp_path / "a.mp3").write_bytes(ffmpeg("-i", tmp_path / "a.wav", "-f", "mp3", *how, "pipe:1"))
    sound, loaded = load(tmp_path / "a.mp3")
    assert 10.0 <= sound.shape[1] / RATE < 10.1
    assert loaded.warnings == ()


@needs_ffmpeg
@pytest.mark.parametrize(
    ("factor", "told"), [(0, None), (0.5, "6.0 s long, where its header tells 3.0 s"), (3, "cut short")]
)
def test_a_wrong_count_of_frames_cuts_nothing(make_song, load, factor, told):
    wav = make_song("a.wav", seconds=6.0, rate=44_100)
    mp3 = bytearray(ffmpeg("-i", wav, "-q:a", "4", wav.with_suffix(".mp3")) or wav.with_suffix(".mp3").read_bytes())
    place = max(mp3.find(b"Xing"), mp3.find(b"Info")) + 8
    mp3[place : place + 4] = struct.pack(">I", int(struct.unpack(">I", mp3[place : place + 4])[0] * factor))
    wav.with_suffix(".mp3").write_bytes(mp3)
    sound, loaded = load(wav.with_suffix(".mp3"))
    assert 5.9 < sound.shape[1] / RATE < 6.1
    assert [told in warning for warning in loaded.warnings] == ([True] if told else [])


@needs_ffmpeg
def test_joined_mp3s_of_other_rates_are_one_song(make_song, load):
    parts = []
    for number, rate in enumerate((44_100, 48_000)):
        wav = make_song(f"{number}.wav", seconds=4.0, rate=rate, channels=number + 1)
        ffmpeg("-i", wav, wav.with_suffix(".mp3"))
        parts.append(wav.with_suffix(".mp3").read_bytes())
    (joined := wav.with_name("joined.mp3")).write_bytes(b"".join(parts))
    sound, loaded = load(joined)
    assert 8.0 <= sound.shape[1] / RATE < 8.2
    assert sound[:, 5 * RATE :].std() > 0.1
    assert "where its header tells 4.0 s: all of it was read" in " ".join(loaded.warnings)


KINDS = {
    "alac.m4a": ["-f", "mp4", "-c:a", "alac"],
    "aac.mp3": ["-f", "mp4", "-c:a", "aac"],
    "webm.opus": ["-f", "webm", "-c:a", "libopus"],
    "no_ending": ["-f", "mp3"],
    "a.raw": ["-f", "wav"],
    "a.aac": ["-f", "adts", "-c:a", "aac"],
    "a.wma": ["-f", "asf", "-c:a", "wmav2"],
    "a.aiff": ["-f", "aiff"],
    "a.caf": ["-f", "caf"],
    "a.wv": ["-f", "wv"],
    "a.mp2": ["-f", "mp2"],
    "a.mka": ["-f", "matroska", "-c:a", "libopus"],
    "a.oga": ["-f", "ogg", "-c:a", "libvorbis"],
    "flac.ogg": ["-f", "ogg", "-c:a", "flac"],
    "a.tta": ["-f", "tta"],
    "a.ac3": ["-f", "ac3"],
    "a.ec3": ["-f", "eac3"],
    "a.avi": ["-f", "avi", "-c:a", "mp3"],
    "a.ts": ["-f", "mpegts", "-c:a", "mp2"],
    "a.w64": ["-f", "w64"],
    "a.au": ["-f", "au"],
    "a.rf64": ["-f", "wav", "-rf64", "always"],
    "a.s24": ["-f", "wav", "-c:a", "pcm_s24le"],
    "a.f64": ["-f", "wav", "-c:a", "pcm_f64le"],
    "a.law": ["-f", "wav", "-c:a", "pcm_alaw"],
    "a.adpcm": ["-f", "wav", "-c:a", "adpcm_ms"],
}


@needs_ffmpeg
@pytest.mark.parametrize("name", KINDS)
def test_what_is_sound_is_read_by_its_content(make_song, load, name):
    wav = make_song("song.wav", seconds=3.0, rate=44_100, channels=2)
    path = wav.with_name(name)
    ffmpeg("-i", wav, *KINDS[name], path)
    sound, loaded = load(path, sample_rate=44_100, channels=2)
    assert sound.shape[0] == 2
    assert abs(sound.shape[1] / 44_100 - 3.0) < 0.1
    assert 0.1 < sound.std() < 0.5
    assert loaded.warnings == ()


@needs_ffmpeg
@pytest.mark.parametrize("format", ["flac", "wav", "mp3", "ogg"])
def test_what_was_written_to_a_pipe_is_whole_and_no_alarm(make_song, load, format):
    wav = make_song("a.wav", seconds=4.0, rate=44_100)
    (path := wav.with_name("piped")).write_bytes(ffmpeg("-i", wav, "-f", format, "pipe:1"))
    sound, loaded = load(path)
    assert abs(sound.shape[1] / RATE - 4.0) < 0.1
    assert loaded.warnings == ()


@needs_ffmpeg
@pytest.mark.parametrize(
    "playlist", ["#EXTM3U\n#EXTINF:2,\nfile://{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{}'\n"]
)
@pytest.mark.parametrize("name", ["a.aac", "a.m3u8", "a.mp3"])
def test_no_playlist_is_followed(make_song, load, playlist, name):
    song = make_song("a.wav")
    song.with_name(name).write_text(playlist.format(song))
    with pytest.raises(UserError, match="not a"):
        load(song.with_name(name))


@needs_ffmpeg
def test_a_video_gives_its_sound_and_none_where_it_has_none(make_song, load):
    wav = make_song("a.wav", seconds=3.0, rate=44_100)
    picture = ["-f", "lavfi", "-i", "color=size=64x64:duration=9"]
    ffmpeg(*picture, "-i", wav, "-c:a", "aac", wav.with_name("a.mp4"))
    ffmpeg(*picture, wav.with_name("b.mp4"))
    sound, loaded = load(wav.with_name("a.mp4"))
    assert abs(sound.shape[1] / RATE - 3.0) < 0.1
    assert loaded.warnings == ()
    with pytest.raises(UserError, match="a mp4 file without sound"):
        load(wav.with_name("b.mp4"))


def spoilt(samples) -> dict:
    return {"data": np.asarray(samples, dtype=np.float32), "samplerate": RATE, "subtype": "FLOAT"}


UNUSABLE = {
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "text": (lambda path: path.write_text("hello\n" * 100), r"damaged, or not a \.wav file at all"),
    "half a header": (lambda path: path.write_bytes(b"RIFF\x00\x00\x00\x00WAVE"), "damaged, or no wav file after all"),
    "silent": (lambda path: soundfile.write(path, **spoilt(NOISE * 0)), "every sample is zero"),
    "all below 16 bits": (lambda path: soundfile.write(path, **spoilt(NOISE * 1e-6)), "every sample is zero in 16 bits"),
    "silent channels": (lambda path: soundfile.write(path, **spoilt(np.zeros((16_000, 2)))), "every sample is zero"),
    "nan": (lambda path: soundfile.write(path, **spoilt(np.where(NOISE > 0.49, np.nan, NOISE))), "NaN"),
    "infinite": (lambda path: soundfile.write(path, **spoilt(np.where(NOISE > 0.49, np.inf, NOISE))), "infinite"),
    "all infinite": (lambda path: soundfile.write(path, **spoilt(np.full(16_000, np.inf))), "infinite"),
    "without a scale": (
        lambda path: soundfile.write(path, **spoilt(NOISE * 2**15)),
        "samples of up to 16383.*expected -1 to 1",
    ),
    "huge": (lambda path: soundfile.write(path, **spoilt(NOISE * 1e19)), r"samples of up to [45]\S*e\+18, expected -1 to 1"),
    "1 Hz": (lambda path: soundfile.write(path, NOISE, 1), "1 samples a second, expected 4000 to 768000"),
    "a million Hz": (lambda path: soundfile.write(path, NOISE, 1_000_000), "1000000 samples a second, expected"),
    "short": (lambda path: soundfile.write(path, **spoilt(NOISE[:4000])), "0.50 s long, less than min_seconds=1"),
    "long": (lambda path: soundfile.write(path, **spoilt(np.tile(NOISE, 4))), "8.00 s long, more than max_seconds=5"),
    "nothing": (lambda path: soundfile.write(path, **spoilt(NOISE[:0])), "0.00 s long, less than min_seconds=1"),
}


@pytest.mark.parametrize("target", [RATE, 22_050])
@pytest.mark.parametrize(("spoil", "message"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable_sound_is_told_why_and_leaves_nothing(tmp_path, load, spoil, message, target):
    spoil(tmp_path / "a.wav")
    with pytest.raises(UserError, match=message):
        load(tmp_path / "a.wav", max_seconds=5.0, sample_rate=target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_constant_is_sound_and_measured(tmp_path, load):
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.25), RATE)
    sound, loaded = load(tmp_path / "a.wav")
    assert loaded.audio_stats.dc_offset == pytest.approx(0.25)
    assert sound.std() == 0


def test_channels_that_cancel_leave_one_of_them(tmp_path, load):
    soundfile.write(tmp_path / "a.wav", np.stack([NOISE, -NOISE], axis=1), RATE)
    sound, loaded = load(tmp_path / "a.wav")
    np.testing.assert_allclose(sound[0], NOISE, atol=1e-4)
    assert loaded.warnings == ("its channels cancel to silence: channel 1 was taken alone",)
    assert load(tmp_path / "a.wav", channels=2)[1].warnings == ()


def test_six_channels_are_mixed_by_what_they_are(tmp_path, load):
    six = np.stack([NOISE * gain for gain in (0.1, 0.1, 0.5, 1.0, 0.2, 0.2)], axis=1)
    soundfile.write(tmp_path / "a.wav", six, RATE)
    sound, loaded = load(tmp_path / "a.wav")
    half = 0.5**0.5
    expected = NOISE * (0.5 * (0.1 + 0.1) + half * 0.5 + half / 2 * (0.2 + 0.2)) / (1 + half + half)
    np.testing.assert_allclose(sound[0], expected, atol=1e-4)
    assert loaded.warnings == ("its 6 channels were mixed down as ITU-R BS.775 has it, without the LFE",)


@pytest.mark.parametrize("extension", ["wav", "ogg", "flac", pytest.param("mp3", marks=needs_ffmpeg)])
def test_a_file_that_is_the_beginning_of_another_is_told(make_song, load, extension):
    path = make_song("a.wav", seconds=6.0)
    if extension == "mp3":
        ffmpeg("-i", path, path := path.with_suffix(".mp3"))
    elif extension != "wav":
        path = make_song(f"a.{extension}", seconds=6.0)
    whole_sound, whole = load(path)
    assert whole.warnings == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut_sound, cut = load(path)
    assert 0.3 * whole.samples < cut_sound.shape[1] < 0.6 * whole_sound.shape[1]
    assert len(cut.warnings) == 1
    assert cut.warnings[0].startswith("cut short: ")
    assert ("of the 6." in cut.warnings[0]) == (extension != "ogg")


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["libvorbis", "libopus", "flac"])
def test_ogg_without_its_end_is_read_and_told(make_song, load, codec):
    """As recorders leave it that were stopped: without the mark of the last page, and without a part of it."""
    wav = make_song("a.wav", seconds=6.0, rate=48_000)
    whole = bytearray(ffmpeg("-i", wav, "-c:a", codec, "-f", "ogg", "pipe:1"))
    last = whole.rfind(b"OggS")
    whole[last + 5] &= ~4
    whole[last + 22 : last + 26] = bytes(4)
    whole[last + 22 : last + 26] = struct.pack("<I", ogg_checksum(whole[last:]))
    for content, least in ((whole, 5.9), (whole[: len(whole) * 2 // 3], 2.5)):
        wav.with_suffix(".opus").write_bytes(content)
        sound, loaded = load(wav.with_suffix(".opus"))
        assert least < sound.shape[1] / RATE < 6.1
        assert [warning.partition(":")[0] for warning in loaded.warnings] == ["cut short"]


def ogg_checksum(page: bytes) -> int:
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 0x80000000 else 0)) & 0xFFFFFFFF
    return checksum


@pytest.mark.parametrize("bytes_lost", [1, 20_000])
def test_damage_within_a_song_is_told_and_the_rest_is_read(make_song, load, bytes_lost):
    path = make_song("a.flac", seconds=8.0, rate=44_100)
    flac = bytearray(path.read_bytes())
    middle = len(flac) // 2
    flac[middle : middle + bytes_lost] = bytes(255 - byte for byte in flac[middle : middle + bytes_lost])
    path.write_bytes(flac)
    sound, loaded = load(path)
    assert 7.0 < sound.shape[1] / RATE < 8.0
    assert loaded.warnings
    assert all(warning.startswith(("damaged", "cut short")) for warning in loaded.warnings)


def test_what_cannot_be_written_is_no_fault_of_the_song(make_song, settings, tmp_path, monkeypatch):
    song = make_song("a.wav")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        load_sound(song, settings(), tmp_path / "out.flac")
    assert raised.value.filename == str(tmp_path / "out.flac")
    assert not list(tmp_path.glob("*out.flac*"))


def test_no_other_file_can_be_reached():
    """Every demuxer is named, and none of them leads to other files."""
    assert not set(streams.DEMUXERS.values()) & {"concat", "hls", "dash", "image2", "sdp", "rtsp", "imf", "lavfi", "mpjpeg"}
    assert decoding.HIGHEST_PEAK > 1
