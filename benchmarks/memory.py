"""Whether copies of training songs are found: in an index of 10^8 codes, and in samples that parts of songs are planted in.

Command:  python benchmarks/memory.py index [--codes 100000000]
          python benchmarks/memory.py planted RUN SHARDS [--songs 20]
Cost:     index: about half a minute of one free CPU core and 1.5 GB; planted, on the demo: about 2 minutes
Result:   index: seconds to build it, its memory, and seconds to look up 60 s at the released model's levels
          planted: for 5, 10, 25 and 50 % of a sample, how many copies each similarity finds, with the right song, and
          how many samples that copy nothing are called copies

Half of `--songs` training songs are left out of the comparison: one half of these tells what chance does, the rest are the
samples that copies are planted in. Planted are codes (what a prior that knows a song by heart draws) or decoded sound, which
is decoded and encoded again.
"""

from __future__ import annotations

import argparse
import resource
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import TRAIN, Catalog
from jukebox_pl.evaluate import catalog_songs
from jukebox_pl.evaluation.code_index import CodeIndex
from jukebox_pl.evaluation.memory import COPIES, Features, compare, features, similarities_of
from jukebox_pl.inference.convolutions import fast_convolutions

BINS, SONG, CODES_A_MINUTE = 2048, 80_000, {2: 20_671, 1: 82_688, 0: 330_750}
SHARES, SECONDS = (0.05, 0.1, 0.25, 0.5), 8.0


def measure_index(count: int) -> None:
    """Random codes, a third of them held as long as the code before."""
    rng = np.random.default_rng(0)
    songs = [rng.integers(0, BINS, SONG, dtype=np.uint16) for _ in range(count // SONG)]
    for song in songs:
        held = np.flatnonzero(rng.random(SONG) < 1 / 3)[1:]
        song[held] = song[held - 1]
    begun = time.process_time()
    index = CodeIndex(songs)
    seconds, megabytes = time.process_time() - begun, (index.keys.nbytes + index.codes.nbytes) / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{count:,} codes: built in {seconds:.1f} s, {megabytes:.0f} MB, with the songs {most:.0f} MB at most")
    for level, length in CODES_A_MINUTE.items():
        codes = rng.integers(0, BINS, length, dtype=np.uint16)
        codes[500:1000] = songs[-1][700:1200]
        begun = time.process_time()
        run = index.runs(codes)[0]
        print(f"level {level}, a minute: {time.process_time() - begun:.3f} s; the planted 500 codes: {run}")


@torch.inference_mode()
def measure_planted(run: Path, shards: str, count: int) -> None:
    bundle, catalog = checkpoints.load_bundle(run), Catalog.load(shards)
    vqvae, hop, rng = bundle.vqvae, bundle.vqvae.hops[-1], np.random.default_rng(0)
    fast_convolutions(vqvae)
    similarities, length = similarities_of(bundle), int(SECONDS * bundle.sample_rate) // hop * hop
    songs = list(islice(catalog_songs(catalog, TRAIN, catalog.songs(TRAIN), bundle), count))
    codes = [vqvae.encode_long(song.audio) for song in songs]
    training, others = range(count // 2), range(count // 2, count)
    known = [features(similarities, songs[i].audio, codes[i]) for i in training]

    def decoded(levels: list[Tensor]) -> Features:
        return features(similarities, vqvae.decode_long(levels[0]), levels)

    def encoded_again(levels: list[Tensor]) -> Features:
        return decoded(vqvae.encode_long(vqvae.decode_long(levels[0])))

    def planted(levels: list[Tensor], copied: list[Tensor], share: float) -> list[Tensor]:
        """The last `share` of the samples' codes, cut out of a song at a place of chance."""
        top = int(share * length) // hop
        place = int(rng.integers(copied[-1].shape[1] - top + 1))
        size = [hop // each for each in vqvae.hops]  # codes a top code
        return [
            torch.cat([here[:, : here.shape[1] - top * n], there[:, place * n : (place + top) * n]], dim=1)
            for here, there, n in zip(levels, copied, size, strict=True)
        ]

    samples = [[level[:, : length // each] for level, each in zip(codes[i], vqvae.hops, strict=True)] for i in others]
    chance, samples = samples[: len(samples) // 2], samples[len(samples) // 2 :]
    sources = rng.integers(len(training), size=len(samples)).tolist()
    for kind, made in (("codes", decoded), ("sound, encoded again", encoded_again)):
        unheard = [made(levels) for levels in chance]
        for share in (0.0, *SHARES):
            sampled = [
                made(planted(levels, codes[i], share) if share else levels)
                for levels, i in zip(samples, sources, strict=True)
            ]
            rows, jointly = [], np.zeros(len(samples), bool)
            for i, similarity in enumerate(similarities):
                found = compare(i, similarity, known, unheard, sampled)
                right = [not share or match.song == source for match, source in zip(found.matches, sources, strict=True)]
                copies = np.array([found.verdict(n) == COPIES for n in range(len(samples))]) & right
                jointly |= copies
                rows.append(f"{similarity.name} {copies.sum()}")
            what = f"{100 * share:.0f} % planted" if share else "false alarms"
            print(f"| {kind} | {what} | {' | '.join(rows)} | any {jointly.sum()} | of {len(samples)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("index").add_argument("--codes", type=int, default=100_000_000)
    with_run = commands.add_parser("planted")
    with_run.add_argument("run", type=Path)
    with_run.add_argument("shards")
    with_run.add_argument("--songs", type=int, default=20)
    options = parser.parse_args()
    if options.command == "index":
        measure_index(options.codes)
    else:
        measure_planted(options.run, options.shards, options.songs)


if __name__ == "__main__":
    main()
