"""The innermost loop: one window of codes, drawn one after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.logits import draw
from jukebox_pl.types import LevelParams


def sample_codes(
    prior: Prior,
    cond: Conditioning,
    known: Tensor,
    noise: Tensor,
    params: LevelParams,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """One window: codes [B, known] completed to [B, T], a number of noise [B, T] for every position.

    Raises ValueError naming the position when the logits are not finite.
    """
    cache = prior.new_cache()
    window, fresh = [known], known
    for position in range(known.shape[1], noise.shape[1]):
        try:
            drawn = draw(prior(fresh, cond, cache)[:, -1], params, noise[:, position])
        except ValueError as error:
            raise ValueError(f"code {position}: {error}") from None
        fresh = drawn.unsqueeze(1) + prior.first_code
        window.append(fresh)
        if on_step:
            on_step(position + 1)
    return torch.cat(window, dim=1)
