"""How good a bundle is on songs it was not trained on: what the codes keep, and how well each prior foresees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jukebox_pl import audio
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog, read_shard
from jukebox_pl.checkpoints import Bundle
from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.codec import report_levels
from jukebox_pl.inference.convolutions import fast_convolutions
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.losses import bits
from jukebox_pl.models.prior import Prior
from jukebox_pl.types import Labels, Song


class Sound(NamedTuple):
    """A song and its sound [1, 1, N]."""

    song: Song
    audio: Tensor


@dataclass(frozen=True)
class LevelScore:
    """Spectral convergences in dB, and bits per dim of the level's prior (None where no song fills a window)."""

    level: int
    hop: int
    reconstruction: float
    shuffled_codes: float
    silence: float
    bpd: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@torch.inference_mode()
def evaluate(bundle: Bundle, catalog: Catalog, windows: int, on_step: Callable[[str], None]) -> list[LevelScore]:
    """Scores every level on `windows` windows of the held-out songs (the training songs where none is held out).

    Raises UserError when the catalog has another sample rate than the bundle.
    """
    if catalog.sample_rate != bundle.sample_rate:
        found = f"{catalog.folder} has {catalog.sample_rate} samples a second, the bundle {bundle.sample_rate}"
        raise UserError(f"{found}; prepare the songs again with sample_rate={bundle.sample_rate}")
    for network in (bundle.vqvae, *bundle.priors.values()):
        fast_convolutions(network)
    sounds = list(held_out_sounds(catalog, bundle.vqvae.hops[-1]))
    reports = [report for sound in sounds[:windows] for report in report_levels(bundle.vqvae, middle(sound.audio, bundle))]
    scores = []
    for level, hop in enumerate(bundle.vqvae.hops):
        on_step(f"level {level}: {len(sounds)} songs")
        decibels = torch.tensor([report[1:] for report in reports if report.level == level])
        coded, shuffled, silence = decibels.mean(0).tolist()
        scores.append(LevelScore(level, hop, coded, shuffled, silence, bits_per_dim(bundle, level, sounds, windows)))
    return scores


def held_out_sounds(catalog: Catalog, hop: int) -> Iterator[Sound]:
    """Whole songs, cut to a whole number of top codes."""
    split = HELD_OUT if catalog.songs(HELD_OUT) else TRAIN
    for shard in catalog.shards(split):
        for sample in read_shard(shard):
            sound, _ = audio.read(sample.audio or b"")
            mono = torch.from_numpy(sound.mean(0)).view(1, 1, -1)
            yield Sound(sample.song, mono[..., : mono.shape[-1] // hop * hop])


def middle(sound: Tensor, bundle: Bundle, seconds: float = 3.0) -> Tensor:
    """At most some seconds from the middle of a song."""
    hop = bundle.vqvae.hops[-1]
    length = min(int(seconds * bundle.sample_rate) // hop * hop, sound.shape[-1])
    start = (sound.shape[-1] - length) // 2
    return sound[..., start : start + length]


def bits_per_dim(bundle: Bundle, level: int, sounds: list[Sound], count: int) -> float | None:
    """Mean over up to `count` windows, spread over the songs."""
    each = -(-count // len(sounds))
    losses = [loss for sound in sounds for loss in islice(window_losses(bundle, level, sound, each), each)]
    return bits(torch.stack(losses[:count]).mean()).item() if losses else None


def window_losses(bundle: Bundle, level: int, sound: Sound, count: int) -> Iterator[Tensor]:
    """The prior's loss on `count` windows spread evenly over one song."""
    for codes, cond in song_windows(bundle, level, sound, count):
        yield bundle.priors[level].losses(codes, cond).codes


def song_windows(bundle: Bundle, level: int, sound: Sound, count: int) -> Iterator[tuple[Tensor, Conditioning]]:
    """`count` windows of codes [1, ctx] spread evenly over a song, cut where a top code begins, and what a prior is told."""
    prior: Prior = bundle.priors[level]
    hops = bundle.vqvae.hops
    span, top = prior.ctx * hops[level], hops[-1]
    room = sound.audio.shape[-1] - span
    if room < 0:
        return
    codes = bundle.vqvae.encode_long(sound.audio)
    for i in range(count):
        offset = int(room * (i + 0.5) / count) // top * top
        here = [level_codes[:, offset // hop : (offset + span) // hop] for level_codes, hop in zip(codes, hops, strict=True)]
        labels = Labels.stack([bundle.labellers[level].labels(sound.song, offset, span)])
        upper = here[level + 1] if level + 1 < len(hops) else None
        yield here[level], prior.condition(labels, upper)
