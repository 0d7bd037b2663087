"""Does a prior learn the same in bf16-mixed as in float32 on a CPU, and in what time?

Command:  python benchmarks/precision.py RUN [--steps 150] [--seeds 3] [--width 512] [--level 2]
Cost:     about 6 minutes on one core with bfloat16 products of its own (lscpu | grep amx_bf16)
Result:   a table: held-out bits per dim of every seed, measured in float32, and processor time a step

RUN is a run whose stage `codes` is done. Both trainings of a seed begin with the same weights and see the same windows.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch
from optimisers import BATCH, COMMON, CTX, train

from datamodules.codes import CodesDataModule
from jukebox_pl.training.optim import OptimConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--level", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = CodesDataModule(str(options.run / "codes/shards"), options.level, CTX, batch_size=BATCH, label_dropout=0.1)
    config = OptimConfig(**COMMON, lr=1e-3)
    results: dict[str, list[tuple[float, float]]] = {"32-true": [], "bf16-mixed": []}
    for seed in range(options.seeds):
        for precision, found in results.items():
            found.append(train(data, config, options.width, options.steps, seed, half=precision == "bf16-mixed"))
    print("| trainer.precision | " + " | ".join(f"seed {seed}" for seed in range(options.seeds)) + " | seconds a step |")
    print("|" + "---|" * (options.seeds + 2))
    for precision, found in results.items():
        cells = " | ".join(f"{bits:.3f}" for bits, _ in found)
        print(f"| {precision} | {cells} | {statistics.median(spent for _, spent in found):.2f} |")


if __name__ == "__main__":
    main()
