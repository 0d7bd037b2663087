"""The same recording is found however it was stored, other recordings never; the index does not compare all with all."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from jukebox_pl import audio
from jukebox_pl.audio.fingerprint import BITS, SECONDS_PER_WORD, fingerprint, words_of
from jukebox_pl.catalog.doctor.duplicates import Duplicate, candidates, find_duplicates, group

RATE = 22_050
REAL = Path(os.environ.get("JUKEBOX_CATALOG", Path(__file__).parents[5] / "shared/catalog"))


def encoded(sound, rate, format, **quality):
    """`sound` [C, T] as it comes back from an encoder, and its rate."""
    buffer = io.BytesIO()
    subtype = {"MP3": "MPEG_LAYER_III", "OGG": "VORBIS", "FLAC": "PCM_16"}[format]
    with soundfile.SoundFile(buffer, "w", rate, len(sound), subtype, format=format, **quality) as file:
        for start in range(0, sound.shape[1], 2**16):  # libsndfile overruns its stack on one long write of Vorbis
            file.write(sound.T[start : start + 2**16])
    return audio.read(buffer.getvalue())


def copies(sound, rate):
    """Names and (sound, rate) of what is the same recording."""
    half = sound.shape[1] // 2
    return {
        "mp3 of 16 or 32 kbit/s": encoded(sound, rate, "MP3", bitrate_mode="CONSTANT", compression_level=0.95),
        "ogg, lowest rate": encoded(sound, rate, "OGG", compression_level=0.99),
        "softer flac": encoded(0.05 * sound, rate, "FLAC"),
        "another rate": (soxr.resample(sound.T, rate, 16_000).T, 16_000),
        "without its first 3.21 s": encoded(sound[:, round(3.21 * rate) :], rate, "MP3", bitrate_mode="CONSTANT"),
        "10 s of the middle": (sound[:, half : half + 10 * rate], rate),
        "after 2 s of silence": (np.pad(sound, ((0, 0), (2 * rate, 0))), rate),
        "turned over": (-sound, rate),
    }


def listen(sound, rate):
    return fingerprint(audio.downmix(sound), rate)


def wrong_bits(first, second):
    return np.bitwise_count(words_of(first) ^ words_of(second)).mean() / BITS


def test_gain_and_polarity_leave_a_fingerprint_as_it_is(clean):
    assert listen(clean, RATE) == listen(clean / 4, RATE) == listen(-clean, RATE)


@pytest.mark.parametrize("late", [0.001, 0.02, 0.09])
def test_a_small_offset_changes_few_bits_and_another_song_half(clean, synthesize, late):
    first, later = clean[:, : 19 * RATE], clean[:, round(late * RATE) :][:, : 19 * RATE]
    assert wrong_bits(listen(first, RATE), listen(later, RATE)) < 0.15
    assert wrong_bits(listen(first, RATE), listen(synthesize(1)[:, : 19 * RATE], RATE)) == pytest.approx(0.5, abs=0.1)


def test_a_fingerprint_is_small(clean):
    words = words_of(listen(clean, RATE))
    assert len(words) * SECONDS_PER_WORD == pytest.approx(20, abs=4)
    assert words.dtype == np.uint32


def test_nothing_is_heard_in_silence_and_in_short_sounds(clean):
    assert not words_of(fingerprint(np.zeros(10 * RATE, np.float32), RATE)).any()
    assert listen(clean[:, : 2 * RATE], RATE) == ""
    quiet = {
        "a": fingerprint(np.zeros(10 * RATE, np.float32), RATE),
        "b": fingerprint(np.zeros(20 * RATE, np.float32), RATE),
    }
    assert find_duplicates(quiet | {"short": "", "shorter": ""}) == []
    assert find_duplicates({}) == []


def test_the_hiss_after_a_song_is_not_heard(clean):
    hiss = 1e-5 * np.random.default_rng(0).standard_normal((2, 20 * RATE))
    words = words_of(listen(np.concatenate([clean, hiss], axis=1).astype(np.float32), RATE))
    assert words[: len(words) // 3].all()
    assert not words[len(words) * 2 // 3 :].any()


@pytest.mark.parametrize("silence", [0, 40])
def test_songs_with_the_same_jingle_are_not_the_same(synthesize, silence):
    first, second = synthesize(1), synthesize(2)
    second[:, 5 * RATE : 11 * RATE] = first[:, 5 * RATE : 11 * RATE]
    first, second = (np.pad(sound, ((0, 0), (0, silence * RATE))) for sound in (first, second))
    assert find_duplicates({"first": listen(first, RATE), "second": listen(second, RATE)}) == []


def test_songs_that_run_into_each_other_are_not_the_same(synthesize):
    first, second = synthesize(1), synthesize(2)
    second = np.concatenate([first[:, -6 * RATE :], second], axis=1)
    assert find_duplicates({"first": listen(first, RATE), "second": listen(second, RATE)}) == []


def test_every_copy_is_found_and_no_other_song(clean, synthesize):
    songs = {f"other {seed}": listen(synthesize(seed), RATE) for seed in range(1, 9)} | {"original": listen(clean, RATE)}
    for name, copy in copies(clean, RATE).items():
        (pair,) = find_duplicates(songs | {name: listen(*copy)})
        assert (pair.first, pair.second) == ("original", name)
        assert pair.wrong_bits < 0.2


def test_offset_and_length_of_what_is_shared(clean):
    start, end = 3.21, 15.0
    part = clean[:, round(start * RATE) : round(end * RATE)]
    (pair,) = find_duplicates({"whole": listen(clean, RATE), "part": listen(part, RATE)})
    assert pair.offset_seconds == pytest.approx(start, abs=SECONDS_PER_WORD)
    assert pair.shared_seconds == pytest.approx(end - start, abs=2 * SECONDS_PER_WORD)
    (turned,) = find_duplicates({"part": listen(part, RATE), "whole": listen(clean, RATE)})
    assert turned.offset_seconds == pytest.approx(-pair.offset_seconds)


def test_many_copies_hang_together(clean, synthesize):
    prints = {f"{name} {number}": listen(sound, RATE) for number in range(30) for name, sound in (("same", clean),)}
    (together,) = group(find_duplicates(prints | {"other": listen(synthesize(1), RATE)}))
    assert sorted(together) == sorted(prints)


def test_groups_join_pairs():
    pairs = [Duplicate(first, second, 0, 9, 0) for first, second in ("ab", "cd", "bc", "ef", "ad")]
    assert sorted(sorted(ids) for ids in group(pairs)) == [["a", "b", "c", "d"], ["e", "f"]]


def test_songs_that_share_no_words_are_never_compared():
    words = np.random.default_rng(0).integers(1, 2**32, (1000, 500), dtype=np.uint32)
    assert len(list(candidates(list(words)))) <= 1
    words[7, 100:] = words[3, :400]
    assert (3, 7, -100) in list(candidates(list(words)))


def test_words_survive_base64():
    words = np.array([0, 1, 2**31, 2**32 - 1], np.uint32)
    np.testing.assert_array_equal(words_of(base64.b64encode(words.astype(">u4").tobytes()).decode()), words)


@pytest.fixture(scope="module")
def real_songs():
    if not REAL.is_dir():
        pytest.skip(f"no catalog in {REAL}: set JUKEBOX_CATALOG")
    return {path.name: audio.read(path) for path in sorted((REAL / "audio").iterdir())}


@pytest.mark.slow
def test_real_songs_are_told_apart_and_their_copies_found(real_songs):
    prints = {name: listen(*song) for name, song in real_songs.items()}
    assert len(prints) >= 12
    assert find_duplicates(prints) == []
    for name, (sound, rate) in list(real_songs.items())[::4]:
        middle = sound[:, 15 * rate : 35 * rate]
        made = {f"{name}, {what}": listen(*copy) for what, copy in copies(middle, rate).items()}
        found = find_duplicates(prints | made)
        assert {pair.second for pair in found if pair.first == name} == set(made)
        assert all(pair.first.startswith(name) and pair.second.startswith(name) for pair in found)
