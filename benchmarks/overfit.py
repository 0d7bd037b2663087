"""Can the top prior learn one clip by heart and sing it back? The first thing to ask of new code or a new codec.

Command:  python benchmarks/overfit.py RUN [--seconds 10] [--steps 400]
Cost:     about 3 minutes on two CPU cores
Result:   bits per dim on the clip (below 1.0), and the share of true codes when the first quarter is continued under
          top_k=1 (above 90 %). Exits with 1 when either is missed.

RUN is a run of recipe=codes (or any that contains it).
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch
from torch import Tensor

from jukebox_pl.catalog.shards import TRAIN, Catalog, read_shard
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.losses import bits
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.sampling.decoding import sample_codes
from jukebox_pl.types import SamplingParams
from jukebox_pl.utils.progress import terminal_meter

ROWS = 64


def top_codes(run: str, seconds: float) -> tuple[Tensor, int]:
    """The codes [1, T] of a clip from the middle of the first training song, and how many different codes there can be."""
    catalog = Catalog.load(f"{run}/codes/shards")
    assert catalog.codes is not None
    sample = next(read_shard(catalog.shards(TRAIN)[0]))
    assert sample.codes is not None
    song = sample.codes[-1].astype(np.int64)
    length = int(seconds * catalog.sample_rate / catalog.codes["hops"][-1])
    start = max(len(song) - length, 0) // 2
    return torch.from_numpy(song[start : start + length]).unsqueeze(0), catalog.codes["bins"]


def learn(prior: Prior, codes: Tensor, cond: Conditioning, steps: int) -> float:
    """Trains until the clip is known or `steps` are over; returns bits per dim."""
    optimizer = torch.optim.AdamW(prior.parameters(), lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
    with terminal_meter("steps") as meter:
        for step in range(steps):
            loss = prior.losses(codes, cond).codes
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(prior.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            meter.update("learn", step + 1, steps, f"{bits(loss).item():.3f} bits per dim")
    return bits(prior.losses(codes, cond).codes).item()


def sing_back(prior: Prior, codes: Tensor, cond: Conditioning) -> float:
    """The share of true codes when the first quarter is continued greedily."""
    quarter = codes.shape[1] // 4
    with torch.inference_mode():
        sampled = sample_codes(prior, cond, codes[:, :quarter], torch.zeros(codes.shape), SamplingParams(top_k=1).at(2))
    return (sampled[:, quarter:] == codes[:, quarter:]).float().mean().item()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    torch.manual_seed(0)
    codes, bins = top_codes(options.run, options.seconds)
    block = -(-codes.shape[1] // ROWS)
    prior = Prior(bins, Transformer(128, 2, "RCP*2", ROWS * block, block), tied=False)
    cond = prior.condition()
    bpd = learn(prior, codes, cond, options.steps)
    share = sing_back(prior.eval(), codes, cond)
    used = len(codes.unique())
    print(f"{codes.shape[1]} codes, {used} different: {bpd:.3f} bits per dim, {share:.1%} of the codes sung back")
    return 0 if bpd < 1.0 and share > 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
