"""What a step of training takes, found by taking it on tensors that have shapes and no numbers.

No formula knows a network here: whatever a stage trains, and however (adapters, checkpointing, half precision, another
optimizer), its own step is what is counted.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import cache, singledispatch
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from jukebox_pl.models.aligner import AcousticModel
from jukebox_pl.models.conditioners import UpperCodesConditioner
from jukebox_pl.models.joint_vqvae import JointVQVAE
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.nn.codebook import Codebook
from jukebox_pl.nn.transformer import Block
from jukebox_pl.types import AlignedBatch, AudioBatch, CodesBatch, Labels

GENRE_SLOTS, WORDS, LETTERS = 5, 8, 8  # of a batch that stands for all
HALVES = {"16": torch.float16, "bf16": torch.bfloat16}
WARM_UP_SECONDS, WARM_UP_STEPS = 3.0, 12
PREFETCHED = 2  # blocks whose weights FSDP holds whole at a time: the one that works and the next


class StepCost(NamedTuple):
    """Bytes and floating point operations of one step on one device that holds everything.

    `together` is the most that gradients and what the backward pass needs take at one moment, `work` of that the latter
    alone at its own worst. `gathered` is what a device of several holds whole of weights that are spread over them,
    `beside` the weights of what is never trained, which every device holds whole.
    """

    parameters: int
    trained: int  # of the parameters
    weights: int
    gradients: int
    optimizer: int
    work: int
    together: int
    updating: int  # besides gradients, while the optimizer works
    gathered: int
    beside: int
    flops: int
    tokens: int

    def device_bytes(self, averaged: bool, devices: int = 1, sharded: bool = False) -> int:
        """The most that one of `devices` takes, where all hold the whole network or, `sharded`, a part of it each."""
        held = self.weights * (2 if averaged else 1) + self.optimizer
        if sharded:
            spread = (held + self.gradients) // devices
            return spread + self.beside + max(self.work + self.gathered, self.updating // devices)
        buckets = self.gradients if devices > 1 else 0  # in which DDP sums gradients
        return held + self.beside + buckets + max(self.together, self.gradients + self.updating)

    def checkpoint_bytes(self, averaged: bool) -> int:
        return self.weights * (2 if averaged else 1) + self.optimizer


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that are alive, and the operations of products and convolutions.

    Gradients are told apart once they are a parameter's (`hold`): `peak` is of all but these, `peak_together` with them.
    """

    def __init__(self, known: Iterable[Tensor] = ()):
        super().__init__()
        self.alive = self.held = self.peak = self.peak_together = self.flops = 0
        self.sizes: dict[int, int] = {}
        self.known = [tensor.untyped_storage() for tensor in known]  # kept: another may get the place of what is freed
        self.sizes.update((storage._cdata, 0) for storage in self.known)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func.overloadpacket):
            self.flops += count(*args, **(kwargs or {}), out_val=out)
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        if (key := storage._cdata) not in self.sizes:
            self.sizes[key] = storage.nbytes()
            self.alive += storage.nbytes()
            weakref.finalize(storage, self._free, key)
            self.peak = max(self.peak, self.alive)
            self.peak_together = max(self.peak_together, self.alive + self.held)

    def _free(self, key: int) -> None:
        self.alive -= self.sizes.pop(key, 0)

    def hold(self, parameter: Tensor) -> None:
        """The gradient of this parameter is whole."""
        assert parameter.grad is not None
        size = self.sizes.get(parameter.grad.untyped_storage()._cdata, 0)
        self.sizes[parameter.grad.untyped_storage()._cdata] = 0
        self.alive, self.held = self.alive - size, self.held + size


def step_cost(module: Any, data: Mapping[str, Any], precision: str = "32-true") -> StepCost:
    """Of `module`, a StageModule around a network without weights (`checkpoints.on_meta`), on batches as `data` says.

    The module is spent afterwards: its network is left with tensors that only this knows.
    """
    detach(module)
    with torch.random.fork_rng(devices=[]):
        try:
            with FakeTensorMode():
                return count_step(module, data, precision)
        except (DataDependentOutputException, DynamicOutputShapeException):  # an aligner's: shapes follow numbers
            return count_step(module, data, precision)


def count_step(module: Any, data: Mapping[str, Any], precision: str) -> StepCost:
    """The first step, and what would be alive in a later one, in the mode that is on."""
    half, mixed = HALVES.get(precision.partition("-")[0]), precision.endswith("mixed")
    fill_with_zeros([module, *module.beside], None if mixed else half)
    optimizer = module.configure_optimizers()["optimizer"]
    batch = example_batch(module.model, data)
    parameters = list(module.parameters())
    beside = {*(tensor for network in module.beside for tensor in network.parameters())}.difference(parameters)
    known = [*parameters, *beside, *module.buffers(), *(part for part in tree_leaves(batch) if part is not None)]
    live = LiveBytes(known)
    for parameter in parameters:
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(live.hold)
    with live:
        with torch.autocast("cpu", half) if mixed else nullcontext():
            loss = module.training_step(batch, 0)
        loss.backward()
        del loss
        work, together = live.peak, live.peak_together
        left = live.peak = live.alive
        optimizer.step()
    state = live.alive - left
    return StepCost(
        parameters=sum(parameter.numel() for parameter in parameters),
        trained=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        weights=nbytes([*parameters, *module.buffers()]),
        gradients=live.held,
        optimizer=state,
        work=work,
        together=together,
        updating=max(live.peak - left - state, 0),
        gathered=gathered_bytes(module.model),
        beside=nbytes(beside),
        flops=live.flops,
        tokens=batch.token_count,
    )


def step_seconds(module: Any, data: Mapping[str, Any], device: str, precision: str = "32-true") -> float:
    """How long a step of `module` takes here, on a batch that never changes: the shortest of a few seconds of them."""
    half, mixed = HALVES.get(precision.partition("-")[0]), precision.endswith("mixed")
    detach(module)
    module.to(device, None if mixed else half)
    optimizer = module.configure_optimizers()["optimizer"]
    with torch.device(device):
        batch = example_batch(module.model, data)
    begun, taken = time.monotonic(), list[float]()
    while (len(taken) < WARM_UP_STEPS and time.monotonic() - begun < WARM_UP_SECONDS) or len(taken) < 2:
        before = time.monotonic()
        optimizer.zero_grad()
        with torch.autocast(device, half) if mixed else nullcontext():
            loss = module.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        taken.append(time.monotonic() - before)
    return min(taken)


@cache
def bfloat16_gain(size: int = 512) -> float:
    """How many times as fast as in float32 this CPU multiplies matrices in bfloat16, measured in hundredths of a second.

    Some have units for that, others emulate it.
    """
    shortest = []
    for dtype in (torch.float32, torch.bfloat16):
        matrix, taken = torch.ones(size, size, dtype=dtype), list[float]()
        for _ in range(5):  # the first prepares
            before = time.perf_counter()
            matrix @ matrix
            taken.append(time.perf_counter() - before)
        shortest.append(min(taken))
    return shortest[0] / shortest[1]


def detach(module: Any) -> None:
    """A LightningModule that can take a step with no trainer: nothing is logged."""
    module.log = module.log_dict = lambda *_, **__: None
    module.trainer = SimpleNamespace(max_steps=1, global_step=0, global_rank=0, world_size=1)


def fill_with_zeros(networks: Iterable[nn.Module], dtype: torch.dtype | None) -> None:
    """Gives networks tensors of the mode that is on, on the CPU: floats in `dtype`, shared where they were shared."""
    filled: dict[Tensor, Tensor] = {}
    for part in (part for network in networks for part in network.modules()):
        places: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for tensors in places:
            for name, tensor in tensors.items():
                if tensor is not None:
                    filled[tensor] = filled[tensor] if tensor in filled else zeros(tensor, dtype)
                    tensors[name] = filled[tensor]
        if isinstance(part, Codebook):
            part._steps = 1  # it would be read from a buffer


def zeros(like: Tensor, dtype: torch.dtype | None) -> Tensor:
    made = torch.zeros(like.shape, dtype=dtype if dtype and like.is_floating_point() else like.dtype)
    return nn.Parameter(made, like.requires_grad) if isinstance(like, nn.Parameter) else made


def nbytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def gathered_bytes(model: nn.Module) -> int:
    """What FSDP holds whole: weights of some blocks and gradients of one, and both of all that is in no block."""
    blocks = [nbytes(block.parameters()) for block in model.modules() if isinstance(block, Block)]
    others = nbytes(model.parameters()) - sum(blocks)
    return 2 * others + (PREFETCHED + 1) * max(blocks, default=0)


@singledispatch
def example_batch(model: nn.Module, data: Mapping[str, Any]) -> Any:
    """A batch for this kind of network, of the sizes that the settings of its datamodule give."""
    raise TypeError(f"no batch is known for a {type(model).__name__}: register one with example_batch")


@example_batch.register(VQVAE)
@example_batch.register(JointVQVAE)
def _(model: nn.Module, data: Mapping[str, Any]) -> AudioBatch:
    return AudioBatch(torch.zeros(data["batch_size"], 1, data["clip"]))


@example_batch.register
def _(model: AcousticModel, data: Mapping[str, Any]) -> AlignedBatch:
    size, samples = data["batch_size"], int(data["seconds"] * model.sample_rate)
    spans, tokens = torch.zeros(size, WORDS, 2, dtype=torch.long), torch.zeros(size, WORDS, LETTERS, dtype=torch.long)
    return AlignedBatch(torch.zeros(size, 1, samples), spans, tokens)


@example_batch.register
def _(model: Prior, data: Mapping[str, Any]) -> CodesBatch:
    size, ctx = data["batch_size"], data["ctx"]

    def whole(*shape: int) -> Tensor:
        return torch.zeros(size, *shape, dtype=torch.long)

    uppers = [part for part in model.conditioners.values() if isinstance(part, UpperCodesConditioner)]
    lyrics = whole(data.get("lyric_tokens", 0))
    labels = Labels(whole(), whole(GENRE_SLOTS), whole(), whole(), whole(), lyrics)
    return CodesBatch(whole(ctx), whole(ctx // uppers[0].factor) if uppers else None, labels, whole(ctx))
