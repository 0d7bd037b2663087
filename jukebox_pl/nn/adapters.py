"""Adapters: small trained additions to the linear layers of a transformer whose own weights stay as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_pl.nn.transformer import Transformer

PARTS = ("attention", "mlp")
NAME = "adapter"


class LoRA(nn.Module):
    """A product of two thin matrices (Hu et al. 2021); the second starts as zeros, so nothing changes."""

    def __init__(self, weight: Tensor, rank: int, alpha: float):
        super().__init__()
        outputs, inputs = weight.shape
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.empty(rank, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def delta(self, weight: Tensor) -> Tensor:
        """What is added to the weight [out, in]."""
        return self.scale * (self.up @ self.down)

    def forward(self, x: Tensor, plain: Tensor, weight: Tensor, moved: Tensor, strength: float) -> Tensor:
        """`moved` with `strength` times x @ delta.T, where `plain` = x @ weight.T.

        Through the thin matrices: none of the size of the weight is made, kept for the gradient, or multiplied for it.
        """
        return self._add(x, moved, self.up, strength)

    def _add(self, x: Tensor, moved: Tensor, up: Tensor, strength: float) -> Tensor:
        thin = F.linear(x, self.down.to(x.dtype)).flatten(0, -2)
        added = torch.addmm(moved.flatten(0, -2), thin, up.T.to(thin.dtype), alpha=strength * self.scale)
        return added.view_as(moved)


class DoRA(LoRA):
    """Also trains the length of every output's row apart from its direction (Liu et al. 2024, section 4.1).

    The length of the moved row is taken for a constant by the gradient (section 4.3), which saves memory.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float):
        super().__init__(weight, rank, alpha)
        self.magnitude = nn.Parameter(weight.detach().float().norm(dim=1))

    def delta(self, weight: Tensor) -> Tensor:
        return self._stretch(weight)[:, None] * (weight.float() + super().delta(weight)) - weight.float()

    def forward(self, x: Tensor, plain: Tensor, weight: Tensor, moved: Tensor, strength: float) -> Tensor:
        stretch = self._stretch(weight)
        moved = torch.addcmul(moved, plain, (strength * (stretch - 1)).to(plain.dtype))
        return self._add(x, moved, stretch[:, None] * self.up, strength)

    def _stretch(self, weight: Tensor) -> Tensor:
        """Trained over moved length, a number an output."""
        with torch.no_grad():
            length = (weight.float() + super().delta(weight)).norm(dim=1)
        return self.magnitude / length.clamp(min=1e-12)


KINDS: dict[str, type[LoRA]] = {"lora": LoRA, "dora": DoRA}


@dataclass(frozen=True)
class AdapterConfig:
    """`alpha` / `rank` scales what is added (None: by 1). `letters`: layers of a pattern; `parts`: of a layer.

    Raises ValueError for what there is not.
    """

    kind: str = "lora"
    rank: int = 16
    alpha: float | None = None
    letters: str = "DRCPXL"
    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"adapter kind {self.kind!r} found, expected one of {', '.join(KINDS)}")
        if self.rank < 1:
            raise ValueError(f"adapter rank {self.rank} found, expected at least 1")
        if unknown := set(self.parts) - set(PARTS) or set(self.letters) - set("DRCPXL"):
            raise ValueError(f"adapter for {sorted(unknown)} found, expected parts of {PARTS} and letters of DRCPXL")


class AdaptedLinear(nn.Linear):
    """A linear layer, the same weight and bias, and adapters by name, each with its strength."""

    def __init__(self, linear: nn.Linear):
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.adapters = nn.ModuleDict()
        self.strengths: dict[str, float] = {}

    def merged(self) -> Tensor:
        """The weight [out, in] with what the adapters add, in the type of the weight."""
        moved = self.weight.float()
        for name, adapter in self.adapters.items():
            moved = moved + self.strengths[name] * cast(LoRA, adapter).delta(self.weight)
        return moved.to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        plain = F.linear(x, self.weight)
        moved = plain if self.bias is None else plain + self.bias
        for name, adapter in self.adapters.items():
            moved = adapter(x, plain, self.weight, moved, self.strengths[name])
        return moved


def adapt(transformer: Transformer, config: AdapterConfig, name: str = NAME, strength: float = 1.0) -> None:
    """Adds an adapter `name` to the linear layers that `config` is for; several stack. Nothing is frozen here.

    Raises ValueError where the pattern has none of the letters, or there is an adapter of that name.
    """
    chosen = [
        block for letter, block in zip(transformer.pattern, transformer.blocks, strict=True) if letter in config.letters
    ]
    if not chosen:
        raise ValueError(f"an adapter for layers {config.letters}: the pattern {transformer.pattern} has none of them")
    for block in chosen:
        for part in config.parts:
            for parent, child, linear in list(_linears(getattr(block, part))):
                adapted = linear if isinstance(linear, AdaptedLinear) else AdaptedLinear(linear)
                if name in adapted.adapters:
                    raise ValueError(f"there is an adapter {name!r} already: give this one another name")
                alpha = config.rank if config.alpha is None else config.alpha
                adapter = KINDS[config.kind](linear.weight, config.rank, alpha)
                adapted.adapters[name] = adapter.to(linear.weight.device)
                adapted.strengths[name] = strength
                setattr(parent, child, adapted)


def merge(network: nn.Module) -> None:
    """Makes every adapted layer a plain one again, with the weights that its adapters lead to."""
    for parent, child, linear in list(_linears(network)):
        if isinstance(linear, AdaptedLinear):
            plain = nn.Linear(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
            plain.weight, plain.bias = nn.Parameter(linear.merged().detach()), linear.bias
            setattr(parent, child, plain)


def adapter_state(network: nn.Module, name: str = NAME) -> dict[str, Tensor]:
    """The tensors of the adapter `name`, each under the name of its layer in the network."""
    state = network.state_dict()
    return {file_key(key, name): tensor for key, tensor in state.items() if f".adapters.{name}." in key}


def file_key(key: str, name: str = NAME) -> str:
    """The name of a tensor in the file of the adapter `name`, from that in the state of the network."""
    return key.replace(f".adapters.{name}.", ".")


def load_adapter_state(network: nn.Module, state: Mapping[str, Tensor], name: str = NAME) -> None:
    """Fills the adapter `name`. Raises ValueError where `state` is of another network or another config."""
    mine = adapter_state(network, name)
    shapes, given = ({key: list(tensor.shape) for key, tensor in tensors.items()} for tensors in (mine, state))
    if shapes != given:
        differing = sorted(key for key in shapes | given if shapes.get(key) != given.get(key))
        key = differing[0]
        raise ValueError(f"the adapter does not fit at {key}: {given.get(key)} found, expected {shapes.get(key)}")
    with torch.no_grad():
        for key, tensor in mine.items():
            tensor.copy_(state[key])


def _linears(network: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    for parent in network.modules():
        for child, module in parent.named_children():
            if isinstance(module, nn.Linear):
                yield parent, child, module
