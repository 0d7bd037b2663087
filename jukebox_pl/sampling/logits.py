"""From logits to codes. Randomness comes in as numbers, so that it depends on seed, level and position alone."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def uniforms(seed: int, level: int, total: int) -> Tensor:
    """One number in [0, 1) for every position of a level [total]; a longer song begins with the same numbers."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, level])))
    return torch.from_numpy(generator.random(total, dtype=np.float32))


def filter_logits(logits: Tensor, top_k: int = 0, top_p: float | Tensor | None = None) -> Tensor:
    """Of each row [B, bins] only the `top_k` largest stay (equals of the last too), and of those the most probable, up to
    and including the one that brings their sum beyond `top_p`. 0 switches top_k off, None top_p."""
    if top_k:
        threshold = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < threshold, -torch.inf)
    if top_p is not None:
        ordered, order = logits.sort(descending=True)
        before = F.pad(ordered.softmax(-1).cumsum(-1)[:, :-1], (1, 0))
        logits = logits.masked_fill((before > top_p).gather(-1, order.argsort(-1)), -torch.inf)
    return logits


def draw(
    logits: Tensor, uniform: Tensor, temperature: float | Tensor, top_k: int = 0, top_p: float | Tensor | None = None
) -> Tensor:
    """One code a row: logits [B, bins] and numbers [B] in [0, 1) to codes [B], by inverting the cumulated probabilities.

    `top_k` and `top_p` as in `filter_logits`. Nothing here waits for a GPU.
    """
    if top_k == 1:
        return logits.argmax(-1)
    logits = filter_logits(logits.float() / temperature, top_k, top_p)
    cumulated = logits.softmax(-1).cumsum(-1)
    # Scaled by the last sum, a number below 1 always lands on a code that can be drawn, whatever rounding did.
    target = uniform.to(cumulated)[:, None] * cumulated[:, -1:]
    return (cumulated <= target).sum(-1).clamp(max=logits.shape[-1] - 1)
