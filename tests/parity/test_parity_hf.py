"""A second oracle: Hugging Face's port, written apart from the original, with the weights of small models of ours.

Left out is what the port itself has wrong or lacks: several windows, the lyrics of several songs, alignment, training.
"""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from golden_data import pack
from hf_port import as_port, jukebox, port_prior, port_vqvae

from jukebox_pl.checkpoints import build
from jukebox_pl.models.losses import bits
from jukebox_pl.models.prior import Prior
from jukebox_pl.openai.configs import prior_config, vqvae_config
from jukebox_pl.openai.hparams import PRIORS, VQVAES
from jukebox_pl.sampling.logits import filter_logits
from jukebox_pl.sampling.windows import windows
from jukebox_pl.types import Labels

SMALL_VQVAE = {"width": 8, "depth": 2, "emb_width": 16, "l_bins": 32}
SMALL = {"n_ctx": 64, "blocks": 8, "prior_width": 64, "heads": 2, "l_bins": 32, "y_bins": (5, 7), "n_vocab": 11, "t_bins": 8}
CONDITIONER = {"cond_width": 16, "cond_depth": 3, "cond_dilation_cycle": 2}
ENCODER = {"prime_width": 32, "prime_depth": 3, "prime_heads": 2, "prime_blocks": 4}
# The fewest layers that have every kind of attention of the model.
SHRUNK = {
    "upsampler_bottom_1b": {"prior_depth": 3} | CONDITIONER,
    "upsampler_middle_1b": {"prior_depth": 3} | CONDITIONER,
    "top_prior_5b": {"prior_depth": 3},
    "top_prior_5b_lyrics": {"prior_depth": 20, "n_tokens": 16} | ENCODER,
    "top_prior_1b_lyrics": {"prior_depth": 48, "n_tokens": 16},
}


def close(ours, theirs, tolerance):
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def audio():
    return torch.randn(2, 1, 8192) / 4


@pytest.fixture
def vqvaes(audio):
    """Ours, its codebooks drawn from the audio, and the port's."""
    hps = VQVAES["vqvae_jukebox"] | SMALL_VQVAE
    ours = build(vqvae_config(hps))
    ours(audio)
    return ours.eval(), port_vqvae(hps, ours)


@torch.no_grad()
def test_the_vqvae_hears_the_same_codes(vqvaes, audio):
    ours, port = vqvaes
    for found, expected in zip(ours.encode(audio), port.encode(audio.transpose(1, 2)), strict=True):
        assert len(expected.unique()) > 16
        assert found.equal(expected)


@torch.no_grad()
@pytest.mark.parametrize("level", range(3))
def test_the_vqvae_plays_the_same_sound(vqvaes, level):
    ours, port = vqvaes
    codes = torch.randint(32, (2, 64))
    close(ours.decode(codes, level).transpose(1, 2), port.decode([codes], start_level=level), 1e-4)


@dataclass
class Pair:
    """A prior of ours and the port's with the same weights, and a window for both."""

    ours: Prior
    port: Any
    labels: Labels
    codes: torch.Tensor
    upper: torch.Tensor | None

    def cond(self):
        return self.ours.condition(self.labels, self.upper)

    def port_cond(self):
        """What the port adds at the positions, its start, the lyrics, and the states of their encoder."""
        positions, start, lyrics = self.port.get_cond([self.upper], pack(self.labels))
        states = None if self.port.is_encoder_decoder else self.port.get_encoder_states(lyrics)
        return positions, start, lyrics, states

    def port_inputs(self, codes):
        """What the port's transformer takes: symbols, lyrics in front where they are one sequence, and what it is told."""
        positions, start, lyrics, states = self.port_cond()
        if self.port.is_encoder_decoder:
            codes, positions = self.port.prior_preprocess([lyrics, codes], [None, positions])
        return codes, positions, start, states


@pytest.fixture(scope="module", params=SHRUNK)
def pair(request):
    torch.manual_seed(0)
    hps = PRIORS[request.param] | SMALL | SHRUNK[request.param]
    ours = build(prior_config(hps)).eval()
    for parameter in ours.parameters():  # also those that begin as zero or one
        parameter.data += 0.1 * torch.randn_like(parameter)
    upper = torch.randint(32, (2, 16)) if hps["level"] < 2 else None
    return Pair(ours, port_prior(hps, ours), made_up_labels(hps), torch.randint(32, (2, 64)), upper)


def made_up_labels(hps):
    """Of two windows; the second goes on beyond its song and has an empty genre slot."""
    genres = torch.randint(5, (2, hps["max_bow_genre_size"]))
    genres[1, -1] = -1
    numbers = torch.tensor([[3_000_000, 1_000_000, 500_000], [9_000_000, 7_000_000, 4_000_000]])
    return Labels(torch.randint(7, (2,)), genres, *numbers.T, torch.randint(11, (2, hps.get("n_tokens", 0))))


@torch.no_grad()
def test_what_a_prior_is_told(pair):
    cond = pair.cond()
    positions, start, _, states = pair.port_cond()
    for ours, theirs in ((cond.positions, positions), (cond.start, start), (cond.states, states)):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            close(ours, theirs, 1e-5)


@torch.no_grad()
def test_logits(pair):
    symbols, *told = pair.port_inputs(pair.codes)
    logits = pair.ours.symbol_logits(pair.codes[:, :-1] + pair.ours.vocabulary, pair.cond())
    close(logits, pair.port.prior(symbols, *told, get_preds=True)[1], 1e-4)


def test_loss_and_gradients(pair):
    ours = sum(loss for loss in pair.ours.losses(pair.codes, pair.cond()) if loss is not None)
    theirs = port_loss(pair)
    close(bits(ours), theirs, 1e-4)
    found = as_port(pair.ours, gradients(bits(ours), pair.ours))
    for name, gradient in gradients(theirs, pair.port).items():
        assert (found[name] - gradient).norm() <= 1e-4 * gradient.norm(), name


def port_loss(pair):
    """Bits a code and, where lyrics are modelled, bits a character."""
    symbols, *told = pair.port_inputs(pair.codes)
    losses, _ = pair.port.prior(symbols, *told, get_sep_loss=pair.port.is_encoder_decoder)
    if pair.port.is_encoder_decoder:
        return sum(losses)
    return losses if told[-1] is None else losses + pair.port.get_encoder_loss(told[-1], pair.labels.lyrics)


def gradients(loss, model):
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


@torch.no_grad()
def test_a_greedy_continuation_from_the_cache(pair):
    known, prefix = pair.codes[:, :5], pair.ours.prefix
    symbols, *told = pair.port_inputs(known)
    steps = {"top_k": 1, "chunk_size": 3, "sample_tokens": prefix + 32, "get_preds": True}
    tokens, preds = pair.port.prior.primed_sample(2, symbols, *told, **steps)
    found, logits = greedy(pair.ours, known + pair.ours.vocabulary, pair.cond(), 32)
    assert found.equal(tokens[:, prefix:])
    close(logits, preds, 1e-4)


def greedy(prior, known, cond, total):
    """Symbols [B, n] continued to `total` of them, and the logits of every position."""
    cache, symbols, logits = prior.new_cache(), [known], []
    for _ in range(known.shape[1], total):
        logits.append(prior.symbol_logits(symbols[-1], cond, cache))
        symbols.append(logits[-1][:, -1:].argmax(-1))
    return torch.cat(symbols, dim=1), torch.cat(logits, dim=1)


@pytest.mark.parametrize("k", [1, 4, 32])
def test_top_k(k):
    logits = torch.randn(5, 32)
    assert filter_logits(logits, top_k=k).equal(jukebox.filter_logits(logits, top_k=k))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_top_p(p):
    logits = torch.randn(5, 32)
    assert filter_logits(logits, top_p=p).equal(jukebox.filter_logits(logits, top_p=p))


@pytest.mark.parametrize(("total", "hop"), [(64, 32), (100, 32), (128, 8), (300, 64)])
def test_window_starts(total, hop):
    assert [start for start, _ in windows(total, 64, hop)] == jukebox.get_starts(total, 64, hop)
