"""How much memory a song will take, reckoned from the configs alone: refused in seconds, not after eight hours."""

from __future__ import annotations

from collections.abc import Iterable
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
from jukebox_pl.utils.files import read_json

FLOAT, GIGA = 4, 1e9
DECODE_PIECE = 2**13  # what decode_long takes at once
ROOM = 1.1  # what allocators and libraries take besides
MEMINFO = Path("/proc/meminfo")


class ModelMemory(NamedTuple):
    """Bytes that a model takes: its weights, the keys and values it keeps, and a window while it is read or decoded."""

    weights: int
    cache: int
    work: int


class Plan(NamedTuple):
    """Bytes by level, and of the VQ-VAE."""

    levels: dict[int, ModelMemory]
    vqvae: ModelMemory

    def peak(self, together: bool = False) -> int:
        """The most at any moment: one level works at a time, then the VQ-VAE; `together` priors stay when they are done."""
        stays = [level.weights + level.cache for level in self.levels.values()]
        works = [level.work for level in self.levels.values()]
        singing = sum(stays) + max(works) if together else max(map(sum, zip(stays, works, strict=True)))
        decoding = self.vqvae.work + (sum(stays) if together else 0)
        return round(ROOM * (self.vqvae.weights + max(singing, decoding)))


def predict(
    bundle: str | Path,
    levels: Iterable[int] | None = None,
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
    narrow_bytes: int = 0,
) -> Plan:
    """The memory that sampling `levels` (all by default) of a bundle takes, `batch` windows side by side.

    `narrow_bytes` a weight for copies that an engine holds beside those loaded (1 for int8). Nothing is loaded.
    """
    folder = Path(bundle)
    record = read_json(folder / checkpoints.BUNDLE, "a finished run or a converted bundle")
    wanted = set(map(int, record["priors"])) if levels is None else set(levels)
    priors = {int(level): network(folder / path) for level, path in record["priors"].items() if int(level) in wanted}
    described = {level: of_prior(prior, batch, dtype, narrow_bytes) for level, prior in priors.items()}
    return Plan(described, of_vqvae(network(folder / record["vqvae"])))


def network(folder: Path) -> Any:
    return checkpoints.on_meta(read_json(folder / checkpoints.CONFIG, "a trained model")["model"])


def of_prior(prior: Prior, batch: int, dtype: torch.dtype, narrow_bytes: int) -> ModelMemory:
    dense = sum(tensor.numel() for name, tensor in prior.named_parameters() if checkpoints.DENSE.search(name))
    others = sum(tensor.numel() for tensor in prior.parameters()) - dense
    kept = sum(kept_positions(prior, block.attention) for block in prior.transformer.blocks)
    cache = 2 * batch * kept * prior.transformer.attn_width * dtype.itemsize
    return ModelMemory(dense * (dtype.itemsize + narrow_bytes) + others * FLOAT, cache, batch * work_of(prior))


def kept_positions(prior: Prior, attention: nn.Module) -> int:
    if isinstance(attention, SelfAttention):
        return attention.pattern.slots
    return prior.lyrics.transformer.ctx if prior.lyrics else 0


def work_of(prior: Prior) -> int:
    """Bytes of a whole window on its way through a block and to the logits, or through the conditioner before it.

    Twice what is alive at once: what was freed in between comes back in other sizes (measured on a CPU).
    """
    transformer = prior.transformer
    block = 5 * transformer.width + 6 * transformer.attn_width + 2 * transformer.mlp_width + 2 * prior.bins
    uppers = [part for part in prior.conditioners.values() if isinstance(part, UpperCodesConditioner)]
    conditioner = max((3 * part.upsample.into.out_channels + 2 * transformer.width for part in uppers), default=0)
    return 2 * FLOAT * transformer.ctx * max(block, conditioner)


def of_vqvae(vqvae: VQVAE) -> ModelMemory:
    """What long songs take, which are decoded one after the other."""
    numbers = sum(tensor.numel() for tensor in (*vqvae.parameters(), *vqvae.buffers()))
    bottom = vqvae.levels[0]
    widest = max(part.out_channels for part in bottom.modules() if isinstance(part, nn.Conv1d | nn.ConvTranspose1d))
    margin = bottom.decoder_receptive_field()
    stretch = max(DECODE_PIECE * vqvae.hops[0], MARGINS_A_PIECE * margin) + 2 * margin
    return ModelMemory(FLOAT * numbers, 0, 4 * FLOAT * widest * stretch)


def require_room(plan: Plan, device: str, together: bool = False) -> None:
    """Raises UserError when the device, as far as it tells, has less memory free than the plan takes."""
    needed, free = plan.peak(together), free_bytes(device)
    if free is None or needed <= free:
        return
    largest = max(plan.levels, key=lambda level: plan.levels[level].weights)
    weights_gb = plan.levels[largest].weights / GIGA
    raise UserError(
        f"this song needs about {needed / GIGA:.1f} GB on {device}, {free / GIGA:.1f} GB are free (the weights of level "
        f"{largest} alone take {weights_gb:.1f} GB): try dtype=bfloat16, fewer candidates or parallel windows"
    )


def free_bytes(device: str) -> int | None:
    """Memory that can be had now, None where the system does not tell."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if not MEMINFO.is_file():
        return None
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None
