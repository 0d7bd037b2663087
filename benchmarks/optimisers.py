"""Which optimizer trains a prior further in the same number of steps, and what does a step cost?

Command:  python benchmarks/optimisers.py RUN [--steps 300] [--level 2] [--width 128] [--seeds 2]
Cost:     about 12 minutes on one busy core for 300 steps of 128 x 6 on the demo's codes, two seeds
Result:   a table: held-out bits per dim of every optimizer at three learning rates, and processor time a step

RUN is a run whose stage `codes` is done. All trainings of a seed begin with the same weights and see the same windows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch.nn.utils import clip_grad_norm_

from datamodules.codes import CodesDataModule
from jukebox_pl.errors import UserError
from jukebox_pl.models.conditioners import LabelConditioner, TimingConditioner, UpperCodesConditioner
from jukebox_pl.models.losses import bits
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.training.optim import AdamW8bitOptim, MuonOptim, OptimConfig, ReleasedOptim

CTX, BATCH = 256, 8
BETAS = (0.9, 0.95)
COMMON = {"warmup": 30, "weight_decay": 0.01}
OPTIMIZERS = {
    "AdamW": OptimConfig(**COMMON),
    "AdamW, betas 0.9 0.95": OptimConfig(**COMMON, betas=BETAS),
    "AdamW, warm-down": OptimConfig(**COMMON, warmdown=0),
    "Muon": MuonOptim(**COMMON),
    "Muon, warm-down": MuonOptim(**COMMON, warmdown=0),
    "AdamW in 8 bits": AdamW8bitOptim(**COMMON),
    "Adam as released": ReleasedOptim(**COMMON),
}
WARMDOWN = 3  # a third of the steps
RATES = (1e-3, 3e-3, 1e-2)


def new_prior(data: CodesDataModule, width: int) -> Prior:
    conditioners: dict[str, torch.nn.Module] = {
        "labels": LabelConditioner(width, len(data.labeller.artists), len(data.labeller.genres)),
        "timing": TimingConditioner(width, CTX, 64, 0, data.catalog.max_duration),
    }
    assert data.catalog.codes
    bins = data.catalog.codes["bins"]
    if data.level < len(data.hops) - 1:
        factor = data.hops[data.level + 1] // data.hops[data.level]
        conditioners["upper"] = UpperCodesConditioner(width, bins, factor.bit_length() - 1, conv_width=64, depth=4)
    return Prior(bins, Transformer(width, 2, "RCP*2", CTX, 16), conditioners)


def train(
    data: CodesDataModule, config: OptimConfig, width: int, steps: int, seed: int, half: bool = False
) -> tuple[float, float]:
    """Held-out bits per dim after `steps`, and seconds of processor time a step; `half`: steps in bf16-mixed."""
    torch.manual_seed(seed)
    prior = new_prior(data, width)
    data.seed = seed
    data.setup("fit")
    optimizer, schedule = config.build(prior, steps)
    loader, spent = iter(data.train_dataloader()), []
    for _ in range(steps):
        batch = next(loader, None) or next(loader := iter(data.train_dataloader()))
        started = time.process_time()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = prior.losses(batch.codes, prior.condition(batch.labels, batch.upper)).codes
        loss.backward()
        clip_grad_norm_(prior.parameters(), config.clip)
        optimizer.step()
        schedule.step()
        spent.append(time.process_time() - started)
    prior.eval()
    with torch.inference_mode():
        found = [
            bits(prior.losses(batch.codes, prior.condition(batch.labels, batch.upper)).codes).item()
            for batch in data.val_dataloader()
        ]
    return statistics.mean(found), statistics.median(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--level", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list(OPTIMIZERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = CodesDataModule(str(options.run / "codes/shards"), options.level, CTX, batch_size=BATCH, label_dropout=0.1)
    print(f"| held-out bits, {options.steps} steps | " + " | ".join(f"lr {rate:g}" for rate in RATES) + " | ms a step |")
    print("|" + "---|" * (len(RATES) + 2))
    for name in options.only:
        cells, spent = [], []
        for rate in RATES:
            config = replace(OPTIMIZERS[name], lr=rate)
            if config.warmdown is not None:
                config = replace(config, warmdown=options.steps // WARMDOWN)
            try:
                results = [train(data, config, options.width, options.steps, seed) for seed in range(options.seeds)]
            except UserError as error:
                print(f"| {name} | {error} |")
                break
            cells.append(", ".join(f"{result[0]:.3f}" for result in results))
            spent += [result[1] for result in results]
        else:
            print(f"| {name} | {' | '.join(cells)} | {1000 * statistics.median(spent):.0f} |", flush=True)


if __name__ == "__main__":
    main()
