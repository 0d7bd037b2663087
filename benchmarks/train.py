"""How near does a training step come to what the matrix products alone would take, and to Hugging Face's port beside it?

Command:  python benchmarks/train.py [--models 512x12] [--batch 1] [--turns 4] [--no-port] [--profile] [--vqvae]
          python benchmarks/train.py --precision bf16-mixed
          python benchmarks/train.py --device cuda --no-port --batch 8 --models 1024x24,1920x72 --ctx 8192
          in an environment with `pip install -e ".[oracle]"`, unless --no-port
Cost:     512x12 on one CPU core about a minute
Result:   tokens/s, model FLOP/s, and their share of the ceiling; on a GPU also MFU, the share of what its maker promises

All contestants live in one process and take turns; on a CPU one thread, and processor time. Model FLOPs are those of the
matrix products of forward and backward, counted by torch; the ceiling is the rate at which plain products of the network's
own shapes run, forward and both of backward, measured in the same turns. A step is loss, gradients, clipping and AdamW;
"loss and gradients" is what the port is compared in, from the same weights and in the same precision. On a GPU: bf16-mixed,
blocks compiled.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.flop_counter import FlopCounterMode

from jukebox_pl.checkpoints import build
from jukebox_pl.inference.residual import fast_residual_stacks
from jukebox_pl.models.losses import Bandwidth, VQVAELoss
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.nn.transformer import Block
from jukebox_pl.openai.configs import prior_config, vqvae_config
from jukebox_pl.openai.hparams import PRIORS, VQVAES
from jukebox_pl.training.optim import OptimConfig
from jukebox_pl.types import Labels

COLD = "products of what lies in memory"
ROW, RATE = 64, 44_100
PRECISIONS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}  # and what the products of each are computed in
PROMISED = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}  # dense bfloat16 FLOP/s, as their makers say


def hyper_parameters(name: str, ctx: int) -> dict[str, Any]:
    """An upsampler (rows, columns, previous rows), width x depth, with a small conditioner, which is not timed."""
    width, depth = map(int, name.split("x"))
    size = {"prior_width": width, "prior_depth": depth, "n_ctx": ctx, "blocks": ctx // ROW}
    return PRIORS["upsampler_middle_1b"] | size | {"cond_width": 64, "cond_depth": 4}


def prior_works(options: argparse.Namespace, name: str) -> tuple[dict[str, Callable[[], Any]], nn.Module, int]:
    """Name to what is timed, the prior, and the codes of a step."""
    torch.manual_seed(0)
    hps, device, batch, ctx = hyper_parameters(name, options.ctx), options.device, options.batch, options.ctx
    prior = build(prior_config(hps))
    assert isinstance(prior, Prior)
    number, slots = torch.full((batch,), RATE * 60), torch.full((batch, 5), -1)
    labels = Labels(number * 0 + 1, slots, number, number * 0, number * 0 + ctx * 32, slots[:, :0])
    codes = torch.randint(2048, (batch, ctx))
    works: dict[str, Callable[[], Any]] = {}
    if options.port:
        works["the port, loss and gradients"] = port_work(hps, prior, labels, codes, options.autocast)
    prior, codes = prior.to(device), codes.to(device)
    if options.compile:
        for block in prior.modules():
            if isinstance(block, Block):
                block.compile()
    with torch.no_grad():
        cond = prior.condition(labels.to(device), codes[:, ::4])
    optimizer, _ = OptimConfig().build(prior)

    def gradients() -> None:
        prior.zero_grad()
        with options.autocast():
            loss = prior.losses(codes, cond).codes
        loss.backward()

    def step() -> None:
        gradients()
        clip_grad_norm_(prior.parameters(), 1.0)
        optimizer.step()

    return works | {"loss and gradients": gradients, "a step": step}, prior, codes.numel()


def port_work(hps: dict[str, Any], prior: Prior, labels: Labels, codes: Tensor, autocast: Any) -> Callable[[], Any]:
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "parity"))
    from golden_data import pack
    from hf_port import port_prior

    port = port_prior(hps, prior)
    with torch.no_grad():
        positions, start, _ = port.get_cond([codes[:, ::4]], pack(labels))

    def gradients() -> None:
        port.zero_grad()
        with autocast():
            loss = port.prior(codes, positions, start)[0]
        loss.backward()

    return gradients


def vqvae_works(options: argparse.Namespace) -> tuple[dict[str, Callable[[], Any]], nn.Module, int]:
    """The released VQ-VAE on clips of --clip samples."""
    torch.manual_seed(0)
    vqvae = build(vqvae_config(VQVAES["vqvae_jukebox"])).to(options.device)
    assert isinstance(vqvae, VQVAE)
    fast_residual_stacks(vqvae)  # as VQVAEModule does
    audio = torch.randn(options.batch, 1, options.clip, device=options.device)
    losses, optimizer = VQVAELoss(), OptimConfig().build(vqvae)[0]

    def gradients() -> None:
        vqvae.zero_grad()
        with options.autocast():
            output = vqvae(audio)
            parts = zip(output.recons, output.commit_losses, strict=True)
            weighed = [losses.weigh(losses.components(audio, recon, commit, Bandwidth())) for recon, commit in parts]
        torch.stack(weighed).sum().backward()

    def step() -> None:
        gradients()
        clip_grad_norm_(vqvae.parameters(), 1.0)
        optimizer.step()

    return {"loss and gradients": gradients, "a step": step}, vqvae, audio.numel()


def products(
    model: nn.Module, rows: int, device: str, dtype: torch.dtype, cold: bool = False
) -> tuple[Callable[[], Any], int]:
    """The products of all linear layers of the transformer on `rows` rows, there and twice back, and their FLOPs.

    `cold`: each layer has operands of its own, as in a step, which come from memory and not from the cache.
    """
    shapes = [layer.weight.shape for layer in model.modules() if isinstance(layer, nn.Linear)]
    new = partial(torch.randn, device=device, dtype=dtype)
    tensor = new if cold else cache(new)
    operands = [(tensor(out, width), tensor(rows, width), tensor(rows, out)) for out, width in shapes]

    def multiply() -> None:
        for weight, x, gradient in operands:
            x @ weight.t()
            gradient @ weight
            gradient.t() @ x

    return multiply, 6 * rows * sum(out * width for out, width in shapes)


def seconds(work: Callable[[], Any], device: str, times: int) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(times):
            work()
        torch.cuda.synchronize()
        return (time.perf_counter() - started) / times
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times


def race(works: dict[str, Callable[[], Any]], device: str, turns: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in works}
    repeats = 10 if device == "cuda" else 1
    for turn in range(turns + 1):
        for name, work in works.items():
            spent = seconds(work, device, repeats)
            if turn:  # the first holds the compiler
                times[name].append(spent)
    return times


def figures(title: str, works: dict[str, Callable[[], Any]], model: nn.Module, tokens: int, options: Any) -> Iterator[str]:
    with FlopCounterMode(display=False) as counter:
        works["loss and gradients"]()
    flops = counter.get_total_flops()
    dtype = PRECISIONS[options.precision]
    hot, product_flops = products(model, tokens, options.device, dtype)
    ceilings = {"products": hot}
    if options.device == "cpu":
        ceilings[COLD] = products(model, tokens, options.device, dtype, cold=True)[0]
    times = race(works | (ceilings if product_flops else {}), options.device, options.turns)
    best = product_flops / statistics.median(times.pop("products")) if product_flops else None
    port = times.get("the port, loss and gradients")
    for name, spent in times.items():
        rate = (product_flops if name == COLD else flops) / statistics.median(spent)
        words = [f"{title} | {name}", f"{tokens / statistics.median(spent):.0f} tokens/s"]
        if best or options.device == "cuda":  # torch does not count what an operator of ours computes
            words.append(f"{rate / 1e9:.0f} GFLOP/s")
        words += [f"{rate / best:.2f} of {best / 1e9:.0f}"] if best else []
        if port and name not in ("the port, loss and gradients", COLD):
            words.append(
                f"{statistics.median(theirs / ours for theirs, ours in zip(port, spent, strict=True)):.2f} x the port"
            )
        if options.device == "cuda":
            chip = torch.cuda.get_device_name()
            words += [f"MFU {rate / peak:.2f}" for kind, peak in PROMISED.items() if kind in chip]
            words.append(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
        yield " | ".join(words)


def profiled(work: Callable[[], Any], device: str) -> str:
    kinds = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * (device == "cuda")
    with torch.profiler.profile(activities=kinds) as profile:
        work()
    by = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    table: str = profile.key_averages().table(sort_by=by, row_limit=20, max_name_column_width=40)
    return table


def without_waiting(work: Callable[[], Any]) -> None:
    """Raises RuntimeError where a step on a GPU reads something back."""
    work()
    torch.cuda.set_sync_debug_mode("error")
    try:
        work()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="512x12")
    parser.add_argument("--ctx", type=int, default=2048)
    parser.add_argument("--clip", type=int, default=65536)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS, help="32-true on a CPU, bf16-mixed on a GPU")
    parser.add_argument("--port", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction)
    parser.add_argument("--vqvae", action="store_true", help="time the VQ-VAE, no prior")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.compile = options.device == "cuda" if options.compile is None else options.compile
    options.precision = options.precision or ("bf16-mixed" if options.device == "cuda" else "32-true")
    options.autocast = partial(torch.autocast, options.device, torch.bfloat16, options.precision == "bf16-mixed")
    torch.set_float32_matmul_precision("high")  # of what autocast leaves in float32; nothing on a CPU
    contests = {"VQ-VAE": partial(vqvae_works, options)} if options.vqvae else {}
    for name in options.models.split(",") if not options.vqvae else ():
        contests[name] = partial(prior_works, options, name)
    for title, contest in contests.items():
        works, model, tokens = contest()
        if options.device == "cuda":
            without_waiting(works["a step"])
        for line in figures(title, works, model, tokens, options):
            print(line, flush=True)
        if options.profile:
            print(profiled(works["a step"], options.device))


if __name__ == "__main__":
    main()
