"""The autoregressive prior (paper, section 4): one class at every level, with or without lyrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_pl.models.conditioners import Conditioning, LyricsEncoder, embedding
from jukebox_pl.nn.cache import KVCache
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.types import Labels


class PriorLosses(NamedTuple):
    """Mean cross entropies in nats: of the codes and, where the prior models them, of the lyrics."""

    codes: Tensor
    lyrics: Tensor | None


class Prior(nn.Module):
    """Predicts codes [B, T] of one level, T <= ctx, one after the other.

    What it is told comes through `conditioners` (labels, timing, codes above; the embedding of the first position is
    learned where none of them gives it) and the lyrics, in one of two ways: a separate `lyrics` encoder read by X layers
    (released 5b_lyrics), or `vocabulary` lyric tokens in front of the codes in one sequence and one joint table of
    symbols (released 1b_lyrics; the transformer's `prefix` is their number). With `tied` the output matrix is the
    embedding and the positions' conditioning is added once more before it; untied models (released 5b and 5b_lyrics) do
    neither. With `lyrics_as_codes` lyric tokens, as negative codes, may be drawn where codes are due: the original's
    sampling of 1b_lyrics allowed it, here they are left out.
    """

    transformer: Transformer
    lyrics: LyricsEncoder | None
    start: nn.Parameter
    prefix: int
    ctx: int

    def __init__(
        self,
        bins: int,
        transformer: Transformer,
        conditioners: Mapping[str, nn.Module] | None = None,
        lyrics: LyricsEncoder | None = None,
        vocabulary: int = 0,
        tied: bool = True,
        lyrics_as_codes: bool = False,
    ):
        super().__init__()
        width, scale = transformer.width, transformer.init_scale
        self.bins, self.vocabulary, self.prefix = bins, vocabulary, transformer.prefix
        self.lyrics_as_codes, self.tied = lyrics_as_codes, tied
        self.ctx = transformer.ctx - transformer.prefix
        self.embed = embedding(vocabulary + bins, width, 0.02 * scale)
        self.positions = nn.Parameter(torch.randn(transformer.ctx, width) * 0.01 * scale)
        self.conditioners = nn.ModuleDict(dict(conditioners or {}))
        given = any(getattr(conditioner, "gives_start", False) for conditioner in self.conditioners.values())
        learned = None if given else nn.Parameter(torch.randn(1, 1, width) * 0.01 * scale)
        self.register_parameter("start", learned)
        self.lyrics = lyrics
        self.transformer = transformer
        self.out: nn.Module | None = None if tied else nn.Linear(width, vocabulary + bins, bias=False)

    def condition(self, labels: Labels | None = None, upper: Tensor | None = None) -> Conditioning:
        """Labels and the codes above [B, T / factor] of one window, made ready for `forward`."""
        start: Tensor | None = None
        positions: Tensor | None = None
        for conditioner in self.conditioners.values():
            told = conditioner(labels, upper)
            if told.shape[1] == 1:
                start = told if start is None else start + told
            else:
                positions = told if positions is None else positions + told
        lyrics = labels.lyrics if labels is not None and (self.lyrics or self.prefix) else None
        states = self.lyrics(lyrics) if self.lyrics is not None and lyrics is not None else None
        return Conditioning(start, positions, lyrics, states)

    @property
    def first_code(self) -> int:
        """The code that the first column of the logits stands for."""
        return -self.vocabulary if self.lyrics_as_codes else 0

    def new_cache(self) -> KVCache:
        """An empty cache for one window; whoever samples keeps it."""
        return self.transformer.new_cache()

    def forward(self, codes: Tensor, cond: Conditioning, cache: KVCache | None = None) -> Tensor:
        """codes [B, n] known so far to logits [B, n + 1, bins]: of every position up to the next one.

        With a cache the codes continue what it has seen, and its first call may bring none; later calls return one row
        of logits a code. n + 1 <= ctx altogether.
        """
        logits = self.symbol_logits(codes + self.vocabulary, cond, cache)
        fresh = logits.shape[1] > codes.shape[1]
        return logits[:, self.prefix if fresh else 0 :, self.vocabulary + self.first_code :]

    def symbol_logits(self, symbols: Tensor, cond: Conditioning, cache: KVCache | None = None) -> Tensor:
        """Like `forward`, over the joint table of lyric tokens and codes, and for the lyrics' positions too."""
        x, told = self._inputs(symbols, cond, position=cache.position if cache else 0)
        return self._read(self.transformer(x, cond.states, cache), told)

    def next_logits(self, codes: Tensor, cond: Conditioning, cache: KVCache) -> Tensor:
        """The last of what `forward` returns: [B, bins]."""
        x, told = self._inputs(codes + self.vocabulary, cond, cache.position)
        last = self.transformer(x, cond.states, cache)[:, -1:]
        return self._code_logits(last, None if told is None else told[:, -1:])

    def step(self, codes: Tensor, cond: Conditioning, cache: KVCache, position: Tensor) -> Tensor:
        """Logits [B, bins] of the code at `position` (0-dim, above 0) after the one before it, codes [B, 1].

        The cache has seen all that is before. No shape depends on the position, so one graph serves every step.
        """
        at = position + self.prefix
        x = self.embed(codes + self.vocabulary) + self.positions.index_select(0, at[None])
        told = None if cond.positions is None else cond.positions.index_select(1, position[None])
        h = self.transformer.step(x if told is None else x + told, cache, at)
        return self._code_logits(h, told)

    def _code_logits(self, h: Tensor, told: Tensor | None) -> Tensor:
        return self._read(h, told)[:, -1, self.vocabulary + self.first_code :]

    def _read(self, h: Tensor, told: Tensor | None) -> Tensor:
        """Logits over the joint table of lyric tokens and codes, always in float32."""
        if self.tied and told is not None:
            h = h + told
        return self.out(h.float()) if self.out is not None else F.linear(h.float(), self.embed.weight.float())

    def activations(self, codes: Tensor, cond: Conditioning, layer: int) -> Tensor:
        """What goes into a layer, or with their number comes out of the last: codes [B, n] to [B, prefix + n + 1, W]."""
        x, _ = self._inputs(codes + self.vocabulary, cond, position=0)
        return self.transformer.activations(x, layer, cond.states)

    def losses(self, codes: Tensor, cond: Conditioning) -> PriorLosses:
        """Teacher-forced losses of codes [B, T]."""
        logits = self.symbol_logits(codes[:, :-1] + self.vocabulary, cond)
        loss = F.cross_entropy(logits[:, self.prefix :].flatten(0, 1), (codes + self.vocabulary).flatten())
        return PriorLosses(loss, self._lyrics_loss(logits, cond))

    def _lyrics_loss(self, logits: Tensor, cond: Conditioning) -> Tensor | None:
        if cond.lyrics is None:
            return None
        if self.lyrics is not None and cond.states is not None:
            return self.lyrics.loss(cond.states, cond.lyrics)
        return F.cross_entropy(logits[:, : self.prefix].flatten(0, 1), cond.lyrics.flatten())

    def _inputs(self, symbols: Tensor, cond: Conditioning, position: int) -> tuple[Tensor, Tensor | None]:
        """What the transformer reads from `position` on, and the part of it that the conditioners add."""
        x = self._embed(symbols, cond, fresh=position == 0)
        end = position + x.shape[1]
        told = self._told(cond, position, end)
        x = x + self.positions[position:end]
        return (x if told is None else x + told), told

    def _embed(self, symbols: Tensor, cond: Conditioning, fresh: bool) -> Tensor:
        if not fresh:
            return self.embed(symbols)
        start = self.start.expand(len(symbols), -1, -1) if cond.start is None else cond.start
        if self.prefix and cond.lyrics is not None:
            symbols = torch.cat([cond.lyrics, symbols], dim=1)
        return torch.cat([start.to(self.embed.weight), self.embed(symbols)], dim=1)

    def _told(self, cond: Conditioning, position: int, end: int) -> Tensor | None:
        """What the conditioners add at [position, end); nothing is added at the lyrics' positions."""
        if cond.positions is None:
            return None
        begin = max(position - self.prefix, 0)
        told = cond.positions[:, begin : max(end - self.prefix, 0)]
        return F.pad(told, (0, 0, end - position - told.shape[1], 0))
