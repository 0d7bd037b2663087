"""One level while it is sampled: which windows are due, what each is conditioned on, and the codes so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.inference.convolutions import fast_convolutions
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.conditioning import ConditioningSchedule, condition
from jukebox_pl.sampling.decoding import Decoder, Engine
from jukebox_pl.sampling.logits import uniforms
from jukebox_pl.sampling.windows import Span, missing_spans, parallel_parts
from jukebox_pl.text.labels import Labeller, without
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

    def fill_until(self, needed: int) -> Iterator[Progress]:
        """Draws what is missing among the first `needed` codes, window by window."""
        return iter(())

    def missing(self) -> Tensor:
        """Which codes [B, end] are not there."""
        return self.codes[:, : self.end] == MISSING

    def beginning(self) -> Tensor:
        """The codes up to the first missing one."""
        return self.codes[:, : int((~self.missing().any(0)).int().cumprod(0).sum())]


class LevelSampler:
    """The part of a sampler that draws one level, of whose codes `factor` go to one above.

    Its prior is looked up in `priors` when it is needed first, and again after a release.
    """

    def __init__(
        self,
        level: int,
        samples_per_code: int,
        factor: int,
        labeller: Labeller,
        priors: Mapping[int, Prior],
        device: torch.device,
        engine: Engine,
    ):
        self.level, self.samples_per_code, self.factor, self.labeller = level, samples_per_code, factor, labeller
        self._priors, self._device, self._engine = priors, device, engine

    @cached_property
    def prior(self) -> Prior:
        prior = self._priors[self.level].to(self._device).eval()
        fast_convolutions(prior)
        return prior

    @cached_property
    def decoder(self) -> Decoder:
        return Decoder(self.prior, self._engine)

    def release(self) -> None:
        """Lets go of the prior, its caches and its graphs."""
        for name in ("decoder", "prior"):
            vars(self).pop(name, None)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # else what the next prior needs in other sizes comes on top


class BatchRow(NamedTuple):
    """Codes [begin, end) of one song of the batch: all of it, or one of its parallel parts."""

    song: int
    begin: int
    end: int


class LevelState(Level):
    """A level while it is sampled, for every song as its schedule and its seed say. `above` is None at the top."""

    def __init__(
        self,
        codes: Tensor,
        stop: int,
        sampler: LevelSampler,
        schedules: Sequence[ConditioningSchedule],
        params: LevelParams,
        seeds: Sequence[int],
        above: Level | None = None,
        on_step: OnStep | None = None,
    ):
        super().__init__(codes, stop)
        self.sampler, self.schedules, self.params, self.above, self.on_step = sampler, schedules, params, above, on_step
        self.noise = torch.stack([uniforms(seed, sampler.level, codes.shape[1]) for seed in seeds]).to(codes.device)
        self.plan = self._plan()

    def fill_until(self, needed: int) -> Iterator[Progress]:
        """As every level does; codes above that a window needs come first."""
        while self.missing()[:, :needed].any():
            rows, span = next(self.plan)
            if self.above:
                yield from self.above.fill_until((rows[-1].begin + span.end) // self.sampler.factor)
            self._draw(rows, span)
            there = ~self.missing()
            last, done = int(there.any(0).nonzero()[-1]) + 1, int(there.sum()) // len(there)
            yield Progress(self.sampler.level, rows[0].begin + span.start, done, self.end, self.codes[:, :last].clone())

    def _plan(self) -> Iterator[tuple[list[BatchRow], Span]]:
        """What misses the same codes goes side by side: songs, and parallel parts of each."""
        hop, factor, ctx = self.sampler.samples_per_code, self.sampler.factor, self.sampler.prior.ctx
        parts, length = parallel_parts(self.codes.shape[1], self.params.parallel_windows, factor)
        missing = F.pad(self.missing(), (0, self.codes.shape[1] - self.end))
        groups: dict[bytes, list[BatchRow]] = {}
        for begin, end in parts:
            for song, inside in enumerate(missing[:, begin:end].tolist()):
                # A shorter part goes on as it ends; what it draws beyond its end is left out.
                wanted = bytes(inside + inside[-1:] * (length - len(inside)))
                groups.setdefault(wanted, []).append(BatchRow(song, begin, end))
        # A window moves on by a whole number of codes above.
        window_hop = max(int(self.params.hop_fraction * ctx) // factor * factor, factor)
        for wanted, rows in groups.items():
            begins = [(row, segment.begin) for row in rows for segment in self.schedules[row.song].segments]
            cuts = sorted({-(-begin // hop) - row.begin for row, begin in begins})
            for span in missing_spans(wanted, ctx, window_hop, cuts):
                yield rows, span

    def _draw(self, rows: Sequence[BatchRow], span: Span) -> None:
        """Fills in a span of every row."""
        known = side_by_side(self.codes, rows, span.start, span.first).clamp(min=0)
        noise = side_by_side(self.noise, rows, span.start, span.last)
        there = int((~self.missing()).sum())

        def step(position: int) -> None:
            if self.on_step:
                done = there + (position - known.shape[1]) * len(rows)
                self.on_step(self.sampler.level, min(done // len(self.codes), self.end), self.end)

        try:
            drawn = self.sampler.decoder(self._condition(rows, span), known, noise, self.params, step)
        except ValueError as error:
            where = f"level {self.sampler.level}, window at {rows[0].begin + span.start}"
            raise UserError(f"{where}: {error}; train this prior again") from None
        # Where a lyric symbol was drawn stands code 0 for the windows to come, as in the original.
        fresh = drawn[:, span.first - span.start :].clamp(min=0)
        for row, codes in zip(rows, fresh, strict=True):
            first, last = row.begin + span.first, min(row.begin + span.last, row.end)
            self.codes[row.song, first:last] = codes[: max(last - first, 0)]

    def _condition(self, rows: Sequence[BatchRow], span: Span) -> Conditioning:
        """What the prior is conditioned on in the window of every row: labels of the same length as in training."""
        hop, prior = self.sampler.samples_per_code, self.sampler.prior
        upper = side_by_side(self.above.codes, rows, span.start, span.end, self.sampler.factor) if self.above else None
        labels, weights = [], []
        for row in rows:
            schedule = self.schedules[row.song]
            segment = schedule.at((row.begin + span.first) * hop)
            offset = schedule.offset + (row.begin + span.start) * hop
            labels.append(segment.labels(self.sampler.labeller, offset, prior.ctx * hop))
            weights.append(segment.weights)
        if self.params.guidance != 1:
            labels += [[without(blend[0], "artist", "genres", "lyrics")] for blend in labels]
            weights += [(1.0,)] * len(rows)
            upper = None if upper is None else upper.repeat(2, 1)
        return condition(prior, labels, weights, upper, self.noise.device)


def side_by_side(codes: Tensor, rows: Sequence[BatchRow], first: int, last: int, factor: int = 1) -> Tensor:
    """Codes [first, last), counted from the beginning of each row, of codes [songs, T / factor]: [rows, n]."""
    return torch.stack([codes[row.song, (row.begin + first) // factor : (row.begin + last) // factor] for row in rows])
