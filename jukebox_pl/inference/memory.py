"""How much memory a song will take, estimated from the configs alone: refused in seconds, not after eight hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.models.conditioners import UpperCodesConditioner
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import MARGINS_A_PIECE, VQVAE
from jukebox_pl.nn.attention import SelfAttention

FLOAT, GIGA = 4, 1e9
DECODE_PIECE = 2**13  # what decode_long takes at once
OVERHEAD = 1.1  # what allocators and libraries take besides
BYTES_A_SAMPLE, BYTES_A_CODE = 4 * FLOAT, 40  # sound as decoded, joined, written; codes, their noise, what is missing
MEMINFO = Path("/proc/meminfo")


class ModelMemory(NamedTuple):
    """Bytes that a model takes: its weights, the keys and values it keeps, and a window while it is read or decoded."""

    weights: int
    cache: int
    work: int


class MemoryEstimate(NamedTuple):
    """Bytes by level, and of the VQ-VAE."""

    levels: dict[int, ModelMemory]
    vqvae: ModelMemory

    def peak(self, together: bool = False) -> int:
        """The most at any moment: one level works at a time, then the VQ-VAE; `together` priors stay when they are done."""
        stays = [level.weights + level.cache for level in self.levels.values()]
        works = [level.work for level in self.levels.values()]
        sampling = sum(stays) + max(works) if together else max(map(sum, zip(stays, works, strict=True)))
        decoding = self.vqvae.work + (sum(stays) if together else 0)
        return round(OVERHEAD * (self.vqvae.weights + max(sampling, decoding)))


def estimate_memory(
    bundle: str | Path,
    levels: Iterable[int] | None = None,
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
    narrow_bytes: int = 0,
) -> MemoryEstimate:
    """The memory that sampling `levels` (all by default) of a bundle takes, `batch` windows side by side.

    `narrow_bytes` a weight for copies that an engine holds beside those loaded (1 for int8). Nothing is loaded.
    """
    folder = Path(bundle)
    record = checkpoints.read_bundle(folder)
    places = {int(level): checkpoints.inside(folder, path) for level, path in record.priors.items()}
    wanted = set(places) if levels is None else set(levels)
    priors = {level: network(place) for level, place in places.items() if level in wanted}
    estimates = {level: prior_memory(prior, batch, dtype, narrow_bytes) for level, prior in priors.items()}
    return MemoryEstimate(estimates, vqvae_memory(network(checkpoints.inside(folder, record.vqvae))))


def network(folder: Path) -> Any:
    """The network of a model's folder, without memory for its weights."""
    return checkpoints.on_meta(checkpoints.read_config(folder).model)


def prior_memory(prior: Prior, batch: int, dtype: torch.dtype, narrow_bytes: int) -> ModelMemory:
    """`work`: a whole window on its way through a block and to the logits, or through the conditioner before it."""
    transformer = prior.transformer
    dense = sum(tensor.numel() for name, tensor in prior.named_parameters() if checkpoints.DENSE.search(name))
    others = sum(tensor.numel() for tensor in prior.parameters()) - dense
    lyrics = prior.lyrics.transformer.ctx if prior.lyrics else 0  # the keys and values of an X layer
    attentions = [block.attention for block in transformer.blocks]
    slots = sum(layer.pattern.slots if isinstance(layer, SelfAttention) else lyrics for layer in attentions)
    cache = 2 * batch * slots * transformer.attn_width * dtype.itemsize
    block = 5 * transformer.width + 6 * transformer.attn_width + 2 * transformer.mlp_width + 2 * prior.bins
    uppers = [part for part in prior.conditioners.values() if isinstance(part, UpperCodesConditioner)]
    conditioner = max((3 * part.upsample.into.out_channels + 2 * transformer.width for part in uppers), default=0)
    # Twice what is alive at once: what was freed in between comes back in other sizes (measured on a CPU).
    work = 2 * FLOAT * transformer.ctx * max(block, conditioner)
    return ModelMemory(dense * (dtype.itemsize + narrow_bytes) + others * FLOAT, cache, batch * work)


def vqvae_memory(vqvae: VQVAE) -> ModelMemory:
    """What long songs take, which are decoded one after the other."""
    numbers = sum(tensor.numel() for tensor in (*vqvae.parameters(), *vqvae.buffers()))
    bottom = vqvae.levels[0]
    widest = max(part.out_channels for part in bottom.modules() if isinstance(part, nn.Conv1d | nn.ConvTranspose1d))
    margin = bottom.decoder_receptive_field()
    piece = max(DECODE_PIECE * vqvae.hops[0], MARGINS_A_PIECE * margin) + 2 * margin
    return ModelMemory(FLOAT * numbers, 0, 4 * FLOAT * widest * piece)


def require_room(estimate: MemoryEstimate, device: str, together: bool = False) -> None:
    """Raises UserError when the device, as far as it tells, has less memory free than the estimate says."""
    needed, free = estimate.peak(together), free_bytes(device)
    if free is None or needed <= free:
        return
    largest = max(estimate.levels, key=lambda level: estimate.levels[level].weights)
    weights_gb = estimate.levels[largest].weights / GIGA
    raise UserError(
        f"this song needs about {needed / GIGA:.1f} GB on {device}, {free / GIGA:.1f} GB are free (the weights of level "
        f"{largest} alone take {weights_gb:.1f} GB): try dtype=bfloat16, fewer candidates or parallel windows"
    )


def require_room_for_songs(songs: int, seconds: float, sample_rate: int, hops: Sequence[int]) -> None:
    """Raises UserError when the machine has less memory free than the sound and the codes of so many songs take."""
    needed = round(songs * seconds * sample_rate * (BYTES_A_SAMPLE + sum(BYTES_A_CODE / hop for hop in hops)))
    free = free_bytes("cpu")
    if free is not None and needed > free:
        raise UserError(
            f"sound and codes of seconds={seconds:g}, {songs} times, need about {needed / GIGA:.1f} GB, "
            f"{free / GIGA:.1f} GB are free: ask for fewer seconds or candidates"
        )


def free_bytes(device: str) -> int | None:
    """Memory that can be had now, None where the system does not tell."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if not MEMINFO.is_file():
        return None
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None
