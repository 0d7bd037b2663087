"""Which characters of the lyrics a prior attended to: the attention of one layer and head."""

from __future__ import annotations

import torch
from torch import Tensor

from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.windows import windows
from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import Labels, Song


@torch.no_grad()
def lyric_attention(prior: Prior, codes: Tensor, cond: Conditioning, layer: int, head: int) -> Tensor:
    """codes [B, T] of one window to [B, T, L]: how much each code attends to each lyric token.

    `layer` is a D, L or X layer. Rows of X sum to 1; the others look at codes too. Released models: layer 68, head 2 of
    5b_lyrics; layer 63, head 0 of 1b_lyrics.
    """
    block = prior.transformer.blocks[layer]
    hidden = prior.activations(codes[:, :-1], cond, layer)
    weights = block.attention.weights(block.attention_norm(hidden), cond.states)
    tokens = 0 if cond.lyrics is None else cond.lyrics.shape[1]
    return weights[:, head, prior.prefix :, :tokens]


def align(
    prior: Prior,
    labeller: Labeller,
    song: Song,
    codes: Tensor,
    samples_per_code: int,
    layer: int,
    head: int,
    offset: int = 0,
    hop_fraction: float = 0.5,
) -> Tensor:
    """codes [T] of a song from sample `offset` on to [T, characters] of its cleaned lyrics.

    Where windows overlap, the earlier one counts: the characters of each were chosen for its own middle.
    """
    characters = len(labeller.characters.encode(song.lyrics))
    alignment = torch.zeros(len(codes), characters)
    duration = prior.ctx * samples_per_code
    for start, end in reversed(list(windows(len(codes), prior.ctx, max(int(hop_fraction * prior.ctx), 1)))):
        begin = offset + start * samples_per_code
        cond = prior.condition(Labels.stack([labeller.labels(song, begin, duration)]).to(codes.device))
        first, last = labeller.lyric_span(song, begin, duration, characters)
        attention = lyric_attention(prior, codes[None, start:end], cond, layer, head)[0]
        alignment[start:end, first:last] = attention[:, attention.shape[1] - (last - first) :].cpu()
    return alignment
