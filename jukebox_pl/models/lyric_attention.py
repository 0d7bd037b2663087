"""How much each code of a window looks at each lyric token, in every layer and head that can see the lyrics."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.prior import Prior


def lyric_layers(prior: Prior) -> list[int]:
    """X layers, or D and L where the lyrics stand in front of the codes; none in a prior without lyrics."""
    letters = "X" if prior.lyrics is not None else "DL" if prior.prefix else ""
    return [layer for layer, letter in enumerate(prior.transformer.pattern) if letter in letters]


@torch.no_grad()
def lyric_attention(
    prior: Prior, codes: Tensor, cond: Conditioning, layers: Collection[int]
) -> Iterator[tuple[int, Tensor]]:
    """codes [B, T] of one window to [B, H, T, L] of each of the `layers`, in one pass: weights of the tokens as keys.

    Both ways of reading lyrics are causal: column i has seen the tokens before i, so who sings character p looks at column
    p + 1. Rows of X layers sum to 1; D and L look at codes too. Raises ValueError for layers that see no lyrics.
    """
    tokens = 0 if cond.lyrics is None else cond.lyrics.shape[1]
    x = prior.activations(codes[:, :-1], cond, 0)
    states = None if cond.states is None else cond.states.to(x.dtype)
    for layer, block in enumerate(prior.transformer.blocks[: max(layers, default=-1) + 1]):
        if layer in layers:
            yield layer, block.attention.weights(block.attention_norm(x), states)[:, :, prior.prefix :, :tokens]
        x = block(x, states)
