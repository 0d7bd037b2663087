"""Samples into which parts of training songs were planted are told from those that copy nothing."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.memory import COPIES, COPIES_NOT, UNKNOWN, Memory, threshold
from jukebox_pl.evaluation.similarity import NO_MATCH, FingerprintAgreement, MelCorrelation, SharedCodes
from jukebox_pl.evaluation.suite import CannotTell, Evidence, SampledFor, SongAudio
from jukebox_pl.types import SampledSong, SamplingParams, Song, SongRequest

RATE, HOP, BINS, SECONDS = 8000, 80, 64, 6


class Codec(torch.nn.Module):
    """Sound as it is; a code is how loud 10 ms are, on a scale that repeats."""

    hops, bins = (HOP,), BINS

    def __init__(self):
        super().__init__()
        self.levels = [SimpleNamespace(codebook=SimpleNamespace(codes=torch.arange(float(BINS))[:, None]))]

    def encode_long(self, audio):
        self.audio = audio
        return [(1e4 * audio.unflatten(-1, (-1, HOP)).square().mean(-1).sqrt()).long()[:, 0] % BINS]

    def decode_long(self, codes):
        return self.audio


@cache
def melody(seed, seconds=SECONDS):
    """Notes and rhythm of chance, [N]."""
    rng, notes = np.random.default_rng(seed), []
    while sum(map(len, notes)) < seconds * RATE:
        time = np.arange(rng.integers(800, 3200)) / RATE
        pitches = 220 * 2 ** (rng.integers(0, 24, 3) / 12)
        notes.append(rng.uniform(0.05, 0.3) * np.exp(-4 * time) * np.sin(2 * np.pi * pitches[:, None] * time).sum(0))
    return torch.from_numpy(np.concatenate(notes)[: seconds * RATE].astype(np.float32))


class Melodies:
    def __init__(self, seeds, seconds=SECONDS):
        self.seeds, self.seconds = seeds, seconds

    def __len__(self):
        return len(self.seeds)

    def __iter__(self):
        for seed in self.seeds:
            audio = melody(seed, self.seconds)
            yield SongAudio(Song(f"id {seed}", len(audio), RATE, title=f"Song {seed}"), audio[None, None])


TRAINING, HELD_OUT = Melodies(range(5)), Melodies(range(100, 108))


def ask(*sounds, training=TRAINING, songs=HELD_OUT, held_out=True, question=Memory()):  # noqa: B008 - frozen
    bundle, samples = Bundle(Codec(), {}, {}, RATE), []
    for audio in sounds:
        codes = dict(enumerate(bundle.vqvae.encode_long(audio[None, None])))
        sampled = SampledSong(audio[None], RATE, {0: codes[0][0]}, SongRequest(), SamplingParams(), 0)
        samples.append(SampledFor(next(iter(songs)).song, sampled))
    evidence = Evidence(bundle, songs, training, sample=None, held_out=held_out)
    object.__setattr__(evidence, "samples", samples)  # as if they had been made
    return question(evidence)


def test_a_planted_part_is_found_where_it_stands_and_can_be_heard():
    clean, copied = melody(200), melody(201).clone()
    copied[RATE : 4 * RATE] = melody(4)[2 * RATE : 5 * RATE]
    answer = ask(clean, copied)
    assert answer.figures["samples"] == [COPIES_NOT, COPIES]
    assert answer.figures["verdict"] == COPIES
    for name in ("codes", "spectrum"):
        match = answer.figures["similarities"][name]["samples"][1]
        assert match["song"] == "id 4"
        assert match["song_seconds"] - match["start_seconds"] == pytest.approx(1, abs=0.05)
        assert 2 <= match["song_seconds"] <= 5
    assert [caption.split(" from ")[0] for caption in answer.sounds] == ["sample 1", "Song 4, a training song,"]
    sample, song = answer.sounds.values()
    assert torch.equal(sample[: RATE // 2], song[: RATE // 2])
    assert len(answer.tables[0].rows) == 6


def test_a_whole_song_is_a_copy_by_every_similarity_at_any_loudness():
    found = ask(0.5 * melody(2)).figures["similarities"]
    assert all(found[name]["samples"][0]["score"] > found[name]["threshold"] for name in ("spectrum", "fingerprint"))


def test_what_copies_nothing_is_cleared():
    answer = ask(melody(300), melody(301))
    assert answer.figures["verdict"] == COPIES_NOT
    assert not answer.sounds


def test_silence_and_a_single_code_are_no_copy_of_silence():
    quiet = Melodies(range(3))
    quiet.__class__ = type("Silent", (Melodies,), {"__iter__": lambda self: map(silenced, Melodies.__iter__(self))})
    answer = ask(torch.zeros(SECONDS * RATE), training=quiet)
    assert answer.figures["verdict"] == UNKNOWN
    assert all(found["samples"][0]["score"] == 0 for found in answer.figures["similarities"].values())


def silenced(song):
    return song._replace(audio=torch.cat([song.audio[..., :RATE], 0 * song.audio], dim=-1))


def test_one_training_song_and_songs_shorter_than_a_run_are_compared_with_what_they_have():
    assert ask(melody(5), training=Melodies([5])).figures["verdict"] == COPIES
    short = ask(melody(5), training=Melodies([5], seconds=1))
    assert short.figures["similarities"]["fingerprint"]["samples"][0]["song"] is None


def test_only_the_first_songs_are_read_and_that_is_said():
    answer = ask(melody(4), question=Memory(songs=2))
    assert "2 of 5 training songs" in answer.tables[0].note
    assert answer.figures["verdict"] == COPIES_NOT  # the song it copies is not among them


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"held_out": False}, "no song is held out"),
        ({"songs": Melodies(range(100, 103))}, "3 excerpts of 6 s .* takes 8"),
        ({"training": Melodies([])}, "no training song"),
    ],
)
def test_what_cannot_be_told_is_said_with_the_way_out(changed, reason):
    with pytest.raises(CannotTell, match=reason):
        ask(melody(0), **changed)


def test_the_threshold_holds_for_all_comparisons_together():
    rng = np.random.default_rng(0)
    false = [
        rng.gumbel(size=9).max() > threshold(list(rng.gumbel(size=32)), tests=9)  # nothing copied, 9 comparisons
        for _ in range(400)
    ]
    assert np.mean(false) < 0.1


@pytest.mark.parametrize("similarity", [SharedCodes(0, np.arange(9), 0.1), MelCorrelation(RATE), FingerprintAgreement(RATE)])
def test_an_empty_sound_is_like_nothing(similarity):
    nothing = similarity.features(np.zeros(0, np.float32), [np.zeros(0, int)])
    assert similarity.nearest([nothing], [nothing]) == [NO_MATCH]
    assert similarity.nearest([], [nothing]) == [NO_MATCH]
