"""Putting a trained network into a larger one without changing what it computes."""

from __future__ import annotations

import torch
from torch import nn

from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import CROSS


def graft_lyrics(old: Prior, new: Prior) -> None:
    """Copies a prior without lyrics into one with X layers and a lyrics encoder, which then computes the same function.

    The pattern says whether it fits: new, less its X's, must be old (released: 5b inside 5b_lyrics). New X blocks end in
    zeros, so they start as the identity, and their zeroed layers receive gradient from the first step. Raises ValueError
    when the patterns or a shape differ.
    """
    kept = [i for i, letter in enumerate(new.transformer.pattern) if letter != CROSS]
    pattern = "".join(new.transformer.pattern[i] for i in kept)
    if pattern != old.transformer.pattern:
        raise ValueError(
            f"cannot graft: without X the new pattern is {pattern}, the trained one is {old.transformer.pattern}"
        )
    for source, target in zip(old.transformer.blocks, (new.transformer.blocks[i] for i in kept), strict=True):
        copy_into(source, target, "layer")
    for name, part in old.named_children():
        if name != "transformer":
            copy_into(part, getattr(new, name), name)
    with torch.no_grad():
        for name, parameter in old.named_parameters(recurse=False):
            getattr(new, name).copy_(parameter)


def copy_into(source: nn.Module, target: nn.Module, name: str) -> None:
    """Copies every weight; raises ValueError naming what does not fit."""
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise ValueError(f"cannot graft {name}: {' '.join(str(error).split())}") from None
