"""How fast batches come out of shards, and what share of a training step waits for them.

Command:  python benchmarks/loader.py SHARDS [--size small] [--steps 1]
Cost:     minutes on one CPU core with size=small, most of them for the step of the prior
Result:   plain reading, reading as songs, and the batches of both datamodules, in CPU time of one thread

SHARDS is a catalog of sound. Its codes are made up, which changes nothing for a loader. Every song is decoded once and gives
as many crops as in training: what a catalog costs that is far larger than the memory. Loaders run in the process that waits
for them (workers=0); a step is forward and backward of one example, times the size of the batch.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from datamodules.loading import ShardDataModule
from jukebox_pl import checkpoints, fit
from jukebox_pl.catalog.shards import SPLITS, TRAIN, Catalog, ShardSample, read_shard, write_shard
from jukebox_pl.cli.command import compose_config
from jukebox_pl.models.losses import VQVAELoss, measure_bandwidth

MEGABYTE = 1e6


def cpu_seconds(function: Callable[[], Any]) -> float:
    begun = time.process_time()
    function()
    return time.process_time() - begun


def write_codes(catalog: Catalog, folder: Path, hops: list[int], bins: int) -> None:
    """The catalog with random codes in place of sound."""
    rng = np.random.default_rng(0)

    def encoded(sample: ShardSample) -> ShardSample:
        top = sample.song.duration // hops[-1]
        lengths = [top * hops[-1] // hop for hop in hops]
        return ShardSample(sample.song, codes=tuple(rng.integers(0, bins, length, np.uint16) for length in lengths))

    for split in SPLITS:
        for shard in catalog.shards(split):
            write_shard(folder / split / shard.name, map(encoded, read_shard(shard)))
    dataclasses.replace(catalog, folder=folder, codes={"bins": bins, "hops": hops, "fingerprint": "made up"}).save()


def report_reading(catalog: Catalog) -> None:
    """Plain reading against `read_shard`, of the same bytes."""
    shards = [Path(str(shard)) for split in SPLITS for shard in catalog.shards(split)]
    size = sum(shard.stat().st_size for shard in shards) / MEGABYTE
    plain = cpu_seconds(lambda: [list(pieces(shard)) for shard in shards])
    songs = cpu_seconds(lambda: [list(read_shard(shard)) for shard in shards])
    print(f"| read {size:.0f} MB | {size / plain:,.0f} MB/s | as songs {size / songs:,.0f} MB/s |")


def pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            yield piece


def one_pass(module: ShardDataModule) -> tuple[int, float]:
    """The batches that all training songs give once, and the CPU seconds of one."""
    batches = len(module.train.last_start) * module.crops_per_song // module.batch_size
    loader = iter(module.train_dataloader())
    return batches, cpu_seconds(lambda: list(islice(loader, batches))) / batches


def vqvae_loss(model: Any, batch: Any) -> torch.Tensor:
    output, loss = model(batch.audio), VQVAELoss()
    bandwidth = measure_bandwidth(batch.audio)
    levels = zip(output.recons, output.commit_losses, strict=True)
    return torch.stack([loss.weigh(loss.components(batch.audio, *level, bandwidth)) for level in levels]).sum()


def prior_loss(model: Any, batch: Any) -> torch.Tensor:
    return model.losses(batch.codes, model.condition(batch.labels, batch.upper)).codes


def report_stage(stage: DictConfig, loss: Callable[[Any, Any], torch.Tensor], steps: int) -> None:
    module = instantiate(stage.data, seed=0)
    module.setup("fit")
    batches, seconds = one_pass(module)
    print(f"| {type(module).__name__}, {batches} batches of {module.batch_size} | {1000 * seconds:.1f} ms a batch |", end="")
    model = checkpoints.build(OmegaConf.to_container(stage.model, resolve=True)).train()
    single = instantiate(stage.data, seed=0, batch_size=1)
    single.setup("fit")
    example = next(iter(single.train_dataloader()))
    step = module.batch_size * cpu_seconds(lambda: [loss(model, example).backward() for _ in range(steps)]) / steps
    print(f" step {step:.1f} s, waiting {seconds / (seconds + step):.2%}, below 3 % from {seconds / 0.03:.2f} s a step on |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards")
    parser.add_argument("--size", default="small")
    parser.add_argument("--steps", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("catalog", "first"):
        OmegaConf.register_new_resolver(name, fit.RESOLVERS[name])
    catalog = Catalog.load(options.shards)
    print(f"{len(catalog.songs(TRAIN))} training songs at {catalog.sample_rate} Hz\n")
    report_reading(catalog)
    with tempfile.TemporaryDirectory() as run_dir:
        words = ["recipe=hierarchy", f"size={options.size}", f"data.path={options.shards}", f"run_dir={run_dir}"]
        stages = compose_config("fit", words).stages
        vqvae = checkpoints.build(OmegaConf.to_container(stages.vqvae.model, resolve=True))
        write_codes(catalog, Path(run_dir) / "codes/shards", list(vqvae.hops), vqvae.bins)
        report_stage(stages.vqvae, vqvae_loss, options.steps)
        report_stage(stages.top_prior, prior_loss, options.steps)


if __name__ == "__main__":
    main()
