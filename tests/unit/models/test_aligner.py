"""The network that hears letters: frames stand for their own samples, and the loss is that of the paths it should take."""

from itertools import product

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.models.aligner import SILENCE, AcousticModel, LogMel, alignment_loss, mask_span, sung_frames
from jukebox_pl.types import AlignedBatch

RATE, HOP = 8000, 160
CONFIG = {
    "_target_": "jukebox_pl.models.aligner.AcousticModel",
    "characters": "abc",
    "sample_rate": RATE,
    "bands": 20,
    "width": 8,
    "depth": 2,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return checkpoints.build(CONFIG).eval()


class Says(torch.nn.Module):
    """Answers what it is given, a frame a sample."""

    def __init__(self, log_probs):
        super().__init__()
        self.log_probs = log_probs

    def forward(self, sound):
        return self.log_probs

    def frames(self, spans):
        return spans.long()


def says(frames, seed=0):
    return torch.randn(1, frames, 4, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)


def sung(*words, length):
    """One clip of `length` frames in which (start, end, letters) are sung."""
    spans = torch.tensor([[word[:2] for word in words]], dtype=torch.float32).reshape(1, len(words), 2)
    longest = max((len(letters) for *_, letters in words), default=0)
    letters = [[*letters, *[0] * (longest - len(letters))] for *_, letters in words]
    return AlignedBatch(
        torch.zeros(1, 1, length), spans, torch.tensor([letters], dtype=torch.long).reshape(1, len(words), longest)
    )


def likelihood(log_probs, letters):
    """Log of the sum over all ways to say the letters in order, each for a frame or more: by hand."""
    frames = len(log_probs)
    ways = (way for way in product(range(len(letters)), repeat=frames) if list(way) == sorted(way))
    paths = [way for way in ways if set(way) == set(range(len(letters)))]
    return torch.stack([sum(log_probs[t, letters[at]] for t, at in enumerate(path)) for path in paths]).logsumexp(0)


def test_every_frame_is_a_distribution(model):
    heard = model(torch.randn(2, 10 * HOP + 3))
    assert heard.shape == (2, 10, 4)
    torch.testing.assert_close(heard.exp().sum(-1), torch.ones(2, 10))


def test_a_frame_stands_for_its_own_samples():
    sound = torch.zeros(1, 40 * HOP)
    sound[0, 20 * HOP : 21 * HOP] = torch.randn(HOP)
    energy = LogMel(RATE, HOP, 20)(sound).sum(1)[0]
    assert energy.argmax() == 20
    assert energy[19] == pytest.approx(energy[21].item(), rel=0.3)


@pytest.mark.parametrize("gain", [0.01, 0.5])
def test_loudness_does_not_matter(model, gain):
    sound = torch.randn(1, 50 * HOP)
    torch.testing.assert_close(model(gain * sound), model(sound), atol=0.02, rtol=0)


def test_the_loss_is_silence_between_words_and_letters_inside_them():
    log_probs = says(9)
    loss = alignment_loss(Says(log_probs), sung((1, 5, [1, 2]), (6, 8, [3]), length=9))
    silence = log_probs[0, [0, 5, 8], SILENCE].sum()
    expected = silence + likelihood(log_probs[0, 1:5], [1, 2]) + likelihood(log_probs[0, 6:8], [3])
    torch.testing.assert_close(loss, -expected / 9)


def test_a_word_that_is_cut_is_neither_silence_nor_letters():
    log_probs = says(6)
    loss = alignment_loss(Says(log_probs), sung((0, 2, []), (3, 5, [1]), length=6))
    expected = log_probs[0, [2, 5], SILENCE].sum() + likelihood(log_probs[0, 3:5], [1])
    torch.testing.assert_close(loss, -expected / 4)


def test_a_word_of_more_letters_than_frames_is_left_out():
    log_probs = says(6)
    loss = alignment_loss(Says(log_probs), sung((3, 5, [1, 2, 3]), length=6))
    torch.testing.assert_close(loss, -log_probs[0, [0, 1, 2, 5], SILENCE].mean())


@pytest.mark.parametrize("words", [[], [(0, 6, [])]])
def test_clips_without_words_have_a_finite_loss(model, words):
    model.train()
    batch = sung(*words, length=6 * HOP)
    loss = alignment_loss(model, batch._replace(spans=batch.spans * HOP))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_sung_frames_are_those_inside_a_word():
    frames = torch.tensor([[[1, 3], [5, 6]], [[0, 0], [2, 9]]])
    assert sung_frames(frames, 6).int().tolist() == [[0, 1, 1, 0, 0, 1], [0, 0, 1, 1, 1, 1]]


def test_one_span_is_hidden_in_training_only(model):
    torch.manual_seed(0)
    hidden = mask_span(torch.ones(200, 2, 100), 0.2) == 0
    assert (hidden == hidden[:, :1]).all()
    assert 0.05 < hidden.float().mean() < 0.11
    assert hidden.sum(-1).max() <= 21
    assert (hidden[:, 0].int().diff().abs().sum(-1) <= 2).all()
    sound = torch.randn(1, 50 * HOP)
    torch.testing.assert_close(model(sound), model(sound))
    model.train()
    assert not torch.equal(model(sound), model(sound))


def test_a_saved_network_hears_the_same(model, tmp_path):
    checkpoints.save_state(tmp_path, model.state_dict(), CONFIG)
    sound = torch.randn(1, 50 * HOP)
    torch.testing.assert_close(checkpoints.load(tmp_path).model(sound), model(sound))
    assert isinstance(checkpoints.load(tmp_path).model, AcousticModel)
