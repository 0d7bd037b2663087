"""Listens to a sampled song with numbers: are all windows filled, and do their seams click?

Command:  python benchmarks/listen.py RUN SONG
Cost:     seconds
Result:   codes per level against what the length asks for, and the roughness at the seams of the bottom level's windows
          relative to everywhere else (1 is no difference).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from jukebox_pl import audio
from jukebox_pl.checkpoints import load_bundle
from jukebox_pl.evaluation.seams import click_ratio
from jukebox_pl.sampling.windows import windows
from jukebox_pl.types import SamplingParams


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("song")
    options = parser.parse_args()
    bundle, folder = load_bundle(options.run), Path(options.song)
    request = json.loads((folder / "request.json").read_text())
    with np.load(folder / "codes.npz", allow_pickle=False) as arrays:
        codes = {int(name.removeprefix("level_")): arrays[name] for name in arrays.files}
    sound, rate = audio.read(folder / "song.wav")
    seconds = sound.shape[1] / rate
    print(f"{seconds:.2f} s at {rate} Hz for {request['request']['seconds']} s requested, peak {np.abs(sound).max():.2f}")
    for level, hop in enumerate(bundle.vqvae.hops):
        values = codes[level]
        print(f"level {level}: {len(values)} codes for {sound.shape[1] // hop} places, {len(np.unique(values))} different")
    params = {name: tuple(v) if isinstance(v, list) else v for name, v in request["params"].items()}
    ctx = bundle.priors[0].ctx
    hop = int(SamplingParams(**params).at(0).hop_fraction * ctx)
    seams = [start * bundle.vqvae.hops[0] for start, _ in windows(len(codes[0]), ctx, hop)][1:]
    seams = [seam + (ctx - hop) * bundle.vqvae.hops[0] for seam in seams]  # where new codes begin
    for quantile in (0.5, 0.9):
        ratio = click_ratio(torch.from_numpy(sound[0]), seams, quantile)
        print(f"roughness at {len(seams)} seams, quantile {quantile}: {ratio:.2f} times that of everywhere")


if __name__ == "__main__":
    main()
