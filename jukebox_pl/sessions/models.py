"""The models of a run: which they are, known at once, and themselves, loaded when something is to be sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from msgspec import Meta

from jukebox_pl import checkpoints
from jukebox_pl.checkpoints import Adapter, AdapterUse
from jukebox_pl.errors import UserError
from jukebox_pl.inference import memory
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.sampling.decoding import WEIGHTS, Engine
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.types import Bins, Hop, Rate

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Models:
    """What codes mean: `weights` names those of the VQ-VAE and of each level's prior, and adapters by their strengths;
    samples a code; codes a level."""

    weights: Mapping[str, Annotated[str, Meta(max_length=1000)]]
    sample_rate: Rate
    hops: Annotated[tuple[Hop, ...], Meta(min_length=1, max_length=10)]
    bins: Bins

    @property
    def top(self) -> int:
        return len(self.hops) - 1

    def lengths(self, top_codes: int) -> dict[int, int]:
        """Codes of every level beside so many of the top."""
        return {level: top_codes * self.hops[-1] // hop for level, hop in enumerate(self.hops)}

    def seconds(self, level: int, codes: int) -> float:
        return codes * self.hops[level] / self.sample_rate

    def __post_init__(self) -> None:
        """Raises ValueError where codes of one level do not fill those of the top."""
        if any(self.hops[-1] % hop for hop in self.hops):
            raise ValueError(f"hops={self.hops}: expected divisors of the last")


@dataclass(frozen=True)
class Computing:
    """What decides rounding, and so now and then a code. Raises UserError for a type that priors cannot compute in."""

    dtype: str = "float32"
    weights: str = "as_loaded"
    lyrics_as_codes: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UserError(f"dtype {self.dtype!r} is not supported; known are {', '.join(DTYPES)}")
        Engine(weights=self.weights)


class LoadedModels(NamedTuple):
    """A run's models in memory, with the adapters that are laid over them."""

    bundle: checkpoints.Bundle
    sampler: Sampler
    run_dir: Path
    adapters: Sequence[AdapterUse] = ()


class ModelPool:
    """The models of a run on a device, under `adapters`. The ones loaded last stay, `together` all of them or one prior at
    a time."""

    def __init__(
        self,
        run_dir: str | Path | None,
        device: str = "cpu",
        compile: bool = False,
        together: bool = False,
        adapters: Sequence[AdapterUse] = (),
    ):
        self._run_dir, self.device, self.compile, self.together = run_dir, device, compile, together
        self.adapters = adapters
        self._loaded: dict[Computing, LoadedModels] = {}

    @property
    def run_dir(self) -> Path:
        """Raises UserError where there is none: some modes need no models."""
        if self._run_dir is None:
            raise UserError("run_dir is missing, as in run_dir=runs/demo: the folder of a finished run")
        return Path(self._run_dir)

    @cached_property
    def models(self) -> Models:
        """From the records of the bundle, not its weights. Raises UserError where there is none."""
        run_dir = self.run_dir
        bundle = checkpoints.read_bundle(run_dir)
        places = {"vqvae": bundle.vqvae, **{f"prior {level}": path for level, path in bundle.priors.items()}}
        names = {what: checkpoints.fingerprint(checkpoints.inside(run_dir, path)) for what, path in places.items()}
        for use in self.adapters:
            names[name_of(use.adapter)] = written(use.strengths)
        vqvae = checkpoints.outline_of(checkpoints.inside(run_dir, bundle.vqvae))
        if not isinstance(vqvae, VQVAE):
            raise UserError(f"{run_dir / checkpoints.BUNDLE}: its vqvae is a {type(vqvae).__name__}, expected a VQVAE")
        return Models(names, bundle.sample_rate, vqvae.hops, vqvae.bins)

    def under(self, adapters: Sequence[AdapterUse]) -> ModelPool:
        """The same models under other adapters, loaded one prior at a time: beside these there may be no room for more."""
        return ModelPool(self._run_dir, self.device, self.compile, adapters=adapters)

    def uses_of(self, models: Models) -> list[AdapterUse]:
        """Those of its adapters that `models` name, at their strengths."""
        there = [use.adapter for use in self.adapters if name_of(use.adapter) in models.weights]
        return [AdapterUse(adapter, strengths_in(models.weights[name_of(adapter)])) for adapter in there]

    def load(self, computing: Computing, rows: int = 1) -> LoadedModels:
        """Raises UserError, in seconds, where there is too little memory to load them and sample `rows` windows at once."""
        if computing not in self._loaded:
            self._loaded.clear()  # before others take its room
            narrow, dtype, as_codes = WEIGHTS[computing.weights], DTYPES[computing.dtype], computing.lyrics_as_codes
            narrow_bytes = narrow.itemsize if narrow else 0
            bundle = checkpoints.load_bundle(
                self.run_dir, dtype=dtype, lyrics_as_codes=as_codes, at_once=False, adapters=self.adapters
            )
            plan = memory.estimate_memory(self.run_dir, batch=rows, dtype=dtype, narrow_bytes=narrow_bytes)
            memory.require_room(plan, self.device, self.together)
            if self.together:
                bundle = replace(bundle, priors=dict(bundle.priors))
            engine, networks = Engine(self.compile, computing.weights), (bundle.vqvae, bundle.priors, bundle.labellers)
            sampler = Sampler(
                *networks, bundle.sample_rate, self.device, engine, keep=self.together, lyrics_head=bundle.lyrics_head
            )
            self._loaded[computing] = LoadedModels(bundle, sampler, self.run_dir, self.adapters)
        return self._loaded[computing]


def name_of(adapter: Adapter) -> str:
    return f"adapter {adapter.fingerprint}"


def written(strengths: Mapping[int, float]) -> str:
    """1 at level 0, 0.5 at level 2."""
    return ", ".join(f"{strength:g} at level {level}" for level, strength in sorted(strengths.items()))


def strengths_in(text: str) -> dict[int, float]:
    """By level, from what `written` has written. Raises UserError for anything else."""
    try:
        pairs = [part.split(" at level ") for part in text.split(", ")]
        return {int(level): float(strength) for strength, level in pairs}
    except ValueError:
        raise UserError(f"strengths of an adapter {text!r:.80}: expected such as '1 at level 0, 0.5 at level 2'") from None
