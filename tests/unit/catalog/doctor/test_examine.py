"""Each defect is found where it was planted, and no other; what is measured is what was put in."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import soxr

from jukebox_pl.catalog.doctor import AudioStats, Standards, examine
from jukebox_pl.catalog.doctor.checks import findings
from jukebox_pl.catalog.doctor.examine import FLOOR_DECIBELS, NEAR_PEAK, Clipping

RATE = 22_050
MONO, STEREO = (Standards(sample_rate=RATE, channels=channels) for channels in (1, 2))


def silence(seconds):
    return np.zeros((2, round(seconds * RATE)), np.float32)


def planted(what, sound):
    left, right = sound
    return {
        "nothing": sound,
        "clipped": np.clip(2 * sound, -1, 1),
        "flat tops below full scale": 0.5 * np.clip(2 * sound, -1, 1),
        "silence": np.concatenate([sound[:, : 5 * RATE], silence(4), sound[:, 5 * RATE : 9 * RATE], silence(4)], axis=1),
        "silent start": np.concatenate([silence(6), sound], axis=1),
        "silent end": np.concatenate([sound, silence(6)], axis=1),
        "off centre": sound + np.float32(0.05),
        "quiet": sound / 20,
        "narrow band": soxr.resample(soxr.resample(sound.T, RATE, 8000), 8000, RATE).T,
        "cancelling": np.stack([left, -left + 0.001 * right]),
        "one-sided": np.stack([left, 0.001 * right]),
        "mono": np.stack([left, left]),
        "one channel": left[None],
    }[what]


@pytest.mark.parametrize(
    ("what", "standards", "found"),
    [
        ("nothing", MONO, set()),
        ("nothing", STEREO, set()),
        ("clipped", MONO, {"clipped"}),
        ("flat tops below full scale", MONO, {"clipped"}),
        ("silence", MONO, {"silence"}),
        ("silent start", MONO, {"silent start"}),
        ("silent end", MONO, {"silent end"}),
        ("off centre", MONO, {"off centre"}),
        ("quiet", MONO, {"quiet"}),
        ("narrow band", MONO, {"narrow band"}),
        ("cancelling", MONO, {"cancelling channels"}),
        ("cancelling", STEREO, set()),
        ("one-sided", MONO, {"one-sided"}),
        ("one-sided", STEREO, {"one-sided"}),
        ("mono", MONO, set()),
        ("mono", STEREO, {"mono"}),
        ("one channel", MONO, set()),
        ("one channel", STEREO, {"mono"}),
    ],
)
def test_a_defect_is_found_and_only_it(what, standards, found, clean, examined):
    song = examined(sound=planted(what, clean))
    assert {finding.kind for finding in findings(song, standards)} == found


def test_what_is_measured_is_what_was_put_in(clean):
    stats = examine(np.concatenate([silence(1), clean, silence(2)], axis=1), RATE)
    assert (stats.seconds, stats.sample_rate, stats.channels) == (23.0, RATE, 2)
    assert stats.peak == pytest.approx(0.8)
    assert stats.leading_silence_seconds == pytest.approx(1, abs=0.05)
    assert stats.trailing_silence_seconds == pytest.approx(2, abs=0.1)
    assert stats.silent_share == pytest.approx(3 / 23, abs=0.01)
    assert stats.loudness_decibels == pytest.approx(10 * np.log10((clean**2).mean() * 20 / 23), abs=0.01)
    assert stats.bandwidth_hertz == pytest.approx(RATE / 2, rel=0.01)


def test_channels_against_each_other(clean):
    left = clean[0]
    unrelated = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 5 * RATE)).astype(np.float32)
    assert examine(np.stack([left, left]), RATE).mono_decibels == pytest.approx(0, abs=1e-5)
    assert examine(np.stack([left, -left]), RATE).mono_decibels == FLOOR_DECIBELS
    assert examine(unrelated, RATE).mono_decibels == pytest.approx(-3, abs=0.1)
    assert examine(np.stack([left, left / 10]), RATE).quietest_channel_decibels == pytest.approx(-20)


@pytest.mark.parametrize("drive", [1.2, 2, 5])
def test_the_share_of_clipped_samples_is_counted(drive):
    tone = drive * np.sin(2 * np.pi * 441 * np.arange(5 * RATE) / RATE).astype(np.float32)[None]
    share = (np.abs(tone) >= 1).mean()
    assert examine(np.clip(tone, -1, 1), RATE).clipped_share == pytest.approx(share, abs=0.03)
    assert examine(0.3 * np.clip(tone, -1, 1), RATE).clipped_share == pytest.approx(share, abs=0.03)


def test_single_samples_at_full_scale_are_not_clipped(clean):
    clean = clean.copy()
    clean[:, ::50], clean[:, 1::50] = 1.0, 1.0
    assert examine(clean, RATE).clipped_share == 0
    clean[:, 2::50] = 1.0
    assert examine(clean, RATE).clipped_share == pytest.approx(3 / 50)


@pytest.mark.parametrize("hertz", [50, 200, 3000])
def test_a_loud_tone_is_not_clipped(hertz):
    tone = 0.95 * np.sin(2 * np.pi * hertz * np.arange(5 * RATE) / RATE)
    assert examine(np.round(tone * 32767).astype(np.float32)[None] / 32768, RATE).clipped_share < 1e-4


@pytest.mark.parametrize("sound", [np.zeros((2, RATE)), np.zeros((1, 1)), np.full((1, 3), 0.5), np.ones((6, 1000))])
def test_degenerate_sound_has_stats_that_survives_json(sound):
    stats = examine(sound.astype(np.float32), RATE)
    assert AudioStats(**json.loads(json.dumps(asdict(stats), allow_nan=False))) == stats


def test_an_examination_does_not_change_the_sound(clean):
    before = clean.copy()
    examine(clean, RATE)
    np.testing.assert_array_equal(clean, before)


@pytest.mark.parametrize("drive", [0.5, 1.1, 3.0])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_clipping_is_counted_across_blocks(clean, drive, size):
    """Also where the song grows louder: what was near the first peak is far from the last."""
    channel = np.clip(drive * clean[0, :5000] * np.linspace(0.1, 1, 5000), -1, 1).astype(np.float32)
    channel[100:104], channel[998:1003], channel[4000:4020] = 0.09, np.abs(channel).max(), -np.abs(channel).max()
    peak = NEAR_PEAK * min(float(np.abs(channel).max()), 0.999)
    whole, parts, heard = Clipping(), Clipping(), 0.0
    whole.add(channel, peak)
    for start in range(0, len(channel), size):
        block = channel[start : start + size]
        heard = max(heard, float(np.abs(block).max()))
        parts.add(block, NEAR_PEAK * min(heard, 0.999))
    assert parts.total(peak) == whole.total(peak) >= 25


def test_a_run_that_goes_on_for_ever_costs_nothing(clean):
    clipping = Clipping()
    for _ in range(100):
        clipping.add(np.full(1000, 0.25, np.float32), 0.98 * 0.25)
    assert not clipping.flat
    assert clipping.total(0.98 * 0.25) == 100_000
