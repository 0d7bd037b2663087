"""From a request to a song: level by level, window by window, code by code (paper, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from jukebox_pl.checkpoints import LyricsHead
from jukebox_pl.errors import UserError
from jukebox_pl.inference.convolutions import fast_convolutions
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.sampling import checks
from jukebox_pl.sampling.alignment import align, sung_words
from jukebox_pl.sampling.conditioning import ConditioningSchedule
from jukebox_pl.sampling.decoding import Engine
from jukebox_pl.sampling.levels import MISSING, Level, LevelSampler, LevelState, OnStep, Progress
from jukebox_pl.sampling.streaming import AudioChunk, ChunkDecoder
from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import LevelParams, SampledSong, SamplingParams, SongRequest, Word

DEFAULTS = SamplingParams()

OnWindow = Callable[[Progress], None]


class Sampler:
    """Samples songs from a VQ-VAE, a prior a level and a labeller a level.

    There is one loop. A song from nothing, primed, continued, upsampled or with a gap filled in differ only in the codes
    that it starts from: those given are kept, those missing (MISSING, -1, or beyond the end) are drawn. The same request,
    parameters and seed give the same codes, whatever is sampled beside it and wherever it was interrupted.

    `priors` are looked up when their level is begun. Unless `keep` is set, each is let go when its level is done; where
    nobody else holds it (`load_bundle(..., at_once=False)`), one at a time is in memory. The `lyrics_head` of the bundle, if
    there is one, tells when each word is sung. Raises UserError when the engine is not for the device.
    """

    def __init__(
        self,
        vqvae: VQVAE,
        priors: Mapping[int, Prior],
        labellers: Mapping[int, Labeller],
        sample_rate: int,
        device: str = "cpu",
        engine: Engine | None = None,
        keep: bool = True,
        lyrics_head: LyricsHead | None = None,
    ):
        self.sample_rate, self.device, self.engine = sample_rate, torch.device(device), engine or Engine()
        self.engine.require_device(self.device)
        self.vqvae, self.priors, self.labellers = vqvae.to(device), priors, labellers
        self.keep, self.hops, self.top = keep, vqvae.hops, len(vqvae.hops) - 1
        self.lyrics_head = lyrics_head
        self._level_samplers: dict[int, LevelSampler] = {}
        fast_convolutions(vqvae)

    def sample(
        self,
        request: SongRequest,
        params: SamplingParams = DEFAULTS,
        seed: int = 0,
        codes: Mapping[int, Tensor] | None = None,
        on_window: OnWindow | None = None,
        on_step: OnStep | None = None,
        levels: Collection[int] | None = None,
        until_seconds: float | None = None,
    ) -> SampledSong:
        """One song.

        `codes` [T_l] by level are kept; missing ones are MISSING or lie beyond their end. `levels` are sampled (all by
        default); a level above them is given whole. The audio is that of the lowest. At `until_seconds` every level
        stops, with a whole code of the top; upper levels that are given further are read further.

        Raises UserError for what does not fit the models, and when a prior's logits are not finite: what was drawn until
        then has gone to `on_window`.
        """
        batch = {level: rows.unsqueeze(0) for level, rows in (codes or {}).items()}
        return self.sample_batch([request], params, [seed], batch, on_window, on_step, levels, until_seconds)[0]

    @torch.inference_mode()
    def sample_batch(
        self,
        requests: Sequence[SongRequest],
        params: SamplingParams,
        seeds: Sequence[int],
        codes: Mapping[int, Tensor] | None = None,
        on_window: OnWindow | None = None,
        on_step: OnStep | None = None,
        levels: Collection[int] | None = None,
        until_seconds: float | None = None,
    ) -> list[SampledSong]:
        """Several songs of one length side by side, `codes` [B, T_l]; each is the song it would be alone.

        Candidates are one request with several seeds.
        """
        made = self._levels(requests, params, seeds, codes, levels, until_seconds, on_step)
        words: list[tuple[Word, ...]] = [()] * len(requests)
        for level in sorted(made, reverse=True):
            for progress in made[level].fill_until(made[level].end):
                if on_window:
                    on_window(progress)
            if self.lyrics_head and self.lyrics_head.level == level:
                rows = zip(requests, made[level].beginning(), strict=True)
                words = [self._words(self.lyrics_head, *row) for row in rows]
            self._release()
        lowest = min(made)
        # One by one: side by side they would be rounded otherwise.
        audio = [self.vqvae.decode_long(rows, lowest)[0].cpu() for rows in made[lowest].beginning().split(1)]
        drawn = {level: made[level].beginning().cpu() for level in sorted(made)}
        return [
            SampledSong(
                trainable(audio[i]),
                self.sample_rate,
                {level: trainable(rows[i]) for level, rows in drawn.items()},
                request,
                params,
                seed,
                words[i],
            )
            for i, (request, seed) in enumerate(zip(requests, seeds, strict=True))
        ]

    @torch.inference_mode()
    def stream(
        self,
        request: SongRequest,
        params: SamplingParams = DEFAULTS,
        seed: int = 0,
        codes: Mapping[int, Tensor] | None = None,
        on_window: OnWindow | None = None,
        on_step: OnStep | None = None,
        levels: Collection[int] | None = None,
        until_seconds: float | None = None,
        preview_level: int | None = None,
        depth_first: bool = True,
    ) -> Iterator[AudioChunk]:
        """The song of `sample` while it is made: chunks of the lowest level that join without a seam, window by window.

        `depth_first` draws of the upper levels only what the next window below needs, so that the first sound comes
        early; the codes are the same in either order. `preview_level` is heard too, in chunks of its own.
        """
        batch = {level: rows.unsqueeze(0) for level, rows in (codes or {}).items()}
        made = self._levels([request], params, [seed], batch, levels, until_seconds, on_step)
        heard = {min(made), min(made) if preview_level is None else preview_level}
        checks.require_levels(heard, made)
        decoders = {level: ChunkDecoder(self.vqvae, level, made[level].end) for level in heard}
        for progress in self._windows(made, depth_first):
            if on_window:
                on_window(progress)
            if progress.level in decoders and (chunk := decoders[progress.level](made[progress.level].beginning())):
                yield chunk._replace(audio=trainable(chunk.audio))
        for level, decoder in decoders.items():  # what was given whole has had no window
            if chunk := decoder(made[level].beginning()):
                yield chunk._replace(audio=trainable(chunk.audio))

    @torch.inference_mode()
    def encode(self, audio: Tensor) -> dict[int, Tensor]:
        """audio [1, N] at `sample_rate` to the codes [T_l] of every level, cut to whole codes of the top: a prompt.

        Raises UserError when it is not mono or shorter than one code of the top.
        """
        if audio.dim() != 2 or len(audio) != 1 or audio.shape[1] < self.hops[self.top]:
            raise UserError(
                f"expected mono audio [1, N] of at least {self.hops[self.top]} samples, found {tuple(audio.shape)}"
            )
        codes = self.vqvae.encode_long(audio[None].to(self.device))
        return {level: trainable(rows[0].cpu()) for level, rows in enumerate(codes)}

    def erase(
        self, codes: Mapping[int, Tensor], begin_seconds: float, end_seconds: float, levels: Collection[int] | None = None
    ) -> dict[int, Tensor]:
        """`codes` [..., T_l] for `sample` to draw [begin, end) of `levels` (all by default) anew, with another seed.

        Widened to whole codes of the top. The new codes follow from what stands before them (and, below the top, from the
        codes above); the priors do not know what comes after. Raises UserError when that is no part of the codes.
        """
        there = max((rows.shape[-1] * self.hops[level] for level, rows in codes.items()), default=0) / self.sample_rate
        if not 0 <= begin_seconds < min(end_seconds, there):
            raise UserError(f"cannot sample from {begin_seconds} to {end_seconds} s again: the song has {there:.3f} s")
        hop = self.hops[self.top]
        first, last = round(begin_seconds * self.sample_rate) // hop, self._top_codes(end_seconds)
        erased = {level: rows.long() for level, rows in codes.items()}
        for level in set(erased) & set(levels or erased):
            times = hop // self.hops[level]
            erased[level] = erased[level].clone()
            erased[level][..., first * times : last * times] = MISSING
        return erased

    def check(
        self,
        requests: Sequence[SongRequest],
        seeds: Sequence[int],
        codes: Mapping[int, Tensor] | None = None,
        levels: Collection[int] | None = None,
    ) -> tuple[set[int], dict[int, Tensor], list[ConditioningSchedule]]:
        """The levels to sample, the codes that are kept, and what each song is conditioned on.

        Nothing is sampled or reserved. Raises UserError for what does not fit the models, as `sample_batch` does.
        """
        every = range(self.top + 1)
        sampled = checks.require_levels(every if levels is None else levels, every)
        seconds = checks.require_times(requests, self.hops[self.top] / self.sample_rate)
        checks.require_seeds(seeds, len(requests))
        given = {level: rows for level, rows in (codes or {}).items() if level >= min(sampled)}
        checks.require_codes(given, len(requests), len(self.hops), self.vqvae.bins)
        checks.require_room(given, self.hops, self._top_codes(seconds) * self.hops[self.top], self.sample_rate)
        schedules = [ConditioningSchedule.of(request, self.sample_rate) for request in requests]
        for schedule in schedules:
            checks.require_names(schedule, self.labellers[self.top])
        return sampled, given, schedules

    def level_sampler(self, level: int) -> LevelSampler:
        """What samples one level. Raises UserError when there is no prior for it."""
        if level not in self.priors:
            raise UserError(f"there is no prior for level {level}, only for {sorted(self.priors)}")
        if level not in self._level_samplers:
            factor = 1 if level == self.top else self.hops[level + 1] // self.hops[level]
            self._level_samplers[level] = LevelSampler(
                level, self.hops[level], factor, self.labellers[level], self.priors, self.device, self.engine
            )
        return self._level_samplers[level]

    def _windows(self, made: Mapping[int, Level], depth_first: bool) -> Iterator[Progress]:
        """Draws all codes: level by level from the top, or the lowest one and of those above what it needs."""
        for level in [min(made)] if depth_first else sorted(made, reverse=True):
            yield from made[level].fill_until(made[level].end)
            self._release()

    def _release(self) -> None:
        if not self.keep:
            for level_sampler in self._level_samplers.values():
                level_sampler.release()

    def _words(self, by: LyricsHead, request: SongRequest, codes: Tensor) -> tuple[Word, ...]:
        """When the song of `codes` [T] sings each word of its lyrics: one pass over them; none without lyrics."""
        labeller, hop = self.labellers[by.level], self.hops[by.level]
        schedule = ConditioningSchedule.of(request, self.sample_rate)
        if not labeller.lyric_tokens or not any(segment.text.lyrics for segment in schedule.segments):
            return ()
        texts = align(self.level_sampler(by.level).prior, labeller, schedule, codes, hop, by.layer, by.head)
        return tuple(word for text in texts for word in sung_words(text, labeller, schedule.offset, hop))

    def _levels(
        self,
        requests: Sequence[SongRequest],
        params: SamplingParams,
        seeds: Sequence[int],
        codes: Mapping[int, Tensor] | None,
        levels: Collection[int] | None,
        until_seconds: float | None,
        on_step: OnStep | None,
    ) -> dict[int, Level]:
        """Every level from the top down to the lowest that is sampled, ready to be filled, once all is checked."""
        sampled, given, schedules = self.check(requests, seeds, codes, levels)
        least, seconds = self.hops[self.top] / self.sample_rate, requests[0].seconds
        until = seconds if until_seconds is None else checks.require_number("until_seconds", until_seconds, least, seconds)
        total, stop = self._top_codes(seconds), self._top_codes(until)
        made: dict[int, Level] = {}
        for level in range(self.top, min(sampled) - 1, -1):
            rows = torch.full((len(requests), total), MISSING, device=self.device)
            if level in given:
                rows[:, : given[level].shape[1]] = given[level][:, :total].to(self.device)
            level_stop = stop * self.hops[self.top] // self.hops[level]
            if level in sampled:
                drawing = self.level_sampler(level), schedules, self._level_params(params, level), seeds
                made[level] = LevelState(rows, level_stop, *drawing, made.get(level + 1), on_step)
            else:
                made[level] = checks.require_whole(level, Level(rows, level_stop))
            # Below, there are codes for what is there above: codes that go beyond `stop` are read further.
            total = made[level].end * self.hops[level] // self.hops[max(level - 1, 0)]
        if self.top in sampled and made[self.top].missing().any():
            checks.warn_of_length(self.level_sampler(self.top).prior, schedules)
        return made

    def _level_params(self, params: SamplingParams, level: int) -> LevelParams:
        """One number of parallel windows is not meant for the top, which alone remembers a song from window to window."""
        strict = level == self.top and not isinstance(params.parallel_windows, tuple)
        return params.at(level)._replace(parallel_windows=1) if strict else params.at(level)

    def _top_codes(self, seconds: float) -> int:
        """Codes of the top that hold so many seconds."""
        return -(-round(seconds * self.sample_rate) // self.hops[self.top])


def trainable(tensor: Tensor) -> Tensor:
    """A copy that autograd takes, as it does not what inference mode has made."""
    with torch.inference_mode(False):
        return tensor.clone()
