"""A network on disk: a folder of config.json (how to build it) and model.safetensors (its weights)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from jukebox_pl.checkpoints.building import TRUSTED, assemble, on_meta
from jukebox_pl.errors import UserError
from jukebox_pl.text.labels import Labeller
from jukebox_pl.utils.differences import differences
from jukebox_pl.utils.files import read_json, write_json

CONFIG, WEIGHTS = "config.json", "model.safetensors"


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
    record = {"model": config, "labeller": labeller.to_config() if labeller else None, "fingerprint": digest[:16]}
    write_json(folder / CONFIG, record)


@dataclass(frozen=True)
class Loaded:
    """A network as found in a folder, in eval mode."""

    model: nn.Module
    labeller: Labeller | None
    fingerprint: str


def load(folder: str | Path, trusted: Sequence[str] = TRUSTED, dtype: torch.dtype = torch.float32) -> Loaded:
    """Rebuilds a saved network, its transformers in `dtype`.

    Raises UserError when the folder is not one or does not fit its config.
    """
    folder = Path(folder)
    record = read_json(folder / CONFIG, "a trained model")
    try:
        model = assemble(record["model"], load_file(folder / WEIGHTS), dtype, trusted)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise unfit(folder, str(error)) from None
    return Loaded(model, load_labeller(folder), record["fingerprint"])


def require_fitting(folder: Path, trusted: Sequence[str] = TRUSTED) -> None:
    """Raises UserError, as `load` would, when weights are cut short or do not fit their config; reads only their header."""
    config = read_json(folder / CONFIG, "a trained model")["model"]
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            found = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118, it is no mapping
    except (OSError, SafetensorError) as error:
        raise unfit(folder, str(error)) from None
    expected = {name: list(tensor.shape) for name, tensor in on_meta(config, trusted).state_dict().items()}
    if found != expected:
        raise unfit(folder, "; ".join(differences(expected, found)))


def unfit(folder: Path, reason: str) -> UserError:
    return UserError(f"{folder / WEIGHTS} does not hold the weights of {folder / CONFIG}: {' '.join(reason.split())}")


def load_labeller(folder: str | Path) -> Labeller | None:
    """What turns songs into the labels of the network in a folder; None where it has none."""
    config = read_json(Path(folder) / CONFIG, "a trained model")["labeller"]
    return Labeller.from_config(config) if config else None


def fingerprint(folder: str | Path) -> str:
    """Names the weights in a model's folder."""
    return read_json(Path(folder) / CONFIG, "a trained model")["fingerprint"]
