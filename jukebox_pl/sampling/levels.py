"""One level while it is drawn: which windows are due, what the prior is told of each, and the codes so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.decoding import Decoder, Engine
from jukebox_pl.sampling.logits import uniforms
from jukebox_pl.sampling.voices import ConditioningSchedule, condition
from jukebox_pl.sampling.windows import Span, segments, stretches
from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import LevelParams

MISSING = -1  # stands where a code is still to be drawn


class Progress(NamedTuple):
    """Where the sampling of a level stands after the window at `start`: `done` of `total` codes a song.

    `codes` [B, n] reach to the last one there is. MISSING (-1) stands where one is missing, as with parallel windows; given
    to the sampler as they are, it goes on from there.
    """

    level: int
    start: int
    done: int
    total: int
    codes: Tensor


OnStep = Callable[[int, int, int], None]  # level, codes done, codes in all


class Level:
    """A level of codes [B, total]; MISSING stands where one is missing. No further ones than the first `stop` are drawn.

    `end`: how many there are in the end.
    """

    def __init__(self, codes: Tensor, stop: int):
        self.codes = codes
        self.end = stop if (codes[:, stop:] == MISSING).any() else codes.shape[1]

    def reach(self, needed: int) -> Iterator[Progress]:
        """Draws what is missing among the first `needed` codes, window by window."""
        return iter(())

    def missing(self) -> Tensor:
        """Which codes [B, end] are not there."""
        return self.codes[:, : self.end] == MISSING

    def beginning(self) -> Tensor:
        """The codes up to the first missing one."""
        return self.codes[:, : int((~self.missing().any(0)).int().cumprod(0).sum())]


class LevelSampler:
    """The part of a sampler that sings one level, of whose codes `factor` go to one above.

    `find` is asked for the prior when it is needed first, and again after a rest.
    """

    def __init__(
        self, level: int, samples_per_code: int, factor: int, labeller: Labeller, find: Callable[[], Prior], engine: Engine
    ):
        self.level, self.samples_per_code, self.factor, self.labeller = level, samples_per_code, factor, labeller
        self._find, self._engine = find, engine

    @cached_property
    def prior(self) -> Prior:
        return self._find()

    @cached_property
    def decoder(self) -> Decoder:
        return self._engine.decoder(self.prior)

    def rest(self) -> None:
        """Lets go of the prior, its caches and its graphs."""
        for name in ("decoder", "prior"):
            vars(self).pop(name, None)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # else what the next prior needs in other sizes comes on top


class BatchRow(NamedTuple):
    """Codes [begin, end) of one song of the batch."""

    song: int
    begin: int
    end: int


class LevelState(Level):
    """A level that is sampled, for every song what its script and its seed say. `above` is None at the top."""

    def __init__(
        self,
        codes: Tensor,
        stop: int,
        singer: LevelSampler,
        scripts: Sequence[ConditioningSchedule],
        params: LevelParams,
        seeds: Sequence[int],
        above: Level | None = None,
        on_step: OnStep | None = None,
    ):
        super().__init__(codes, stop)
        self.singer, self.scripts, self.params, self.above, self.on_step = singer, scripts, params, above, on_step
        self.noise = torch.stack([uniforms(seed, singer.level, codes.shape[1]) for seed in seeds]).to(codes.device)
        self.plan = self._plan()

    def reach(self, needed: int) -> Iterator[Progress]:
        """As every level does; codes above that a window needs come first."""
        while self.missing()[:, :needed].any():
            group, stretch = next(self.plan)
            if self.above:
                yield from self.above.reach((group[-1].begin + stretch.end) // self.singer.factor)
            self._draw(group, stretch)
            yield self._progress(group[0].begin + stretch.start)

    def _plan(self) -> Iterator[tuple[list[BatchRow], Span]]:
        """What misses the same codes goes side by side: songs, and segments of each."""
        ends, length = segments(self.codes.shape[1], self.params.parallel_windows, self.singer.factor)
        missing = F.pad(self.missing(), (0, self.codes.shape[1] - self.end))
        groups: dict[bytes, list[BatchRow]] = {}
        for begin, end in ends:
            for song, inside in enumerate(missing[:, begin:end].tolist()):
                # A shorter segment goes on as it ends; what it draws beyond its end is left out.
                wanted = bytes(inside + inside[-1:] * (length - len(inside)))
                groups.setdefault(wanted, []).append(BatchRow(song, begin, end))
        for wanted, group in groups.items():
            for stretch in stretches(wanted, self.singer.prior.ctx, self._hop(), self._cuts(group)):
                yield group, stretch

    def _cuts(self, group: Sequence[BatchRow]) -> list[int]:
        """Where in a part a voice begins."""
        hop = self.singer.samples_per_code
        return sorted({-(-voice.begin // hop) - part.begin for part in group for voice in self.scripts[part.song].voices})

    def _hop(self) -> int:
        """A window moves on by a whole number of codes above."""
        unit = self.singer.factor
        return max(int(self.params.hop_fraction * self.singer.prior.ctx) // unit * unit, unit)

    def _draw(self, group: Sequence[BatchRow], stretch: Span) -> None:
        """Fills in a stretch of every part of the group."""
        # Where a lyric symbol was drawn stands code 0 for the windows to come, as in the original.
        fresh = self._decode(group, stretch)[:, stretch.first - stretch.start :].clamp(min=0)
        for part, codes in zip(group, fresh, strict=True):
            first, last = part.begin + stretch.first, min(part.begin + stretch.last, part.end)
            self.codes[part.song, first:last] = codes[: max(last - first, 0)]

    def _decode(self, group: Sequence[BatchRow], stretch: Span) -> Tensor:
        """The window in every part, up to the end of the stretch: [len(group), last - start]."""
        known = side_by_side(self.codes, group, stretch.start, stretch.first).clamp(min=0)
        noise = side_by_side(self.noise, group, stretch.start, stretch.last)
        there = int((~self.missing()).sum())

        def step(position: int) -> None:
            if self.on_step:
                done = there + (position - known.shape[1]) * len(group)
                self.on_step(self.singer.level, min(done // len(self.codes), self.end), self.end)

        try:
            return self.singer.decoder(self._condition(group, stretch), known, noise, self.params, step)
        except ValueError as error:
            where = f"level {self.singer.level}, window at {group[0].begin + stretch.start}"
            raise UserError(f"{where}: {error}; train this prior again") from None

    def _condition(self, group: Sequence[BatchRow], stretch: Span) -> Conditioning:
        """What the prior is told of the window in every part: the same spans as in training."""
        hop, factor = self.singer.samples_per_code, self.singer.factor
        upper = side_by_side(self.above.codes, group, stretch.start, stretch.end, factor) if self.above else None
        told, weights = [], []
        for part in group:
            script = self.scripts[part.song]
            voice = script.voice((part.begin + stretch.first) * hop)
            offset = script.offset + (part.begin + stretch.start) * hop
            told.append(voice.labels(self.singer.labeller, offset, self.singer.prior.ctx * hop))
            weights.append(voice.weights)
        return condition(self.singer.prior, told, weights, upper, self.noise.device)

    def _progress(self, start: int) -> Progress:
        there = ~self.missing()
        last = int(there.any(0).nonzero()[-1]) + 1
        done = int(there.sum()) // len(there)
        return Progress(self.singer.level, start, done, self.end, self.codes[:, :last].clone())


def side_by_side(rows: Tensor, parts: Sequence[BatchRow], first: int, last: int, factor: int = 1) -> Tensor:
    """Codes [first, last), counted from the beginning of each part, of rows [songs, T / factor]: [parts, n]."""
    return torch.stack([rows[part.song, (part.begin + first) // factor : (part.begin + last) // factor] for part in parts])
