"""How fast are codes drawn, prompts read and sound coded, beside Hugging Face's port with the same weights?

Command:  python benchmarks/sampling.py [--what decode,prefill,vqvae] [--models 512x12] [--batches 1] [--weights int8]
          python benchmarks/sampling.py --what trained --run RUN --songs SHARDS
          in an environment with `pip install -e ".[oracle]"`
Cost:     3 minutes for one model and one batch size on one core; every figure of docs/performance.md about an hour
Result:   a line a figure; they are merged into benchmarks/sampling.json, of which performance_table.py makes tables

One thread. Rates are per second of processor time, which neighbours disturb least; all contestants live in one process
and take turns, some codes each, and a ratio is the median over turns. The floor is the time that memory takes to hand
over the weights of a step once, measured in the same turns on 256 MB: the faster of torch.sum and our own operator.
Models are upsamplers (rows, columns, previous rows) with random weights: width x depth, 2048 codes, rows of 64.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.nn.functional as F
from torch import Tensor

from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.checkpoints import build, load_bundle
from jukebox_pl.evaluate import held_out_songs
from jukebox_pl.evaluation.windows import song_windows
from jukebox_pl.inference.convolutions import fast_convolutions
from jukebox_pl.inference.linear import StreamedLinear
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.losses import bits
from jukebox_pl.models.prior import Prior
from jukebox_pl.openai.configs import prior_config, vqvae_config
from jukebox_pl.openai.hparams import PRIORS, VQVAES
from jukebox_pl.sampling.decoding import WEIGHTS, Decoder, Engine, streamed
from jukebox_pl.types import Labels, SamplingParams

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "parity"))
from golden_data import pack  # noqa: E402
from hf_port import jukebox, port_prior, port_vqvae  # noqa: E402
from turns import TURN, WARM, Clock, Contestant, Paced, alternate, medians, read  # noqa: E402

FIGURES = ROOT / "benchmarks" / "sampling.json"
PARAMS = SamplingParams(temperature=0.99).at(0)
RATE, ROW, CHUNK = 44_100, 64, 32  # CHUNK: what the original reads of a prompt at once
WINDOWS = 16  # of a song, to score what narrow weights change


jukebox.tqdm = Paced


class Pair(NamedTuple):
    """A prior of ours, the port's with the same weights, and what both are told."""

    name: str
    ours: Prior
    port: Any
    labels: Labels
    upper: Tensor
    codes: Tensor

    @property
    def batch(self) -> int:
        return len(self.codes)

    def port_cond(self) -> tuple[Tensor, Tensor]:
        positions, start, _ = self.port.get_cond([self.upper], pack(self.labels))
        return positions, start

    def bytes_a_step(self, kind: str) -> int:
        layers = [*self.ours.transformer.modules(), self.ours.embed]
        weights = sum(m.weight.numel() for m in layers if isinstance(m, torch.nn.Linear | torch.nn.Embedding))
        return weights * (WEIGHTS[kind] or torch.float32).itemsize


def hyper_parameters(name: str, ctx: int) -> dict[str, Any]:
    width, depth = map(int, name.split("x"))
    size = {"prior_width": width, "prior_depth": depth, "n_ctx": ctx, "blocks": ctx // ROW}
    return PRIORS["upsampler_middle_1b"] | size | {"cond_width": 64, "cond_depth": 4}  # nobody times the conditioner


def pairs(name: str, batches: list[int]) -> Iterator[Pair]:
    ctx = 8192 if name == "1920x72" else 2048
    hps = hyper_parameters(name, ctx)
    torch.manual_seed(0)
    ours = build(prior_config(hps)).eval().requires_grad_(False)
    port = port_prior(hps, ours)
    for batch in batches:
        number = torch.full((batch,), RATE * 60)
        slots = torch.full((batch, 5), -1)
        labels = Labels(number * 0 + 1, slots, number, number * 0, number * 0 + ctx * 32, slots[:, :0])
        codes = torch.randint(2048, (batch, ctx), generator=torch.Generator().manual_seed(batch))
        yield Pair(name, ours, port, labels, codes[:, ::4], codes)


def decode_figures(pair: Pair, kinds: list[str], turns: int, positions: list[str]) -> Iterator[dict[str, Any]]:
    """Codes drawn from the start of a window and at its end."""
    cond = pair.ours.condition(pair.labels, pair.upper)
    decoders = {kind: Decoder(pair.ours, Engine(compile=True, weights=kind)) for kind in kinds}
    memory = torch.zeros(2**26)
    drawn = turns * (WARM + TURN)
    for position in positions:
        known = pair.codes[:, : 0 if position == "early" else pair.ours.ctx - drawn]
        contestants = {"port": Contestant(partial(port_codes, pair, known, drawn))}
        for kind, decoder in decoders.items():
            noise = torch.rand(pair.batch, known.shape[1] + drawn)
            contestants[kind] = Contestant(partial(decoder, cond, known, noise, PARAMS, on_code_done))
        yield from race(pair, position, contestants, memory, turns)


def on_code_done(_: int) -> None:
    threading.current_thread().code_done()


@torch.no_grad()
def port_codes(pair: Pair, known: Tensor, drawn: int) -> None:
    told, total = pair.port_cond(), known.shape[1] + drawn
    if known.shape[1] == 0:
        pair.port.prior.sample(pair.batch, *told, temp=0.99, sample_tokens=total)
    else:
        pair.port.prior.primed_sample(pair.batch, known, *told, temp=0.99, sample_tokens=total)


def race(
    pair: Pair, position: str, contestants: dict[str, Contestant], memory: Tensor, turns: int
) -> Iterator[dict[str, Any]]:
    for contestant in contestants.values():
        contestant.start()
    layer, inputs = StreamedLinear(memory.view(-1, 4096)), torch.ones(1, 4096)
    times: dict[str, list[Clock]] = {name: [] for name in [*contestants, "memory"]}
    for turn in range(turns):
        for name, contestant in contestants.items():
            times[name].append(contestant.turn())
        times["memory"].append(min(read(memory.sum), read(lambda: layer(inputs))))
        if turn == 0:  # the first holds the prefill and the compiler
            times = {name: [] for name in times}
    for contestant in contestants.values():
        contestant.finish()
    bandwidth = memory.nbytes / medians(times["memory"])[0]
    for kind in contestants:
        if kind == "port":
            continue
        ratios = [port[0] / ours[0] for port, ours in zip(times["port"], times[kind], strict=True)]
        floor = bandwidth / pair.bytes_a_step(kind) * pair.batch
        yield figure("decode", pair, position, kind, times[kind], times["port"], ratios) | {
            "gigabytes_per_s": bandwidth / 1e9,
            "floor": floor,
            "of_floor": pair.batch / medians(times[kind])[0] / floor,
        }


def figure(
    what: str, pair: Pair, where: str, kind: str, ours: list[Clock], port: list[Clock], ratios: list[float], amount: int = 1
) -> dict[str, Any]:
    (cpu, wall), (port_cpu, port_wall) = medians(ours), medians(port)
    codes = amount * pair.batch
    return {
        "what": what,
        "model": pair.name,
        "batch": pair.batch,
        "where": where,
        "weights": kind,
        "per_cpu_s": codes / cpu,
        "per_wall_s": codes / wall,
        "port_per_cpu_s": codes / port_cpu,
        "port_per_wall_s": codes / port_wall,
        "ratio": statistics.median(ratios),
        "ratios": sorted(round(ratio, 2) for ratio in ratios),
    }


@torch.no_grad()
def prefill_figures(pair: Pair, kinds: list[str], turns: int) -> Iterator[dict[str, Any]]:
    """Half a window of known codes read, and one code drawn."""
    cond, told = pair.ours.condition(pair.labels, pair.upper), pair.port_cond()
    prompt = pair.codes[:, : pair.ours.ctx // 2]
    length = prompt.shape[1]
    noise = torch.rand(pair.batch, length + 1)
    decoders = {kind: Decoder(pair.ours, Engine(compile=True, weights=kind)) for kind in kinds}
    works: dict[str, Callable[[], Any]] = {
        kind: lambda decoder=decoder: decoder(cond, prompt, noise, PARAMS) for kind, decoder in decoders.items()
    }
    steps = {"temp": 0.99, "sample_tokens": length + 1}
    works["pieces of 32"] = lambda: pair.port.prior.primed_sample(pair.batch, prompt, *told, **steps, chunk_size=CHUNK)
    works["one piece"] = lambda: pair.port.prior.primed_sample(pair.batch, prompt, *told, **steps)
    times = alternate(works, turns)
    for kind in kinds:
        for piece in ("pieces of 32", "one piece"):
            ratios = [port[0] / ours[0] for port, ours in zip(times[piece], times[kind], strict=True)]
            yield figure("prefill", pair, f"port: {piece}", kind, times[kind], times[piece], ratios, length)


@torch.no_grad()
def quality(pair: Pair, kinds: list[str]) -> Iterator[dict[str, Any]]:
    """Teacher-forced logits of 256 codes: how far from the port's, and how far narrow weights move the distributions."""
    codes, cond = pair.codes[:1, :256], pair.ours.condition(pair.labels, pair.upper).items(slice(1))
    positions, start = (part[:1] for part in pair.port_cond())
    exact = pair.ours(codes[:, :-1], cond)
    padded = torch.cat([codes, pair.codes[:1, 256:]], dim=1)
    port = pair.port.prior(padded, positions, start, get_preds=True)[1][:, :256]
    for kind in kinds:
        logits = streamed(pair.ours, WEIGHTS[kind])(codes[:, :-1], cond)
        yield {
            "what": "quality",
            "model": pair.name,
            "batch": 1,
            "where": "random weights",
            "weights": kind,
            "logits_off_port": (logits - port).abs().max().item(),
            "kl_nats": divergence(exact, logits),
        }


def divergence(exact: Tensor, logits: Tensor) -> float:
    """Of the distributions that logits stand for, in nats a code."""
    exact, logits = exact.double().log_softmax(-1), logits.double().log_softmax(-1)
    return (exact.exp() * (exact - logits)).sum(-1).mean().item()


@torch.no_grad()
def trained_quality(run: str, songs: str, kinds: list[str]) -> Iterator[dict[str, Any]]:
    """What narrow weights change in a run's priors, teacher-forced over windows of held-out songs."""
    bundle = load_bundle(run)
    chosen, hops = held_out_songs(Catalog.load(songs), bundle, sys.maxsize), bundle.vqvae.hops
    encoded = [(s.song, bundle.vqvae.encode_long(s.audio)) for s in chosen]
    for level, prior in sorted(bundle.priors.items()):
        asked = hops, level, prior.ctx, bundle.labellers[level], WINDOWS
        found = [window for song in encoded for window in song_windows(*song, *asked)]
        windows = [(codes, prior.condition(labels, upper)) for codes, labels, upper in found]
        exact = [prior(codes[:, :-1], cond) for codes, cond in windows]
        for kind in kinds:
            twin = streamed(prior, WEIGHTS[kind])
            narrow = [twin(codes[:, :-1], cond) for codes, cond in windows]
            yield {
                "what": "trained",
                "model": f"level {level}",
                "batch": 1,
                "where": "held-out songs",
                "weights": kind,
                "codes": sum(codes.numel() for codes, _ in windows),
                "kl_nats": statistics.mean(map(divergence, exact, narrow)),
                "bits": bits_a_code(narrow, windows),
                "bits_more": bits_a_code(narrow, windows) - bits_a_code(exact, windows),
            }


def bits_a_code(logits: list[Tensor], windows: list[tuple[Tensor, Conditioning]]) -> float:
    losses = [F.cross_entropy(row[0], codes[0]) for row, (codes, _) in zip(logits, windows, strict=True)]
    return bits(torch.stack(losses).mean()).item()


@torch.no_grad()
def vqvae_figures(turns: int, seconds: float) -> Iterator[dict[str, Any]]:
    """The released size; seconds of audio a second of processor time."""
    hps = VQVAES["vqvae_jukebox"]
    torch.manual_seed(0)
    ours = build(vqvae_config(hps))
    audio = torch.randn(1, 1, int(seconds * RATE) // 128 * 128) / 4
    ours(audio)  # draws the codebooks
    ours = ours.eval()
    port = port_vqvae(hps, ours)
    fast_convolutions(ours)  # as whoever encodes and samples does
    codes = ours.encode(audio)
    works: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "encode, 3 levels": (lambda: ours.encode_long(audio), lambda: port.encode(audio.transpose(1, 2)))
    }
    for level in range(3):
        mine = lambda level=level: ours.decode_long(codes[level], level)  # noqa: E731
        theirs = lambda level=level: port.decode(codes[level:], start_level=level)  # noqa: E731
        works[f"decode level {level}"] = (mine, theirs)
    for name, (mine, theirs) in works.items():
        times = alternate({"ours": mine, "port": theirs}, turns)
        ratios = [port[0] / ours[0] for port, ours in zip(times["port"], times["ours"], strict=True)]
        (cpu, wall), (port_cpu, port_wall) = medians(times["ours"]), medians(times["port"])
        yield {
            "what": "vqvae",
            "model": "vqvae",
            "batch": 1,
            "where": name,
            "weights": "as_loaded",
            "per_cpu_s": seconds / cpu,
            "per_wall_s": seconds / wall,
            "port_per_cpu_s": seconds / port_cpu,
            "port_per_wall_s": seconds / port_wall,
            "ratio": statistics.median(ratios),
            "ratios": sorted(round(ratio, 2) for ratio in ratios),
            "same_codes": all(map(torch.equal, ours.encode_long(audio), port.encode(audio.transpose(1, 2)))),
        }


def figures(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    kinds = options.weights
    if "trained" in options.what:
        yield from trained_quality(options.run, options.songs, kinds)
    if "vqvae" in options.what:
        yield from vqvae_figures(options.turns, options.seconds)
    if not {"decode", "prefill", "quality"} & set(options.what):
        return
    for name in options.models:
        for pair in pairs(name, options.batches):
            if "quality" in options.what and pair.batch == options.batches[0]:
                yield from quality(pair, kinds)
            if "decode" in options.what:
                yield from decode_figures(pair, kinds, options.turns + 1, options.positions)
            if "prefill" in options.what:
                yield from prefill_figures(pair, kinds, options.turns)


KEY = ("what", "model", "batch", "where", "weights")


def merge(fresh: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    known = json.loads(path.read_text()) if path.exists() else []
    rows = {tuple(row[k] for k in KEY): row for row in [*known, *fresh]}
    merged = [rows[key] for key in sorted(rows, key=lambda key: (key[0], len(key[1]), *key))]  # 512x12 before 1024x24
    path.write_text(json.dumps(merged, indent=1) + "\n")
    return merged


def words(text: str) -> list[str]:
    return text.split(",")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", type=words, default=["quality", "decode", "prefill", "vqvae"])
    parser.add_argument("--models", type=words, default=["512x12"])
    parser.add_argument("--batches", type=lambda text: [int(b) for b in words(text)], default=[1])
    parser.add_argument("--weights", type=words, default=list(WEIGHTS))
    parser.add_argument("--positions", type=words, default=["early", "late"])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of audio, for the VQ-VAE")
    parser.add_argument("--run", help="for --what trained: what narrow weights change in the priors of a finished run")
    parser.add_argument("--songs", help="for --what trained: a folder of shards; its held-out songs are read")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    fresh = []
    for row in figures(options):
        row |= {"torch": torch.__version__, "load": os.getloadavg()[0]}
        kept = {name: value for name, value in row.items() if name != "ratios"}
        shown = {k: round(v, 3) if isinstance(v, float) and abs(v) > 0.01 else v for k, v in kept.items()}
        print(json.dumps(shown), flush=True)
        fresh.append(row)
        merge(fresh, options.figures)


if __name__ == "__main__":
    main()
