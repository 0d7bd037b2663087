"""Optimizer and schedule of a stage, as YAML gives them: AdamW, also in 8 bits, Muon, or the Adam of the released models."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from jukebox_pl.errors import UserError
from jukebox_pl.nn.transformer import Block


@dataclass(frozen=True)
class OptimConfig:
    """AdamW; the rate rises over `warmup` steps, then stays, or falls to zero over `decay` steps. `clip`: largest norm.

    With `warmdown` it falls to zero over that many of the last steps, wherever the last one is. Up to `skip` steps whose
    gradients are not finite are left out and counted, at the price of a look at every one; 0: the first ends the training.
    """

    lr: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup: int = 100
    decay: int | None = None
    clip: float = 1.0
    warmdown: int | None = None
    skip: int = 0

    def build(self, model: nn.Module, steps: int = -1) -> tuple[Optimizer, LambdaLR]:
        """For a training of `steps` steps (-1: nobody knows when it ends). Raises UserError when `model` or the machine is
        not what the optimizer needs."""
        if self.warmdown and steps < 0:
            raise UserError(f"optim.warmdown={self.warmdown}: expected a training that ends, give max_steps")
        optimizer = self.optimizer(model)
        return optimizer, LambdaLR(optimizer, lambda step: self.factor(step) * self.last_factor(step, steps))

    def optimizer(self, model: nn.Module) -> Optimizer:
        return self.adamw(model.parameters())

    def adamw(self, parameters: Iterable[Parameter]) -> AdamW:
        low, high = self.betas
        adamw = AdamW(parameters, self.lr, (low, high), self.eps, self.weight_decay, fused=True)
        # Else a loss scaler would leave gradients as they are scaled for the kernel, and they would be clipped so.
        adamw._step_supports_amp_scaling = False
        return adamw

    def factor(self, step: int) -> float:
        """What the rate is multiplied by at a step."""
        rising = min(1.0, (step + 1) / max(self.warmup, 1))
        falling = max(0.0, 1 - max(0, step - self.warmup) / self.decay) if self.decay else 1.0
        return rising * falling

    def last_factor(self, step: int, steps: int) -> float:
        """What it is multiplied by in `warmdown`: the step after the last would have the rate 0."""
        return min(1.0, max(0, steps - step) / self.warmdown) if self.warmdown else 1.0


@dataclass(frozen=True)
class MuonOptim(OptimConfig):
    """Muon (Jordan et al. 2024) for the matrices inside the blocks of transformers; AdamW for all else: embeddings, norms,
    biases, outputs, convolutions. Muon's steps are as large as AdamW's (Liu et al. 2025), so both take the one `lr`.
    """

    momentum: float = 0.95

    def optimizer(self, model: nn.Module) -> Optimizer:
        blocks = (module for module in model.modules() if isinstance(module, Block))
        hidden = {parameter: None for block in blocks for parameter in block.parameters() if parameter.ndim == 2}
        if not hidden:
            raise UserError(f"MuonOptim is for transformers, a {type(model).__name__} has none: give it an OptimConfig")
        if any(isinstance(parameter, DTensor) for parameter in hidden):
            raise UserError("MuonOptim needs whole matrices, trainer=fsdp spreads them: use an OptimConfig, or trainer=ddp")
        as_adamw = {"lr": self.lr, "weight_decay": self.weight_decay, "adjust_lr_fn": "match_rms_adamw"}
        muon = Muon(hidden, momentum=self.momentum, **as_adamw)  # type: ignore[arg-type]
        return Joined(muon, self.adamw(parameter for parameter in model.parameters() if parameter not in hidden))


@dataclass(frozen=True)
class AdamW8bitOptim(OptimConfig):
    """AdamW whose moments have 8 bits a number (Dettmers et al. 2022), by bitsandbytes: 2 bytes a weight instead of 8."""

    def optimizer(self, model: nn.Module) -> Optimizer:
        try:
            from bitsandbytes.optim import AdamW8bit
        except ImportError:
            way_out = "pip install 'jukebox_pl[8bit]', or choose OptimConfig"
            raise UserError(f"AdamW8bitOptim needs bitsandbytes, which is not installed: {way_out}") from None
        optimizer: Optimizer = AdamW8bit(model.parameters(), self.lr, self.betas, self.eps, self.weight_decay)
        return optimizer


class OwnOptimizer(Optimizer):
    """An optimizer of ours: `update` is its step, once the gradients are there."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.update()
        return loss

    @abstractmethod
    def update(self) -> None:
        """Changes the parameters by their gradients."""


class Joined(OwnOptimizer):
    """Optimizers of different parameters as one, which is what Lightning steps."""

    def __init__(self, *parts: Optimizer):
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})

    def update(self) -> None:
        groups = iter(self.param_groups)
        for part in self.parts:  # groups and state are others after a checkpoint was loaded
            part.param_groups, part.state = [next(groups) for _ in part.param_groups], self.state
            part.step()


@dataclass(frozen=True)
class ReleasedOptim(OptimConfig):
    """As the released models were trained: their Adam, a rate that starts at 0 and falls over `decay` from `decay_from`."""

    decay_from: int = 0

    def optimizer(self, model: nn.Module) -> Optimizer:
        low, high = self.betas
        return ReleasedAdam(model.parameters(), self.lr, (low, high), self.eps, self.weight_decay)

    def factor(self, step: int) -> float:
        return released_rate(step, self.warmup, decay=self.decay or math.inf, linear_from=self.decay_from)


class ReleasedAdam(OwnOptimizer):
    """Adam whose `eps` joins the square root before the bias is corrected; the weight decay is corrected with the rest.

    p -= lr * sqrt(1 - beta2^t) / (1 - beta1^t) * (m / (sqrt(v) + eps) + weight_decay * p), in float32 whatever p is in.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 3e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def update(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad.float(), group)

    def _update(self, parameter: Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
        state["step"] += 1
        mean, square = state["mean"], state["square"]
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        rate = group["lr"] * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
        change = mean / (square.sqrt() + group["eps"]) + group["weight_decay"] * parameter.float()
        parameter.copy_(parameter.float() - rate * change)


def released_rate(
    step: int,
    warmup: float = 100,
    scale: float = 1.0,
    gamma: float = 1.0,
    decay: float = 1e10,
    linear_from: int | None = None,
) -> float:
    """What the learning rate is multiplied by: rising from 0 over `warmup` steps; then times `gamma` every `decay` steps,
    or, with `linear_from`, falling to 0 over the `decay` steps from there."""
    rising = min(1.0, step / warmup)
    if linear_from is None:
        return scale * rising * gamma ** (step // decay)
    return scale * rising * max(0.0, 1 - max(0, step - linear_from) / decay)
