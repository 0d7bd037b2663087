"""What a fine-tune has added to the priors of a bundle: one small file, laid over them when they are loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from jukebox_pl.checkpoints.building import fill, on_meta
from jukebox_pl.checkpoints.records import AdapterRecord, LabellerConfig, LevelAdapter
from jukebox_pl.errors import UserError
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.surgery import grown_state, resize, table_rows, trained_tables
from jukebox_pl.nn.adapters import adapt, adapter_state, load_adapter_state, merge
from jukebox_pl.text.labels import Labeller
from jukebox_pl.utils.files import replacing
from jukebox_pl.utils.records import from_json, to_record

ADAPTER, METADATA = "adapter.safetensors", "jukebox_pl"
STRONGEST = 4.0  # beyond, nothing but noise is to be expected; below zero it goes the other way


class TrainedLevel(NamedTuple):
    """An adapter of one level in memory, its tensors under their names in the prior."""

    record: LevelAdapter
    state: dict[str, Tensor]


@dataclass(frozen=True)
class Adapter:
    """An adapter's file; of its tensors none is read yet."""

    path: Path
    fingerprint: str
    record: AdapterRecord

    def labeller(self, level: int) -> Labeller:
        return Labeller.from_config(self.record.levels[str(level)].labeller)

    def state(self, level: int) -> dict[str, Tensor]:
        """The tensors of a level. Raises UserError for a file that is damaged, or holds what is no finite number."""
        state, start = {}, f"{level}."
        try:
            with safe_open(self.path, "pt") as file:
                for name in file.keys():  # noqa: SIM118, it is no mapping
                    if name.startswith(start):
                        state[name.removeprefix(start)] = file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise damaged(self.path, error) from None
        for name, tensor in state.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise damaged(self.path, f"{name} of level {level} holds what is no finite number")
        return state


@dataclass(frozen=True)
class AdapterUse:
    """An adapter with its strength at each level: 0 leaves the prior as it is, 1 makes it what was trained.

    Raises UserError for a strength at a level that the adapter has not.
    """

    adapter: Adapter
    strengths: Mapping[int, float]

    def __post_init__(self) -> None:
        levels = sorted(map(int, self.adapter.record.levels))
        for level, strength in self.strengths.items():
            if strength and level not in levels:
                has = ", ".join(map(str, levels))
                raise UserError(f"{self.adapter.path} has no level {level}, only {has}: give strength 0 there")


def save_adapter(path: Path, base: str, levels: Mapping[int, TrainedLevel]) -> None:
    """Writes the adapter of some levels of a bundle named `base`, whole or not at all."""
    record = AdapterRecord(base, {str(level): trained.record for level, trained in levels.items()})
    tensors = {
        f"{level}.{name}": tensor.float().cpu().contiguous()
        for level, trained in levels.items()
        for name, tensor in trained.state.items()
    }
    with replacing(path) as beside:
        save_file(tensors, beside, {METADATA: json.dumps(msgspec.to_builtins(record), ensure_ascii=False)})
        beside.chmod(0o644)  # safetensors lets nobody but the owner read


def read_adapter(path: str | Path) -> Adapter:
    """Opens an adapter. Raises UserError naming what is wrong with the file."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no adapter {path}: give the {ADAPTER} of a run of recipe=finetune")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from None
    if METADATA not in metadata:
        raise UserError(f"{path} is no adapter of this library: there is no {METADATA!r} in its metadata")
    record = to_record(from_json(metadata[METADATA], str(path)), AdapterRecord, str(path))
    for level in record.levels.values():
        to_record(level.labeller, LabellerConfig, f"{path}: labeller")
    with open(path, "rb") as opened:
        return Adapter(path, hashlib.file_digest(opened, "sha256").hexdigest()[:16], record)


def damaged(path: Path, reason: object) -> UserError:
    return UserError(f"{path} is damaged ({' '.join(str(reason).split())}): copy it again, or fine-tune again")


class Overlay:
    """The adapters that are laid over the prior of one level, whose network has the `config` and the labeller `known`.

    `labeller` is what the names of all of them together come to. Raises UserError for an adapter of another prior.
    """

    def __init__(self, uses: Sequence[AdapterUse], level: int, fingerprint: str, config: Any, known: Labeller):
        self.uses = [use for use in uses if str(level) in use.adapter.record.levels]
        self.level, self.known = level, known
        for use in self.uses:
            record = use.adapter.record
            if (base := record.levels[str(level)].base) != fingerprint:
                raise UserError(
                    f"{use.adapter.path} is for level {level} of another bundle, {record.base} ({base}), not for this one "
                    f"({fingerprint}): give the run_dir that it was trained from"
                )
        self.labellers = [use.adapter.labeller(level) for use in self.uses]
        self.labeller = reduce(Labeller.extended, self.labellers, known)
        self.config = with_tables_for(config, self.labeller)
        self.outline = cast(Prior, on_meta(self.config))
        self.states = [use.adapter.state(level) for use in self.uses]
        for use, state in zip(self.uses, self.states, strict=True):
            self._require_fit(use, state)

    def _require_fit(self, use: AdapterUse, state: Mapping[str, Tensor]) -> None:
        """Compares without memory for weights: what a damaged file asks for is never made."""
        record = use.adapter.record.levels[str(self.level)]
        outline = cast(Prior, on_meta(with_tables_for(self.config, Labeller.from_config(record.labeller))))
        wanted = {name: list(table.shape) for name, table in trained_tables(outline, record.codes).items()}
        if record.layers:
            with torch.device("meta"):
                adapt(outline.transformer, record.layers)
            wanted |= {name: list(tensor.shape) for name, tensor in adapter_state(outline).items()}
        found = {name: list(tensor.shape) for name, tensor in state.items()}
        for name in sorted(wanted | found):
            if wanted.get(name) != found.get(name):
                raise damaged(use.adapter.path, f"{name} has {found.get(name)}, expected {wanted.get(name)}")

    def __call__(self, prior: Prior, dtype: torch.dtype = torch.float32) -> Prior:
        """The prior with the adapters in its weights and the names in its tables; plain layers, as before."""
        with torch.no_grad():
            state = grown_state(prior, self.known, self.labeller)
            for use, own, trained in zip(self.uses, self.labellers, self.states, strict=True):
                lyric_tokens = len(own.characters) if prior.vocabulary else 0
                to_own = table_rows(prior.vocabulary, prior.bins, self.known, own)
                to_all = table_rows(lyric_tokens, prior.bins, own, self.labeller)
                codes = use.adapter.record.levels[str(self.level)].codes
                for name, table in trained_tables(prior, codes).items():
                    moved = trained[name] - resize(table, to_own[name])
                    state[name] = state[name] + use.strengths.get(self.level, 0.0) * resize(moved, to_all[name])
            adapted = cast(Prior, fill(cast(Prior, on_meta(self.config)), state, dtype))
            for number, (use, trained) in enumerate(zip(self.uses, self.states, strict=True)):
                if layers := use.adapter.record.levels[str(self.level)].layers:
                    adapt(adapted.transformer, layers, str(number), use.strengths.get(self.level, 0.0))
                    of_layers = {name: tensor for name, tensor in trained.items() if name.startswith("transformer.")}
                    load_adapter_state(adapted, of_layers, str(number))
            merge(adapted.transformer)
        return adapted


def with_tables_for(config: Any, labeller: Labeller) -> Any:
    """The config of a prior with tables of the size that the names and characters of a labeller need."""
    sizes = {"artists": len(labeller.artists), "genres": len(labeller.genres), "vocabulary": len(labeller.characters)}
    if isinstance(config, Mapping):
        return {
            name: sizes[name] if name in sizes and part else with_tables_for(part, labeller)  # vocabulary 0: no lyrics
            for name, part in config.items()
        }
    return config
