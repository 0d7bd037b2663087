"""What of a prior a fine-tune trains, and what it leaves on disk: the whole prior, or an adapter of it."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jukebox_pl import checkpoints
from jukebox_pl.checkpoints import ADAPTER, MODEL
from jukebox_pl.errors import UserError
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.surgery import trained_tables
from jukebox_pl.nn.adapters import AdapterConfig, adapt, file_key
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.text.labels import Labeller

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Base(NamedTuple):
    """The prior that a fine-tune goes on from: the name of its bundle, its level and its fingerprint."""

    bundle: str
    level: int
    fingerprint: str


@dataclass(frozen=True)
class Tuning(ABC):
    """`levels` are those whose prior is trained (None: all), `optim` what of the size's optimizer is to be otherwise (a
    setting that is None: as there). With `checkpointing` layers are computed once more in the backward pass instead of
    kept: a third more time, far less memory.
    """

    levels: tuple[int, ...] | None = None
    optim: Mapping[str, Any] = field(default_factory=dict)
    checkpointing: bool = False

    def trains(self, level: int) -> bool:
        return self.levels is None or level in self.levels

    @property
    def dtype(self) -> torch.dtype:
        """Of the dense layers."""
        return torch.float32

    @abstractmethod
    def keep(self, folder: Path, model: Path) -> None:
        """Puts the `model` of a level that is not trained into the folder of its stage, where what comes out needs it."""

    @abstractmethod
    def prepare(self, prior: Prior) -> None:
        """Makes ready to be trained what is to be, and freezes everything else."""

    def _checkpoint(self, prior: Prior) -> None:
        for module in prior.modules():
            if isinstance(module, Transformer):
                module.checkpointing |= self.checkpointing

    @abstractmethod
    def save(self, folder: Path, base: Base, trained: Mapping[str, Tensor], config: Any, labeller: Labeller) -> None:
        """Writes what was `trained` into the folder of its stage."""

    @abstractmethod
    def fingerprint(self, folder: Path) -> str:
        """Of what `save` has written."""


@dataclass(frozen=True)
class WholePrior(Tuning):
    """Every weight is trained; what comes out is a prior."""

    def keep(self, folder: Path, model: Path) -> None:
        shutil.copytree(model, folder / MODEL, dirs_exist_ok=True)

    def prepare(self, prior: Prior) -> None:
        prior.requires_grad_(True)
        self._checkpoint(prior)

    def save(self, folder: Path, base: Base, trained: Mapping[str, Tensor], config: Any, labeller: Labeller) -> None:
        checkpoints.save_state(folder / MODEL, trained, config, labeller)

    def fingerprint(self, folder: Path) -> str:
        return checkpoints.fingerprint(folder / MODEL)


@dataclass(frozen=True)
class AdapterTuning(Tuning):
    """Trains the tables of names and characters, with `codes` those of the codes and, with `layers`, adapters of linear
    layers; all else is frozen. Songs that sound unlike those of the bundle have other codes, which no adapter reaches.

    The frozen matrices are held in `precision`, float32 or bfloat16; what is trained is float32. Raises UserError for a
    precision that there is not.
    """

    layers: AdapterConfig | None = None
    precision: str = "float32"
    codes: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(f"tune.precision={self.precision}: expected one of {', '.join(PRECISIONS)}")

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.precision]

    def prepare(self, prior: Prior) -> None:
        """Raises UserError where the pattern has none of the layers to adapt."""
        prior.requires_grad_(False)
        self._checkpoint(prior)
        if self.layers:
            try:
                adapt(prior.transformer, self.layers)
            except ValueError as error:
                raise UserError(f"tune.layers: {error}") from None
        for table in trained_tables(prior, self.codes).values():
            table.requires_grad_(True)

    def keep(self, folder: Path, model: Path) -> None:
        """An adapter leaves the level as it is."""

    def save(self, folder: Path, base: Base, trained: Mapping[str, Tensor], config: Any, labeller: Labeller) -> None:
        record = checkpoints.LevelAdapter(base.fingerprint, labeller.to_config(), self.layers, self.codes)
        state = {file_key(name): tensor for name, tensor in trained.items()}
        checkpoints.save_adapter(folder / ADAPTER, base.bundle, {base.level: checkpoints.TrainedLevel(record, state)})

    def fingerprint(self, folder: Path) -> str:
        return checkpoints.read_adapter(folder / ADAPTER).fingerprint
