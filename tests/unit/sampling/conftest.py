"""Networks to sample from: fakes whose answers can be reckoned in the head, and real ones with random weights."""

from types import SimpleNamespace

import pytest
import torch

from jukebox_pl.models.conditioners import (
    Conditioning,
    LabelConditioner,
    LyricsEncoder,
    TimingConditioner,
    UpperCodesConditioner,
)
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary

BINS, CTX, HOPS, RATE, WIDTH, LYRICS = 10, 16, (8, 32, 128), 1280, 16, 8
LEVELS = range(3)


class FakeCache:
    position = 0


class FakePrior(torch.nn.Module):
    """Counts up from the last code; its first answer is its condition: the sum of the codes above, or the offset."""

    ctx, first_code, conditioners = CTX, 0, {"timing": SimpleNamespace(max_duration=100 * RATE)}

    def __init__(self):
        super().__init__()
        self.conditions = []

    def new_cache(self):
        return FakeCache()

    def condition(self, labels, upper=None):
        self.conditions.append((labels, upper))
        start = labels.offset if upper is None else upper.sum(1)
        return Conditioning(start.view(-1, 1, 1).float(), None, None, None)

    def forward(self, codes, cond, cache, last_only):
        last = codes[:, -1] if codes.shape[1] else cond.start[:, 0, 0].long() - 1
        return self.after(last).unsqueeze(1)

    def step(self, codes, cond, cache, position):
        return self.after(codes[:, 0])

    def after(self, last):
        return torch.nn.functional.one_hot((last + 1) % BINS, BINS).float() * 5


class FakeVQVAE(torch.nn.Module):
    hops, bins = HOPS, BINS

    def decode_long(self, codes, level):
        return codes.float().repeat_interleave(HOPS[level], 1).unsqueeze(1)

    def decoder_margin(self, level):
        return 1


@pytest.fixture
def fake():
    labeller = Labeller(Vocabulary(["Anna", "Ben"]), Vocabulary(["folk", "jazz"]))
    return Sampler(FakeVQVAE(), {level: FakePrior() for level in LEVELS}, dict.fromkeys(LEVELS, labeller), RATE)


@pytest.fixture(scope="session")
def real():
    """Ten codes of the top a second, two codes to one of the level above."""
    torch.manual_seed(0)
    characters = Characters("").including("abcdefghijklmnopqrstuvwxyz ,")
    labeller = Labeller(Vocabulary(["Anna", "Ben"]), Vocabulary(["folk", "jazz"]), characters, LYRICS)
    priors = {0: upsampler(), 1: upsampler(), 2: top_prior(len(characters))}
    for prior in priors.values():
        for name, parameter in prior.named_parameters():
            torch.nn.init.normal_(parameter, std=3.0 if "conditioners.labels" in name else 0.4)
    vqvae = VQVAE(downs=(3, 1, 1), bins=BINS, code_dim=8, width=4, depth=2)
    return Sampler(vqvae, priors, dict.fromkeys(LEVELS, labeller), sample_rate=320)


def upsampler():
    upper = UpperCodesConditioner(WIDTH, BINS, downs=1, conv_width=8, depth=2)
    return Prior(BINS, Transformer(WIDTH, 2, "RCP", CTX, 4), {"labels": labels(), "upper": upper}, tied=False)


def top_prior(characters):
    conditioners = {"labels": labels(), "timing": TimingConditioner(WIDTH, CTX, 8, 0, 100 * 320)}
    lyrics = LyricsEncoder(characters, WIDTH, Transformer(8, 2, "RC", LYRICS, 4, attn_width=8))
    return Prior(BINS, Transformer(WIDTH, 2, "RCPX", CTX, 4), conditioners, lyrics=lyrics, tied=False)


def labels():
    return LabelConditioner(WIDTH, artists=3, genres=3)
