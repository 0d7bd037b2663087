"""What does it save, and what does it cost, to sample parts of the upsamplers side by side (parallel_windows)?

Command:  python benchmarks/parallel_windows.py RUN [--seconds 20] [--songs 4] [--parallel 1 2 4 8]
Cost:     about 10 minutes of one CPU core for the demo's run
Result:   a row for every number of parts: seconds of both upsamplers for a song (of CPU time; on a GPU of the clock)
          and the speed-up; bits per dim of the codes just after a seam, scored with all that stands before them, and of
          codes elsewhere; how much more the spectrum changes at seams than elsewhere (1 is no difference). One part is
          the strict order: it has no seams and is measured at those of the next number.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from jukebox_pl.checkpoints import load_bundle
from jukebox_pl.evaluation.seams import flux_ratio
from jukebox_pl.models.losses import bits
from jukebox_pl.sampling.conditioning import ConditioningSchedule, condition
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.sampling.windows import parallel_parts
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest

SCORED = 32  # codes after a seam


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--songs", type=int, default=4)
    parser.add_argument("--parallel", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    bundle = load_bundle(options.run)
    sampler = Sampler(bundle.vqvae, bundle.priors, bundle.labellers, bundle.sample_rate, options.device)
    names = bundle.labellers[sampler.top].artists.names[1:] or [""]
    requests = [SongRequest(names[seed % len(names)], seconds=options.seconds) for seed in range(options.songs)]
    tops = [sampler.sample(request, seed=seed, levels=(sampler.top,)) for seed, request in enumerate(requests)]
    print(header(sampler))
    strict = None
    for count, next_count in pairwise([*options.parallel, options.parallel[-1]]):
        clock = time.process_time if options.device == "cpu" else time.perf_counter
        started = clock()
        songs = [upsampled(sampler, top, count) for top in tops]
        seconds = (clock() - started) / len(songs)
        strict = strict or seconds
        print(
            f"| {count} | {seconds:.1f} | {strict / seconds:.2f} | {costs(sampler, songs, max(count, next_count))} |",
            flush=True,
        )


def header(sampler: Sampler) -> str:
    bits = (f"bits at seams, elsewhere: level {level}" for level in range(sampler.top))
    names = ["parts", "seconds a song", "speed-up", *bits, "flux at seams"]
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def upsampled(sampler: Sampler, top: SampledSong, count: int) -> SampledSong:
    params = SamplingParams(parallel_windows=count)
    return sampler.sample(top.request, params, top.seed, top.codes, levels=range(sampler.top))


@torch.inference_mode()
def costs(sampler: Sampler, songs: Sequence[SampledSong], count: int) -> str:
    cells = []
    for level in range(sampler.top):
        means = (
            torch.cat([scores(sampler, song, level, at) for song in songs]).mean()
            for at in places(sampler, level, songs[0], count)
        )
        cells.append(", ".join(f"{mean:.2f}" for mean in means))
    flux = [
        flux_ratio(song.audio[0], (at * sampler.hops[0] for at in next(places(sampler, 0, song, count)))) for song in songs
    ]
    return " | ".join([*cells, f"{sum(flux) / len(flux):.2f}"])


def places(sampler: Sampler, level: int, song: SampledSong, count: int) -> Iterator[list[int]]:
    """The codes at which parts begin that have another one before them, and those in the middle of parts."""
    parts, _ = parallel_parts(len(song.codes[level]), count, sampler.level_sampler(level).factor)
    yield [begin for begin, _ in parts[1:]]
    yield [(begin + end) // 2 for begin, end in parts]


def scores(sampler: Sampler, song: SampledSong, level: int, places: Sequence[int]) -> Tensor:
    """Bits per dim of the codes after each place, in a window that has half a window before it."""
    level_sampler, device = sampler.level_sampler(level), sampler.device
    prior, hop, factor = level_sampler.prior, level_sampler.samples_per_code, level_sampler.factor
    total = len(song.codes[level])
    starts = [min(max(at - prior.ctx // 2, 0), total - prior.ctx) // factor * factor for at in places]
    codes = torch.stack([song.codes[level][start : start + prior.ctx] for start in starts]).to(device)
    upper = torch.stack([song.codes[level + 1][start // factor : (start + prior.ctx) // factor] for start in starts]).to(
        device
    )
    segment = ConditioningSchedule.of(song.request, sampler.sample_rate).at(0)
    labels = [segment.labels(level_sampler.labeller, start * hop, prior.ctx * hop) for start in starts]
    logits = prior(codes[:, :-1], condition(prior, labels, [segment.weights] * len(labels), upper, device))
    nats = F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none")
    after = [row[at - start : at - start + SCORED].mean() for row, at, start in zip(nats, places, starts, strict=True)]
    return bits(torch.stack(after))


if __name__ == "__main__":
    main()
