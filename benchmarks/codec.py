"""What the codes keep of held-out songs, level by level, beside silence and shuffled codes.

Command:  python benchmarks/codec.py RUN SHARDS [--seconds 3] [--clips 16]
Cost:     seconds at size=tiny
Result:   spectral convergence in dB: lower is better, silence is 0, the paper's bottom level -23.
"""

from __future__ import annotations

import argparse
from typing import cast

from datamodules.audio import AudioDataModule
from jukebox_pl import weights
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.metrics.reconstruction import report_levels
from jukebox_pl.models.vqvae import VQVAE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("shards")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--clips", type=int, default=16)
    asked = parser.parse_args()
    vqvae = cast(VQVAE, weights.load(f"{asked.run}/vqvae/model").model)
    top = vqvae.hops[-1]
    clip = int(asked.seconds * Catalog.load(asked.shards).sample_rate) // top * top
    data = AudioDataModule(asked.shards, clip=clip, batch_size=asked.clips, held_out_crops=asked.clips)
    data.setup("validate")
    clips = next(iter(data.val_dataloader())).audio
    print(f"{len(clips)} held-out clips of {clip / data.catalog.sample_rate:.1f} s")
    print("| level | hop | codes | shuffled codes | silence |\n|---|---|---|---|---|")
    for level, coded, shuffled, silence in report_levels(vqvae, clips):
        print(f"| {level} | {vqvae.hops[level]} | {coded:.1f} dB | {shuffled:.1f} dB | {silence:.1f} dB |")


if __name__ == "__main__":
    main()
