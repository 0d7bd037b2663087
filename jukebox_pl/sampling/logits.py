"""From logits to codes. Randomness comes in as numbers, so that it depends on seed, level and position alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jukebox_pl.types import LevelParams


def uniforms(seed: int, level: int, total: int) -> Tensor:
    """One number in [0, 1) for every position of a level [total]; a longer song begins with the same numbers."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, level])))
    return torch.from_numpy(generator.random(total, dtype=np.float32))


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Only the k largest of each row [B, bins] stay (equals of the k-th too)."""
    threshold = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < threshold, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """The most probable of each row [B, bins] stay, up to and including the one that brings their sum beyond p."""
    ordered, order = logits.sort(descending=True)
    before = ordered.softmax(-1).cumsum(-1).roll(1, -1)
    before[:, 0] = 0.0
    return logits.masked_fill((before > p).gather(-1, order.argsort(-1)), -torch.inf)


def draw(logits: Tensor, params: LevelParams, uniform: Tensor) -> Tensor:
    """One code a row: logits [B, bins] and numbers [B] in [0, 1) to codes [B], by inverting the cumulated probabilities.

    Raises ValueError when the logits are not finite.
    """
    if not logits.amax(-1).isfinite().all():
        raise ValueError("the prior's logits are not finite")
    if params.top_k == 1:
        return logits.argmax(-1)
    logits = logits.float() / params.temperature
    if params.top_k:
        logits = keep_top_k(logits, params.top_k)
    if params.top_p:
        logits = keep_top_p(logits, params.top_p)
    cumulated = logits.softmax(-1).cumsum(-1)
    # Scaled by the last sum, a number below 1 always lands on a code that can be drawn, whatever rounding did.
    target = uniform.to(cumulated)[:, None] * cumulated[:, -1:]
    return torch.searchsorted(cumulated, target, right=True).squeeze(1).clamp(max=logits.shape[-1] - 1)
