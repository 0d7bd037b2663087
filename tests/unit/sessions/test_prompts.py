"""Songs that go on from a recording, or from the codes of another song."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from small_run import BINS, HOPS, RATE, SECONDS, same, sample

from jukebox_pl.audio import streams
from jukebox_pl.errors import UserError
from jukebox_pl.sessions.models import Computing
from jukebox_pl.sessions.prompts import Prompt
from jukebox_pl.utils.codes import to_npz


@pytest.fixture(autouse=True)
def slow_recordings(monkeypatch):
    """The models of these tests have 80 samples a second, at which no recording comes."""
    monkeypatch.setattr(streams, "LOWEST_RATE", 1)


def write(path, seconds=1.0, rate=RATE, channels=1, loudness=0.5, **how):
    """A falling tone."""
    times = np.arange(round(seconds * rate)) / rate
    tone = loudness * np.sin(2 * np.pi * (12 * times - 4 * times**2))
    soundfile.write(path, np.repeat(tone[:, None], channels, axis=1), rate, **how)
    return path


def encoded(context, sound):
    return context.pool.load(Computing()).sampler.encode(torch.from_numpy(sound.astype(np.float32)).view(1, -1))


def test_a_song_goes_on_from_a_recording(context, tmp_path):
    path = write(tmp_path / "tone.wav", subtype="FLOAT")
    song = sample(context, prompt=Prompt(path))
    for level, codes in encoded(context, soundfile.read(path)[0]).items():
        assert len(codes) == RATE // HOPS[level]
        assert (song[level][: len(codes)] == codes.numpy()).all()
        assert len(song[level]) == SECONDS * RATE / HOPS[level]


def test_the_beginning_of_a_recording_is_enough(context, tmp_path):
    path = write(tmp_path / "tone.wav", subtype="FLOAT")
    sample(context, prompt=Prompt(path, 0.5))
    assert {level: len(codes) for level, codes in context.session.prompt("seed_1").items()} == {0: 8, 1: 4, 2: 2}


def test_a_prompt_may_begin_later(context, tmp_path):
    path = write(tmp_path / "tone.wav", subtype="FLOAT")
    song = sample(context, prompt=Prompt(path, 0.4, 0.5))
    sound = soundfile.read(path)[0][40:72]
    for level, codes in encoded(context, sound).items():
        assert (song[level][: len(codes)] == codes.numpy()).all()
    assert {level: len(codes) for level, codes in context.session.prompt("seed_1").items()} == {0: 8, 1: 4, 2: 2}


def test_behind_silence_there_is_sound(context, tmp_path):
    path = write(tmp_path / "a.wav", seconds=3.0)
    sound = soundfile.read(path)[0]
    soundfile.write(path, np.concatenate([np.zeros(2 * RATE), sound]), RATE)
    with pytest.raises(UserError, match="is silent from 0 to 1 s: begin at another second with prompt_from"):
        sample(context, prompt=Prompt(path, 1.0))
    sample(context, prompt=Prompt(path, 1.0, 2.0))


def test_codes_may_begin_later(context, songs):
    path = context.session.place("whole") / "codes.npz"
    sample(context, seed=3, prompt=Prompt(path, 0.4, 0.8))
    given = context.session.prompt("seed_3")
    for level, codes in songs["whole"].items():
        assert (given[level] == codes[len(codes) // 2 : len(codes) * 3 // 4]).all()


def test_channels_that_cancel_are_no_silence(context, tmp_path):
    path = write(tmp_path / "a.wav", channels=2, subtype="FLOAT")
    sound = soundfile.read(path)[0]
    soundfile.write(path, sound * [1, -1], RATE, subtype="FLOAT")
    song = sample(context, prompt=Prompt(path))
    for level, codes in encoded(context, sound[:, 0]).items():
        assert (song[level][: len(codes)] == codes.numpy()).all()


@pytest.mark.parametrize(("name", "rate", "channels"), [("a.wav", 44_100, 2), ("a.flac", 22_050, 1), ("a.ogg", 8_000, 2)])
def test_rates_channels_and_formats_are_made_one(context, tmp_path, name, rate, channels):
    sample(context, prompt=Prompt(write(tmp_path / name, rate=rate, channels=channels)))
    assert {level: len(codes) for level, codes in context.session.prompt("seed_1").items()} == {0: 20, 1: 10, 2: 5}


def test_a_song_goes_on_from_the_codes_of_another(context, songs):
    prompt = Prompt(context.session.place("whole") / "codes.npz", 0.8)
    song = sample(context, seed=3, prompt=prompt)
    for level, codes in songs["whole"].items():
        assert (song[level][: len(codes) // 2] == codes[: len(codes) // 2]).all()
    assert not same(song, songs["whole"])


def test_of_the_top_alone_the_rest_is_sampled(context, songs):
    song = sample(context, seed=2, prompt=Prompt(context.session.place("top") / "codes.npz"))
    assert (song[2] == songs["top"][2]).all()
    assert same(song, sample(context, "upsample", node="top", name="below"))


def test_a_branch_goes_on_from_the_same_prompt(context, songs):
    sample(context, seed=3, prompt=Prompt(context.session.place("whole") / "codes.npz", 0.8))
    sample(context, "branch", node="seed_3", seed=4)
    assert same(context.session.prompt("seed_4"), context.session.prompt("seed_3"))
    assert not same(context.session.codes("seed_4"), context.session.codes("seed_3"))


def codes_of(path, **levels):
    path.write_bytes(to_npz({int(name[-1]): array for name, array in levels.items()}))
    return path


def fifo(path):
    os.mkfifo(path)
    return path


REFUSED = {
    "a FIFO": (lambda folder: Prompt(fifo(folder / "a.wav")), "a.wav cannot be read: it is no regular file"),
    "a FIFO of codes": (lambda folder: Prompt(fifo(folder / "a.npz")), "a.npz cannot be read: it is no regular file"),
    "a device": (lambda folder: Prompt(Path("/dev/zero")), "/dev/zero cannot be read: it is no regular file"),
    "a beginning behind the end": (
        lambda folder: Prompt(write(folder / "a.wav"), None, 7.0),
        "prompt_from=7: .*a.wav does not last that long",
    ),
    "codes behind the end": (
        lambda folder: Prompt(codes_of(folder / "a.npz", level_2=np.zeros(8)), None, 7.0),
        "prompt_from=7: .*a.npz does not last that long",
    ),
    "more than there is behind the beginning": (
        lambda folder: Prompt(write(folder / "a.wav"), 0.6, 0.6),
        "prompt_seconds=0.6: .* lasts 0.40 s only behind prompt_from=0.6",
    ),
    "nothing": (lambda folder: Prompt(folder / "none.wav"), "none.wav cannot be read: No such file"),
    "a folder": (lambda folder: Prompt(folder), "cannot be read: Is a directory"),
    "no sound": (lambda folder: Prompt(Path(__file__)), "is no recording that can be read: damaged, or not a .py file"),
    "silence": (lambda folder: Prompt(write(folder / "a.wav", loudness=0.0)), "a.wav is silent"),
    "NaN": (lambda folder: Prompt(write(folder / "a.wav", loudness=np.nan, subtype="FLOAT")), "a.wav is silent"),
    "an empty file": (lambda folder: Prompt(write(folder / "a.wav", seconds=0.0)), "a.wav is too short"),
    "less than a code": (lambda folder: Prompt(write(folder / "a.wav", seconds=0.05)), "a.wav is too short"),
    "less than a code asked for": (lambda folder: Prompt(write(folder / "a.wav"), 0.01), "a.wav is too short"),
    "more than there is": (
        lambda folder: Prompt(write(folder / "a.wav"), 3.0),
        "prompt_seconds=3: .* lasts 1.00 s only",
    ),
    "more than is asked": (
        lambda folder: Prompt(write(folder / "a.wav", seconds=2.0)),
        "the prompt lasts 2.000 s, longer than seconds=1.6: ask for more seconds, or take less of it with prompt_seconds",
    ),
    "no codes": (lambda folder: Prompt(Path(write(folder / "a.wav")).rename(folder / "a.npz")), "a.npz holds no codes"),
    "codes without a top": (
        lambda folder: Prompt(codes_of(folder / "a.npz", level_0=np.zeros(8))),
        r"\{0: 8\} codes by level found, expected \{0: 0, 1: 0, 2: 0\}",
    ),
    "levels of different lengths": (
        lambda folder: Prompt(codes_of(folder / "a.npz", level_2=np.zeros(8), level_1=np.zeros(8))),
        r"\{1: 8, 2: 8\} codes by level found, expected \{0: 32, 1: 16, 2: 8\}",
    ),
    "codes of other models": (
        lambda folder: Prompt(codes_of(folder / "a.npz", level_2=np.full(8, BINS))),
        f"codes {BINS} to {BINS} found at level 2, expected 0 to {BINS - 1}",
    ),
    "codes with gaps": (
        lambda folder: Prompt(codes_of(folder / "a.npz", level_2=np.full(8, -1))),
        "codes -1 to -1 found at level 2",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_gone_on_from_is_refused_and_leaves_nothing(context, tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        sample(context, prompt=make(tmp_path))
    assert context.session.names() == []
