"""Optimizer and schedule of a stage, as YAML gives them: AdamW, or the Adam and the rates of the released models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class OptimConfig:
    """AdamW; the rate rises over `warmup` steps, then stays, or falls to zero over `decay` steps. `clip`: largest norm."""

    lr: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup: int = 100
    decay: int | None = None
    clip: float = 1.0

    def build(self, parameters: Iterable[Parameter]) -> tuple[Optimizer, LambdaLR]:
        optimizer = self.optimizer(parameters)
        return optimizer, LambdaLR(optimizer, self.factor)

    def optimizer(self, parameters: Iterable[Parameter]) -> Optimizer:
        low, high = self.betas
        return AdamW(parameters, self.lr, (low, high), self.eps, self.weight_decay)

    def factor(self, step: int) -> float:
        """What the rate is multiplied by at a step."""
        rising = min(1.0, (step + 1) / max(self.warmup, 1))
        falling = max(0.0, 1 - max(0, step - self.warmup) / self.decay) if self.decay else 1.0
        return rising * falling


@dataclass(frozen=True)
class ReleasedOptim(OptimConfig):
    """As the released models were trained: their Adam, a rate that starts at 0 and falls over `decay` from `decay_from`."""

    decay_from: int = 0

    def optimizer(self, parameters: Iterable[Parameter]) -> Optimizer:
        low, high = self.betas
        return ReleasedAdam(parameters, self.lr, (low, high), self.eps, self.weight_decay)

    def factor(self, step: int) -> float:
        return released_rate(step, self.warmup, decay=self.decay or math.inf, linear_from=self.decay_from)


class ReleasedAdam(Optimizer):
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

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad.float(), group)
        return loss

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
