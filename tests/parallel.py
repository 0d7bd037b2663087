"""`python tests/parallel.py STRATEGY DEVICES STEPS OUT KIND ...`: trains modules on batches that are shared out among the
processes, from the checkpoint in OUT on where there is one, and leaves checkpoint and averaged weights there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.strategies import ModelParallelStrategy
from quiet import QUIET
from torch.utils._pytree import tree_map_only
from torch.utils.data import DataLoader
from unit.training.modules.test_modules import LABELS, PRIOR, UPPER, lyrics_config

from jukebox_pl import checkpoints
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.pipeline.train import WHOLE, get_model_state_dict
from jukebox_pl.training.callbacks.weights import EMA, LastCheckpoint, last_path
from jukebox_pl.training.modules.lyrics_prior import LyricsPriorModule
from jukebox_pl.training.modules.prior import PriorModule
from jukebox_pl.training.modules.upsampler import UpsamplerModule
from jukebox_pl.training.modules.vqvae import VQVAEModule
from jukebox_pl.training.optim import OptimConfig, ReleasedOptim
from jukebox_pl.types import AudioBatch, CodesBatch, Labels

BATCH, CTX, CLIP, BATCHES = 4, 64, 2048, 8
OPTIM = OptimConfig(lr=1e-2, warmup=1, eps=1e-3)  # as large as a gradient: else Adam makes a step of what is only rounding


def codes_batch(upper: bool) -> CodesBatch:
    number = torch.full((BATCH,), 8192)
    labels = Labels(
        torch.randint(5, (BATCH,)), torch.randint(4, (BATCH, 5)), number, number * 0, number, torch.zeros(BATCH, 0)
    )
    lyrics = torch.randint(1, 6, (BATCH, 16))
    above = torch.randint(16, (BATCH, CTX // 4)) if upper else None
    return CodesBatch(torch.randint(16, (BATCH, CTX)), above, labels._replace(lyrics=lyrics))


def audio_batch() -> AudioBatch:
    return AudioBatch(torch.randn(BATCH, 1, CLIP) * torch.rand(BATCH, 1, 1))


def module(kind: str) -> pl.LightningModule:
    if kind == "vqvae":  # starts by k-means at its second step, and restarts codes at every one
        vqvae = VQVAE(bins=16, code_dim=8, width=4, depth=1, multipliers=(1, 1, 1), codebook_decay=0.1)
        return VQVAEModule(vqvae, OPTIM, quantize_from=1)
    if kind == "lyrics_prior":
        return LyricsPriorModule(checkpoints.build(lyrics_config(6)), None, OPTIM)
    if kind == "upsampler":
        config = PRIOR | {"conditioners": {"labels": LABELS, "upper": UPPER}}
        return UpsamplerModule(checkpoints.build(config), ReleasedOptim(lr=1e-2, warmup=1, eps=1e-3))
    return PriorModule(checkpoints.build(PRIOR), OPTIM)


KINDS = ("vqvae", "top_prior", "lyrics_prior", "upsampler")


class RestOfEpoch(DataLoader):
    """Batches, in the first epoch those after the first `taken`. Its methods of a state say that it goes on where it was."""

    def __init__(self, batches: list[Any], taken: int):
        super().__init__(batches, batch_size=None)
        self.batches, self.taken = batches, taken

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # an iterator all the same
        left, self.taken = self.batches[self.taken :], 0
        yield from left

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Shared(pl.LightningDataModule):
    """The same batches whatever the number of processes, a part of each for every one of them."""

    def __init__(self, kind: str):
        super().__init__()
        self.batches: list[Any] = [
            audio_batch() if kind == "vqvae" else codes_batch(upper=kind == "upsampler") for _ in range(BATCHES)
        ]

    def loudness_clips(self) -> torch.Tensor:
        return torch.cat([batch.audio for batch in self.batches])

    def share(self, batch: Any) -> Any:
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        return tree_map_only(torch.Tensor, lambda tensor: tensor.chunk(world)[rank], batch)

    def train_dataloader(self) -> DataLoader:
        taken = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1
        return RestOfEpoch([self.share(batch) for batch in self.batches], taken % BATCHES)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([self.share(self.batches[0])], batch_size=None)


def train(kind: str, strategy: str, devices: int, steps: int, out: Path) -> dict[str, torch.Tensor]:
    """Up to step `steps`, validated and saved behind every one; the averaged weights, whole on the first process."""
    torch.manual_seed(0)
    data, trained, average, checkpoint = Shared(kind), module(kind), EMA(0.5), last_path(out / kind)
    spread = {"data_parallel_size": devices, "tensor_parallel_size": 1, "save_distributed_checkpoint": True}
    chosen: Any = ModelParallelStrategy(**spread) if strategy == "fsdp" else strategy
    saved = {"default_root_dir": out / kind, "callbacks": [average, LastCheckpoint()], "enable_checkpointing": True}
    settings = QUIET | saved | {"logger": False, "val_check_interval": 1, "use_distributed_sampler": False}
    trainer = pl.Trainer(strategy=chosen, devices=devices, max_steps=steps, **settings)
    trainer.fit(trained, data, ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=True)
    average.apply_to(trained)
    state: Any = get_model_state_dict(trained.model, options=WHOLE)
    if trainer.is_global_zero:
        torch.save(state, out / f"{kind}.pt")
    trainer.strategy.barrier()
    return dict(state)


if __name__ == "__main__":
    strategy, devices, steps, out, *kinds = sys.argv[1:]
    for kind in kinds:
        train(kind, strategy, int(devices), int(steps), Path(out))
