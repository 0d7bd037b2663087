"""What is made like the songs is near them, noise is far, and songs of one kind are not apart."""

from types import SimpleNamespace

import pytest
import torch

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.distances import DECODED, NOISE, SAMPLES, TRAINING, Distances
from jukebox_pl.evaluation.suite import CannotTell, Evidence, SongAudio
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.types import Song

RATE, LENGTH = 11_025, 2 * 11_025 // 128 * 128


def music(seed):
    """Two seconds of chords of a few tones."""
    generator = torch.Generator().manual_seed(seed)
    times, tones = torch.arange(LENGTH) / RATE, 200 * 2 ** torch.randint(0, 12, (3, 1), generator=generator).div(12)
    return (0.1 * torch.sin(2 * torch.pi * tones * times).sum(0) * (1 + torch.sin(9 * times))).view(1, 1, -1)


def songs(count, first):
    return [SongAudio(Song(str(first + i), LENGTH, RATE), music(first + i)) for i in range(count)]


@pytest.fixture
def evidence():
    torch.manual_seed(0)
    vqvae = VQVAE(bins=16, code_dim=8, width=4, depth=1, multipliers=(1, 1, 1))
    vqvae(torch.randn(2, 1, 4096))

    def sample(asked, seed):
        return [SimpleNamespace(audio=music(1000 + seed + i)[0]) for i in range(len(asked))]

    held_out = songs(5, 0)
    return Evidence(
        Bundle(vqvae.eval().requires_grad_(False), {}, {}, RATE),
        held_out,
        [*held_out, *songs(6, 100)],
        sample,
        sample_count=4,
    )


def test_noise_is_farther_than_songs_and_songs_are_around_zero(evidence):
    answer = Distances()(evidence)
    for name in ("codec", "log-mel"):
        rows = answer.figures["embeddings"][name]
        assert list(rows) == [SAMPLES, DECODED, TRAINING, NOISE]
        assert [row["songs"] for row in rows.values()] == [4, 5, 6, 5]
        assert [row["embeddings"] for row in rows.values()] == [4, 5, 6, 5]  # the second second is not whole
        for row in (SAMPLES, TRAINING):
            low, high = rows[row]["kernel"]["interval"]
            assert low < 0 < high
            assert rows[row]["kernel"]["value"] < rows[NOISE]["kernel"]["value"]
            assert name == "codec" or rows[row]["frechet"] < rows[NOISE]["frechet"]  # of three seconds, which is little
        assert rows[NOISE]["kernel"]["interval"][0] > 0
    assert [len(table.rows) for table in answer.tables] == [4, 4]
    assert all(len(row) == len(table.columns) for table in answer.tables for row in table.rows)
    assert answer.figures == Distances()(evidence).figures


def test_training_songs_are_other_songs_than_those_asked_about(evidence):
    rows = Distances(training_songs=4)(evidence).figures["embeddings"]["codec"]
    assert rows[TRAINING]["songs"] == 4
    few = Evidence(evidence.bundle, evidence.songs, evidence.songs, evidence.sample, sample_count=4)
    assert list(Distances()(few).figures["embeddings"]["codec"]) == [SAMPLES, DECODED, NOISE]


def test_few_songs_cannot_tell(evidence):
    few = Evidence(evidence.bundle, evidence.songs, evidence.training, evidence.sample, sample_count=2)
    with pytest.raises(CannotTell, match="takes 3 songs and samples=3, found 2"):
        Distances()(few)
