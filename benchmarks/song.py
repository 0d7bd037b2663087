"""How long does a song of a run take, level by level, and when is it first heard?

Command:  python benchmarks/song.py RUN [--seconds 20]
Cost:     5 minutes of one CPU core for the demo's run, most of it in the compiler
Result:   a column an engine: seconds of computation for a second of sound, of each level and of the VQ-VAE; and seconds
          of computation until the first sound, depth-first and level by level, and until the whole song

One thread; seconds are of processor time, compilers included. An engine's first song is short, so that the compiler is
in a row of its own (the first of an engine: torch.compile keeps what it built in TORCHINDUCTOR_CACHE_DIR).
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

os.environ["OMP_NUM_THREADS"] = os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"

import torch

from jukebox_pl.checkpoints import load_bundle
from jukebox_pl.sampling.decoding import Engine
from jukebox_pl.sampling.levels import Progress
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.types import SongRequest

ENGINES = {
    "plain": Engine(),
    "compiled": Engine(compile=True),
    "compiled, bfloat16": Engine(compile=True, weights="bfloat16"),
    "compiled, int8": Engine(compile=True, weights="int8"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bundle = load_bundle(options.run)
    columns = {}
    for name, engine in ENGINES.items():
        sampler = Sampler(bundle.vqvae, bundle.priors, bundle.labellers, bundle.sample_rate, engine=engine)
        artist = bundle.labellers[sampler.top].artists.names[-1]
        columns[name] = column(sampler, SongRequest(artist, seconds=options.seconds))
    print(f"| | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for row in columns["plain"]:
        print(f"| {row} | {' | '.join(f'{cells[row]:.2f}' for cells in columns.values())} |")


def column(sampler: Sampler, request: SongRequest) -> dict[str, float]:
    """Seconds by what they were spent on."""
    short = replace(request, seconds=1.0)
    return {
        "first second of sound, compiler and all": seconds(lambda: sampler.sample(short)),
        **level_seconds(sampler, request),
        "first sound, depth-first": seconds(lambda: next(sampler.stream(request))),
        "first sound, level by level": seconds(lambda: next(sampler.stream(request, depth_first=False))),
        "whole song": seconds(lambda: sampler.sample(request)),
    }


def level_seconds(sampler: Sampler, request: SongRequest) -> dict[str, float]:
    """For a second of sound."""
    spent: Counter[str] = Counter()
    last = now()

    def lap(what: str) -> None:
        nonlocal last
        spent[what] += now() - last
        last = now()

    def on_window(progress: Progress) -> None:
        lap(f"level {progress.level}, a second")

    sampler.sample(request, on_window=on_window)
    lap("VQ-VAE, a second")
    return {what: total / request.seconds for what, total in spent.items()}


def seconds(work: Callable[[], object]) -> float:
    start = now()
    work()
    return now() - start


def now() -> float:
    """Processor time of this process and of the compilers it has run."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
