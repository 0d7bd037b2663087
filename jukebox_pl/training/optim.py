"""Optimizer and schedule of a stage, as YAML gives them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from jukebox_pl.training.released_optim import ReleasedAdam, released_rate


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
