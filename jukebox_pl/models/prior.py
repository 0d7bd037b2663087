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
    """Mean cross entropies in nats: of the codes and, where the prior models them, of the lyrics. `kl`: how far the prior
    has moved from another one, in nats a code."""

    codes: Tensor
    lyrics: Tensor | None
    kl: Tensor | None = None


class Prior(nn.Module):
    """Predicts codes [B, T] of one level, T <= ctx, one after the other.

    Its conditioning comes through `conditioners` (labels, timing, codes above; the embedding of the first position is
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
            cond = conditioner(labels, upper)  # [B, 1, W] or [B, T, W]
            if cond.shape[1] == 1:
                start = cond if start is None else start + cond
            else:
                positions = cond if positions is None else positions + cond
        lyrics = labels.lyrics if labels is not None and (self.lyrics or self.prefix) else None
        states = self.lyrics(lyrics) if self.lyrics is not None and lyrics is not None else None
        return Conditioning(start, positions, lyrics, states)

    @property
    def first_code(self) -> int:
        """The code that the first column of the logits stands for."""
        return -self.vocabulary if self.lyrics_as_codes else 0

    def new_cache(self) -> KVCache:
        """An empty cache for one window; whoever samples keeps it."""
        return KVCache(len(self.transformer.blocks))

    def forward(self, codes: Tensor, cond: Conditioning, cache: KVCache | None = None, last_only: bool = False) -> Tensor:
        """codes [B, n] known so far to logits [B, n + 1, bins]: of every position up to the next one.

        With a cache the codes continue what it has seen, and its first call may bring none; later calls return one row
        of logits a code. n + 1 <= ctx altogether. `last_only`: [B, 1, bins], of the next code alone.
        """
        fresh = cache is None or cache.position == 0
        logits = self.symbol_logits(codes + self.vocabulary, cond, cache, last_only)
        if fresh and not last_only:
            logits = logits[:, self.prefix :]
        return logits[..., self.vocabulary + self.first_code :]

    def symbol_logits(
        self, symbols: Tensor, cond: Conditioning, cache: KVCache | None = None, last_only: bool = False
    ) -> Tensor:
        """Like `forward`, over the joint table of lyric tokens and codes, and for the lyrics' positions too."""
        x, added = self._embed(symbols, cond, 0 if cache is None else cache.position)
        h = self.transformer(x, cond.states, cache)
        if last_only:
            h, added = h[:, -1:], None if added is None else added[:, -1:]
        return self._read(h, added)

    def step(self, codes: Tensor, cond: Conditioning, cache: KVCache, position: Tensor) -> Tensor:
        """Logits [B, bins] of the code at `position` (0-dim, above 0) after the one before it, codes [B, 1].

        The cache has seen all that is before. No shape depends on the position, so one graph serves every step.
        """
        at = position + self.prefix
        x = self.embed(codes + self.vocabulary) + self.positions.index_select(0, at[None])
        added = None if cond.positions is None else cond.positions.index_select(1, position[None])
        h = self.transformer.run(x if added is None else x + added, None, cache, at)
        return self._read(h, added)[:, -1, self.vocabulary + self.first_code :]

    def activations(self, codes: Tensor, cond: Conditioning, layer: int) -> Tensor:
        """What goes into a layer, or with their number comes out of the last: codes [B, n] to [B, prefix + n + 1, W]."""
        x, _ = self._embed(codes + self.vocabulary, cond, 0)
        return self.transformer(x, cond.states, layers=layer)

    def losses(
        self, codes: Tensor, cond: Conditioning, past: Tensor | None = None, base: Tensor | None = None
    ) -> PriorLosses:
        """Teacher-forced losses of codes [B, T], of which the codes before each are read, or those of `past` [B, T].

        With the logits [B, T, bins] that a `base` gives after the same codes also KL(base || this prior).
        """
        symbols = codes + self.vocabulary
        read = symbols if past is None else past + self.vocabulary
        logits = self.symbol_logits(read[:, :-1], cond)  # [B, prefix + T, vocabulary + bins]
        loss = F.cross_entropy(logits[:, self.prefix :].flatten(0, 1), symbols.flatten())
        kl = None
        if base is not None:
            mine, its = (x.float().log_softmax(-1) for x in (logits[:, self.prefix :, self.vocabulary :], base))
            kl = F.kl_div(mine, its, reduction="none", log_target=True).sum(-1).mean()
        if cond.lyrics is None:
            return PriorLosses(loss, None, kl)
        lyric_logits = logits[:, : self.prefix]
        if self.lyrics is not None and cond.states is not None:
            lyric_logits = self.lyrics.out(cond.states.float())
        return PriorLosses(loss, F.cross_entropy(lyric_logits.flatten(0, 1), cond.lyrics.flatten()), kl)

    def _embed(self, symbols: Tensor, cond: Conditioning, position: int) -> tuple[Tensor, Tensor | None]:
        """What the transformer reads from `position` on [B, n, W], and the part of it that the conditioners add.

        At the start of a window the first position and the lyrics come before the symbols.
        """
        if position == 0:
            start = self.start.expand(len(symbols), -1, -1) if cond.start is None else cond.start
            if self.prefix and cond.lyrics is not None:
                symbols = torch.cat([cond.lyrics, symbols], dim=1)
            x = torch.cat([start.to(self.embed.weight), self.embed(symbols)], dim=1)
        else:
            x = self.embed(symbols)
        end = position + x.shape[1]
        x = x + self.positions[position:end]
        if cond.positions is None:
            return x, None
        added = cond.positions[:, max(position - self.prefix, 0) : max(end - self.prefix, 0)]
        added = F.pad(added, (0, 0, x.shape[1] - added.shape[1], 0))  # nothing at the lyrics' positions
        return x + added, added

    def _read(self, h: Tensor, added: Tensor | None) -> Tensor:
        """Logits over the joint table of lyric tokens and codes, in float32: halves would round among thousands of them."""
        if self.tied and added is not None:
            h = h + added
        return self.out(h.float()) if self.out is not None else F.linear(h.float(), self.embed.weight.float())
