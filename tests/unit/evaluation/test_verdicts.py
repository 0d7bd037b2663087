"""Priors that are trained with a conditioning that tells the codes, or with one that tells nothing, are told apart."""

from __future__ import annotations

from statistics import mode

import numpy as np
import pytest
import torch

from jukebox_pl.evaluation.conditioning import PriorUse
from jukebox_pl.evaluation.windows import Window
from jukebox_pl.models.conditioners import LabelConditioner, LyricsEncoder, TimingConditioner, UpperCodesConditioner
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import Labels

NAMES = ("artist", "genre", "timing", "lyrics", "upper")
CTX, KINDS, SPAN, BINS, WIDTH, LETTERS = 8, 4, 8, 8, 32, 2  # a code is one of KINDS, which something tells, and a random bit
STEPS, QUICK = 150, {"attn_width": WIDTH, "init_scale": 4.0}  # a layout that learns in so many steps
LABELLER = Labeller(Vocabulary("abcd"), Vocabulary("efgh"), Characters("ijkl"), lyric_tokens=LETTERS)


def make_windows(rng: np.random.Generator, count: int, shuffled: str = "") -> Window:
    """Windows [count, CTX]: the first codes each follow one of NAMES, and the rest are noise. `shuffled` tells nothing."""
    kinds = {name: torch.from_numpy(rng.integers(KINDS, size=count)) for name in NAMES}
    codes = torch.from_numpy(rng.integers(BINS, size=(count, CTX)))
    for position, name in enumerate(NAMES):
        codes[:, position] = 2 * kinds[name] + codes[:, position] % 2
    if shuffled:
        kinds[shuffled] = torch.from_numpy(rng.integers(KINDS, size=count))  # a permutation would leave one in `count`
    duration, nothing = torch.full((count,), SPAN), torch.full((count,), KINDS * SPAN)
    lyrics = kinds["lyrics"].unsqueeze(1).expand(-1, LETTERS) + 1
    labels = Labels(kinds["artist"] + 1, kinds["genre"].unsqueeze(1) + 1, nothing, kinds["timing"] * SPAN, duration, lyrics)
    return Window(codes, labels, kinds["upper"].unsqueeze(1).expand(-1, CTX // 2))


def untrained(joint: bool) -> Prior:
    conditioners = {
        "labels": LabelConditioner(WIDTH, KINDS + 1, KINDS + 1),
        "timing": TimingConditioner(WIDTH, CTX, KINDS, 0, KINDS * SPAN),
        "upper": UpperCodesConditioner(WIDTH, KINDS, downs=1, conv_width=4, depth=1),
    }
    if joint:
        transformer = Transformer(WIDTH, 2, "DD", CTX + LETTERS, block=2, prefix=LETTERS, **QUICK)
        return Prior(BINS, transformer, conditioners, vocabulary=len(LABELLER.characters))
    encoder = LyricsEncoder(len(LABELLER.characters), WIDTH, Transformer(WIDTH, 2, "D", LETTERS, block=LETTERS, **QUICK))
    return Prior(BINS, Transformer(WIDTH, 2, "DXD", CTX, block=2, **QUICK), conditioners, encoder)


def verdicts(prior: Prior) -> dict[str, str]:
    """What two of three sets of songs agree on, twenty songs of four windows each: one 95 % interval in twenty is wrong."""
    found = [verdicts_of(prior.eval(), np.random.default_rng(seed)) for seed in (1, 2, 3)]
    return {name: mode(verdict[name] for verdict in found) for name in found[0]}


@torch.inference_mode()
def verdicts_of(prior: Prior, rng: np.random.Generator) -> dict[str, str]:
    use = PriorUse(prior, LABELLER)
    for _ in range(20):
        use.add([make_windows(rng, 1) for _ in range(4)])
    return {name: found["verdict"] for name, found in use.figures()["conditioning"].items()}


@pytest.mark.slow
@pytest.mark.parametrize(("joint", "shuffled"), [*((False, name) for name in ("", *NAMES)), (True, ""), (True, "lyrics")])
def test_what_told_the_codes_is_used_and_what_was_shuffled_is_not(joint, shuffled):
    torch.manual_seed(0)
    rng, prior = np.random.default_rng(0), untrained(joint)
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, STEPS)
    for _ in range(STEPS):
        window = make_windows(rng, 64, shuffled)
        losses = prior.losses(window.codes, prior.condition(window.labels, window.upper))
        optimizer.zero_grad()
        losses.codes.backward()
        optimizer.step()
        falling.step()
    assert verdicts(prior) == dict.fromkeys(NAMES, "used") | ({shuffled: "unused"} if shuffled else {})
