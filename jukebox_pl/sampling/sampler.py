"""From a request to a song: level by level, window by window, code by code (paper, section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.labels import Labeller
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.sampling.decoding import sample_codes
from jukebox_pl.sampling.logits import uniforms
from jukebox_pl.sampling.windows import windows
from jukebox_pl.types import Labels, LevelParams, SampledSong, SamplingParams, Song, SongRequest

DEFAULTS = SamplingParams()


class Progress(NamedTuple):
    """Where the sampling of a level stands: `done` of `total` codes, `codes` [B, total] as far as drawn."""

    level: int
    start: int
    done: int
    total: int
    codes: Tensor


OnWindow = Callable[[Progress], None]
OnStep = Callable[[int, int, int], None]  # level, codes done, codes in all


class Sampler:
    """Samples songs from a VQ-VAE, a prior a level and a labeller a level.

    Ancestral, primed, continued and upsampled sampling are one loop that starts from different codes.
    """

    def __init__(
        self,
        vqvae: VQVAE,
        priors: Mapping[int, Prior],
        labellers: Mapping[int, Labeller],
        sample_rate: int,
        device: str = "cpu",
    ):
        self.vqvae, self.priors, self.labellers = vqvae.to(device), priors, labellers
        self.sample_rate, self.device = sample_rate, device
        self.hops, self.top = vqvae.hops, len(vqvae.hops) - 1

    def sample(
        self,
        request: SongRequest,
        params: SamplingParams = DEFAULTS,
        seed: int = 0,
        codes: Mapping[int, Tensor] | None = None,
        on_window: OnWindow | None = None,
        on_step: OnStep | None = None,
    ) -> SampledSong:
        """One song. `codes` [T_l] of any level are kept as its beginning (all of a level: the next one is upsampled)."""
        begun = {level: known.unsqueeze(0) for level, known in (codes or {}).items()}
        return self.sample_batch([request], params, [seed], begun, on_window, on_step)[0]

    @torch.inference_mode()
    def sample_batch(
        self,
        requests: Sequence[SongRequest],
        params: SamplingParams,
        seeds: Sequence[int],
        codes: Mapping[int, Tensor] | None = None,
        on_window: OnWindow | None = None,
        on_step: OnStep | None = None,
    ) -> list[SampledSong]:
        """Several songs of one length side by side; each is the song it would be alone."""
        songs = [self._song(request) for request in requests]
        top_total = self._top_codes(requests)
        done: dict[int, Tensor] = {}
        for level in range(self.top, -1, -1):
            total = top_total * self.hops[self.top] // self.hops[level]
            begun = (codes or {}).get(level, torch.zeros(len(songs), 0, dtype=torch.long))[:, :total].to(self.device)
            noise = torch.stack([uniforms(seed, level, total) for seed in seeds])
            loop = LevelLoop(self, level, songs, [r.offset_seconds for r in requests], params.at(level), noise)
            done[level] = loop.run(begun, done.get(level + 1), total, on_window, on_step)
        audio = self.vqvae.decode_long(done[0], level=0).cpu()
        return [
            SampledSong(audio[i], self.sample_rate, {level: c[i].cpu() for level, c in done.items()}, request, params, seed)
            for i, (request, seed) in enumerate(zip(requests, seeds, strict=True))
        ]

    def _top_codes(self, requests: Sequence[SongRequest]) -> int:
        seconds = {request.seconds for request in requests}
        if len(seconds) != 1:
            raise UserError(f"songs sampled side by side have one length, found {sorted(seconds)} seconds")
        total = math.ceil(seconds.pop() * self.sample_rate / self.hops[self.top])
        if total < 1:
            raise UserError("seconds must be above zero")
        return total

    def _song(self, request: SongRequest) -> Song:
        """The song a request imagines, its names checked against what the models know."""
        labeller = self.labellers[self.top]
        labeller.artists.require(request.artist, "artist")
        for genre in request.genres:
            labeller.genres.require(genre, "genre")
        total = request.total_seconds or request.offset_seconds + request.seconds
        return Song(
            id="",
            duration=round(total * self.sample_rate),
            sample_rate=self.sample_rate,
            artist=request.artist,
            genres=request.genres,
            lyrics=request.lyrics,
        )


class LevelLoop:
    """The windows of one level for a batch of songs."""

    def __init__(
        self,
        sampler: Sampler,
        level: int,
        songs: Sequence[Song],
        offsets: Sequence[float],
        params: LevelParams,
        noise: Tensor,
    ):
        self.prior = sampler.priors[level].to(sampler.device).eval()
        self.labeller, self.level, self.songs, self.params = sampler.labellers[level], level, songs, params
        self.samples_per_code = sampler.hops[level]
        self.upper_codes = sampler.hops[level + 1] // sampler.hops[level] if level < sampler.top else 1
        self.offsets = [round(seconds * sampler.sample_rate) for seconds in offsets]
        self.noise = noise.to(sampler.device)

    def run(
        self,
        codes: Tensor,
        upper: Tensor | None,
        total: int,
        on_window: OnWindow | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Continues codes [B, begun] to [B, total] under the codes above [B, total / factor]."""
        ctx, hop = self.prior.ctx, self._hop()
        for start, end in windows(total, ctx, hop, done=codes.shape[1]):
            above = None if upper is None else upper[:, start // self.upper_codes : end // self.upper_codes]
            window = self.sample_window(codes[:, start:], above, start, end, total, on_step)
            # A lyric symbol that was drawn counts in its own window; from then on it is code 0, as in the original.
            codes = torch.cat([codes[:, :start], window.clamp(min=0)], dim=1)
            if on_window:
                on_window(Progress(self.level, start, end, total, codes))
        return codes

    def sample_window(
        self, known: Tensor, above: Tensor | None, start: int, end: int, total: int, on_step: OnStep | None = None
    ) -> Tensor:
        """Codes [B, known] of the window [start, end) completed to [B, end - start]."""
        cond = self.prior.condition(self.labels(start), above)

        def step(done: int) -> None:
            if on_step:
                on_step(self.level, start + done, total)

        try:
            return sample_codes(self.prior, cond, known, self.noise[:, start:end], self.params, step)
        except ValueError as error:
            raise UserError(f"level {self.level}, window {(start, end)}: {error}; train this prior again") from None

    def labels(self, start: int) -> Labels:
        """What the prior is told of the window that starts at a code: the same span as in training."""
        duration = self.prior.ctx * self.samples_per_code
        begins = [offset + start * self.samples_per_code for offset in self.offsets]
        items = [self.labeller.labels(song, at, duration) for song, at in zip(self.songs, begins, strict=True)]
        return Labels.stack(items).to(self.noise.device)

    def _hop(self) -> int:
        """A window moves on by a whole number of codes above."""
        fraction = self.params.hop_fraction
        if not 0 < fraction <= 1:
            raise UserError(f"hop_fraction must lie in (0, 1], found {fraction} at level {self.level}")
        return max(int(fraction * self.prior.ctx) // self.upper_codes * self.upper_codes, self.upper_codes)
