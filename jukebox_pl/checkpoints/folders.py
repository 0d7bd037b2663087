"""A network on disk: a folder of config.json (how to build it) and model.safetensors (its weights)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from jukebox_pl.checkpoints.building import TRUSTED, fill, on_meta
from jukebox_pl.checkpoints.records import LabellerConfig, ModelRecord
from jukebox_pl.errors import UserError
from jukebox_pl.text.labels import Labeller
from jukebox_pl.utils.differences import differences
from jukebox_pl.utils.files import read_record, write_json
from jukebox_pl.utils.records import to_record

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MODEL = "model"  # the folder of a network inside that of the stage that trains it
FLOATING = ("F64", "F32", "F16", "BF16")  # numbers that a network computes with: which of them, its user chooses
SHOWN = 8  # tensors that differ, in a message


def save_state(
    folder: str | Path, state: Mapping[str, Tensor], config: Mapping[str, Any], labeller: Labeller | None = None
) -> None:
    """Writes the weights, in the types they have, then the config; the folder reads as whole only when both are there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Beside, synced, then renamed: safetensors writes a file itself, without a second copy of the weights in memory.
    beside = folder / f".{WEIGHTS}.{os.getpid()}.part"
    save_file({name: tensor.cpu().contiguous() for name, tensor in state.items()}, beside)
    beside.chmod(0o644)  # safetensors lets nobody but the owner read
    with open(beside, "rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    os.replace(beside, folder / WEIGHTS)
    record = {"model": config, "labeller": labeller.to_config() if labeller else None}
    write_json(folder / CONFIG, record | {"fingerprint": fingerprint_of(digest, record)})


@dataclass(frozen=True)
class Loaded:
    """A network as found in a folder, in eval mode."""

    model: nn.Module
    labeller: Labeller | None
    fingerprint: str


def read_config(folder: str | Path) -> ModelRecord:
    """The record of a model's folder. Raises UserError naming what is wrong with it."""
    return read_record(Path(folder) / CONFIG, ModelRecord, "a trained model")


def load(folder: str | Path, trusted: Sequence[str] = TRUSTED, dtype: torch.dtype = torch.float32) -> Loaded:
    """Rebuilds a saved network, its transformers in `dtype`.

    Raises UserError when the folder is not one, when its weights do not fit its config or are others than were saved, and
    when one of them is no finite number.
    """
    folder = Path(folder)
    outline, labeller = outline_of(folder, trusted), load_labeller(folder)
    fingerprint = require_saved(folder)
    try:
        state = load_file(folder / WEIGHTS)
        require_finite(folder, state)
        model = fill(outline, state, dtype)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise unfit(folder, str(error)) from None
    return Loaded(model, labeller, fingerprint)


def outline_of(folder: Path, trusted: Sequence[str] = TRUSTED) -> Any:
    """The network of a folder without memory for its weights: of these only the header is read, and it fits.

    Raises UserError, as `load` would, when weights are cut short or do not fit their config.
    """
    config = read_config(folder).model
    if not (folder / WEIGHTS).is_file():
        raise unfit(folder, "there is no such file")
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
            found = {name: f"{kind_of(part.get_dtype())} {list(part.get_shape())}" for name, part in slices.items()}
    except (OSError, SafetensorError) as error:
        raise unfit(folder, str(error)) from None
    try:
        outline = on_meta(config, trusted)
    except UserError as error:
        raise UserError(f"{folder / CONFIG}: {error}") from None
    expected = {
        name: f"{'floating' if tensor.is_floating_point() else 'I64'} {list(tensor.shape)}"
        for name, tensor in outline.state_dict().items()
    }
    if found != expected:
        rows = list(differences(expected, found))
        more = [f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
        raise unfit(folder, "; ".join([*rows[:SHOWN], *more]))
    return outline


def kind_of(dtype: str) -> str:
    return "floating" if dtype in FLOATING else dtype


def require_saved(folder: Path) -> str:
    """The fingerprint of a folder. Raises UserError unless it is that of the weights, and of the config, in it.

    Version 0.1.0 named the weights alone.
    """
    record, status = read_config(folder), (folder / WEIGHTS).stat()
    digest = digest_of(folder / WEIGHTS, status.st_size, status.st_mtime_ns)
    now = fingerprint_of(digest, {"model": record.model, "labeller": record.labeller})
    if record.fingerprint not in (now, digest[:16]):
        raise UserError(
            f"{folder}: {WEIGHTS} or {CONFIG} was changed since they were saved (fingerprint {record.fingerprint} there, "
            f"{now} found): copy the folder again, or train it again"
        )
    return record.fingerprint


@lru_cache(maxsize=64)
def digest_of(weights: Path, size: int, modified: int) -> str:
    """Of a file that has not changed since: a prior is read anew for every song."""
    with open(weights, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of(digest: str, record: Mapping[str, Any]) -> str:
    """Names weights and what they mean: the digest of the file, and the config, which says how they are used."""
    return hashlib.sha256(f"{digest} {json.dumps(record, sort_keys=True)}".encode()).hexdigest()[:16]


def require_finite(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Raises UserError naming a tensor with what is no finite number: one pass, without a copy."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.numel() and not torch.stack(torch.aminmax(tensor)).isfinite().all():
            raise UserError(f"{folder / WEIGHTS}: {name} holds numbers that are not finite: train it again from before that")


def unfit(folder: Path, reason: str) -> UserError:
    return UserError(f"{folder / WEIGHTS} does not hold the weights of {folder / CONFIG}: {' '.join(reason.split())}")


def load_labeller(folder: str | Path) -> Labeller | None:
    """What turns songs into the labels of the network in a folder; None where it has none."""
    config = read_config(folder).labeller
    if config is None:
        return None
    try:
        to_record(config, LabellerConfig, "labeller")
        return Labeller.from_config(config)
    except ValueError as error:
        raise UserError(f"{Path(folder) / CONFIG}: its labeller cannot be used ({error}): copy or write it again") from None


def fingerprint(folder: str | Path) -> str:
    """Names the weights in a model's folder, and what they mean."""
    return read_config(folder).fingerprint
