"""What a prior reads besides its own codes. Each conditioner takes (labels, upper) and returns [B, 1, W], which
becomes the embedding of the first position (such a class says `gives_start`), or [B, T, W], which is added at every
position."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from jukebox_pl.models.vqvae import UpBlock
from jukebox_pl.nn.transformer import LayerNorm, Transformer
from jukebox_pl.types import Labels


class Conditioning(NamedTuple):
    """What `Prior.condition` returns and `Prior.forward` reads; each part None where a prior does without it."""

    start: Tensor | None  # [B, 1, W]
    positions: Tensor | None  # [B, T, W]
    lyrics: Tensor | None  # [B, L] tokens
    states: Tensor | None  # [B, L, W] of the lyrics encoder

    def items(self, which: slice | Tensor) -> Conditioning:
        """Some items of the batch."""
        return Conditioning(*(None if part is None else part[which] for part in self))


def embedding(bins: int, width: int, std: float) -> nn.Embedding:
    table = nn.Embedding(bins, width)
    nn.init.normal_(table.weight, std=std)
    return table


class LabelConditioner(nn.Module):
    """Artist plus the sum over genres (a bag of words): [B, 1, W]."""

    gives_start: ClassVar[bool] = True

    def __init__(self, width: int, artists: int, genres: int, init_scale: float = 1.0):
        super().__init__()
        self.artist = embedding(artists, width, 0.01 * init_scale)
        self.genre = embedding(genres, width, 0.01 * init_scale)

    def forward(self, labels: Labels, upper: Tensor | None = None) -> Tensor:
        filled = (labels.genres >= 0).unsqueeze(-1)
        genres = (self.genre(labels.genres.clamp(min=0)) * filled).sum(1)
        return (self.artist(labels.artist) + genres).unsqueeze(1)


class TimingConditioner(nn.Module):
    """Length of the song, place in the song in seconds, place as a fraction: three tables, [B, T, W].

    Positions are binned in float32 over [min_duration, max_duration) for the length, [0, max_duration) for the place,
    [0, 1) for the fraction (durations in samples); what lies outside falls into the nearest bin. The fraction of a window
    that goes on beyond its song ends at 1.
    """

    def __init__(self, width: int, ctx: int, bins: int, min_duration: float, max_duration: float, init_scale: float = 1.0):
        super().__init__()
        self.ctx, self.bins = ctx, bins
        self.min_duration, self.max_duration = min_duration, max_duration
        self.length, self.place, self.fraction = (embedding(bins, width, 0.01 * init_scale) for _ in range(3))

    def forward(self, labels: Labels, upper: Tensor | None = None) -> Tensor:
        total, start, span = (x.float().unsqueeze(1) for x in (labels.total, labels.offset, labels.duration))
        end = start + span
        places = self._interpolate(start, end)
        fractions = self._interpolate(start / total, (end / total).clamp(max=1.0))
        return (
            self.length(self._bin(total, self.min_duration, self.max_duration))
            + self.place(self._bin(places, 0.0, self.max_duration))
            + self.fraction(self._bin(fractions, 0.0, 1.0))
        )

    def _interpolate(self, start: Tensor, end: Tensor) -> Tensor:
        """`ctx` values from each start up to its end: [B, ctx]."""
        return start + (end - start) * (torch.arange(self.ctx, device=start.device, dtype=torch.float32) / self.ctx)

    def _bin(self, x: Tensor, low: float, high: float) -> Tensor:
        return (self.bins * ((x - low) / (high - low))).floor().long().clamp(0, self.bins - 1)


class UpperCodesConditioner(nn.Module):
    """The codes of the level above [B, T / factor], embedded and upsampled by convolutions to [B, T, W]."""

    def __init__(
        self,
        width: int,
        bins: int,
        downs: int = 2,
        stride: int = 2,
        conv_width: int = 1024,
        depth: int = 16,
        dilation_growth: int = 3,
        cycle: int = 8,
        scaled: bool = False,
        init_scale: float = 1.0,
    ):
        super().__init__()
        self.factor = stride**downs
        self.embed = embedding(bins, width, 0.02 * init_scale)
        scale = depth**-0.5 if scaled else 1.0
        self.upsample = UpBlock(
            width, width, conv_width, depth, downs, stride, dilation_growth, cycle, reverse=False, scale=scale
        )
        self.norm = LayerNorm(width)

    def forward(self, labels: Labels, upper: Tensor | None = None) -> Tensor:
        if upper is None:
            raise ValueError("this prior writes a lower level: it needs the codes of the level above")
        return self.norm(self.upsample(self.embed(upper).transpose(1, 2)).transpose(1, 2))


class LyricsEncoder(nn.Module):
    """A small autoregressive transformer over lyric tokens [B, L]; X layers read its projected states [B, L, W].

    State i has seen tokens before i only. Trained by its own next-character loss beside the prior's.
    """

    def __init__(self, vocabulary: int, width: int, transformer: Transformer):
        super().__init__()
        scale, inner = transformer.init_scale, transformer.width
        self.embed = embedding(vocabulary, inner, 0.02 * scale)
        self.positions = nn.Parameter(torch.randn(transformer.ctx, inner) * 0.01 * scale)
        self.start = nn.Parameter(torch.randn(1, 1, inner) * 0.01 * scale)
        self.transformer = transformer
        self.project = nn.Linear(inner, width)
        nn.init.normal_(self.project.weight, std=0.02 * scale)
        nn.init.zeros_(self.project.bias)
        self.norm = LayerNorm(width)
        self.out = nn.Linear(width, vocabulary, bias=False)
        nn.init.normal_(self.out.weight, std=0.02 * scale)

    def forward(self, lyrics: Tensor) -> Tensor:
        start = self.start.expand(len(lyrics), -1, -1)
        x = torch.cat([start, self.embed(lyrics[:, :-1])], dim=1) + self.positions[: lyrics.shape[1]]
        return self.norm(self.project(self.transformer(x).float()))
