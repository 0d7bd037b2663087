"""Networks on disk: a folder of config.json (how to build it) and model.safetensors (its weights).

A bundle is a run folder's list of such folders. Nothing here runs code from a file: a config may only name networks of
this library, or of packages the caller trusts, and weights are safetensors.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from jukebox_pl.audio import write_atomic
from jukebox_pl.errors import UserError
from jukebox_pl.labels import Labeller
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE

TARGET = "_target_"
TRUSTED = ("jukebox_pl.nn.", "jukebox_pl.models.")
CONFIG, WEIGHTS, BUNDLE = "config.json", "model.safetensors", "bundle.json"


def build(config: Any, trusted: Sequence[str] = TRUSTED) -> Any:
    """Builds the network a config describes: mappings with `_target_` become modules, innermost first.

    Raises UserError when a target is not a class of torch modules from a trusted package.
    """
    if isinstance(config, Mapping):
        parts = {key: build(value, trusted) for key, value in config.items() if key != TARGET}
        return network_class(config[TARGET], trusted)(**parts) if TARGET in config else parts
    if isinstance(config, list | tuple):
        return [build(item, trusted) for item in config]
    return config


def network_class(target: str, trusted: Sequence[str] = TRUSTED) -> type[nn.Module]:
    module, _, name = target.rpartition(".")
    if not any(f"{module}.".startswith(prefix) for prefix in trusted):
        raise UserError(
            f"the config names {target!r}; only networks from {', '.join(trusted)} are built, or trust its package"
        )
    found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module) and found.__module__ == module):
        raise UserError(f"the config names {target!r}, which is not a network defined in {module}")
    return found


def save_model(folder: str | Path, model: nn.Module, config: Mapping[str, Any], labeller: Labeller | None = None) -> None:
    """Writes the weights, then the config; the folder reads as whole only when both are there."""
    folder = Path(folder)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    data = save(state)
    record = {
        "model": config,
        "labeller": labeller.to_config() if labeller else None,
        "fingerprint": hashlib.sha256(data).hexdigest()[:16],
    }
    write_atomic(folder / WEIGHTS, data)
    write_json(folder / CONFIG, record)


@dataclass(frozen=True)
class Loaded:
    """A network as found in a folder, in eval mode."""

    model: nn.Module
    labeller: Labeller | None
    fingerprint: str


def load(folder: str | Path, trusted: Sequence[str] = TRUSTED) -> Loaded:
    """Rebuilds a saved network. Raises UserError when the folder is not one or does not fit its config."""
    folder = Path(folder)
    record = read_json(folder / CONFIG, "a trained model")
    model = build(record["model"], trusted)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{folder / WEIGHTS} does not hold the weights of {folder / CONFIG}: {reason}") from None
    labeller = Labeller.from_config(record["labeller"]) if record["labeller"] else None
    return Loaded(model.eval(), labeller, record["fingerprint"])


def fingerprint(folder: str | Path) -> str:
    """Names the weights in a model's folder."""
    return read_json(Path(folder) / CONFIG, "a trained model")["fingerprint"]


@dataclass(frozen=True)
class Bundle:
    """Everything that sings: the VQ-VAE, a prior and a labeller for every level, the rate of the sound."""

    vqvae: VQVAE
    priors: dict[int, Prior]
    labellers: dict[int, Labeller]
    sample_rate: int


def save_bundle(folder: str | Path, sample_rate: int, vqvae: str, priors: Mapping[int, str]) -> None:
    """Lists the model folders (relative to `folder`) that make up a bundle."""
    record = {"sample_rate": sample_rate, "vqvae": vqvae, "priors": {str(level): path for level, path in priors.items()}}
    write_json(Path(folder) / BUNDLE, record)


def load_bundle(folder: str | Path, trusted: Sequence[str] = TRUSTED) -> Bundle:
    """Opens a run folder or a converted bundle. Raises UserError naming what is missing."""
    folder = Path(folder)
    record = read_json(folder / BUNDLE, "a finished run (with a VQ-VAE and a prior for every level)")
    vqvae = cast(VQVAE, load(inside(folder, record["vqvae"]), trusted).model)
    loaded = {int(level): load(inside(folder, path), trusted) for level, path in record["priors"].items()}
    if missing := sorted(set(range(len(vqvae.hops))) - set(loaded)):
        raise UserError(f"{folder} has no prior for level {missing}; train it with recipe=hierarchy run_dir={folder}")
    priors = {level: cast(Prior, part.model) for level, part in loaded.items()}
    labellers = {level: part.labeller for level, part in loaded.items() if part.labeller}
    return Bundle(vqvae, priors, labellers, record["sample_rate"])


def inside(folder: Path, path: str) -> Path:
    """`path` within `folder`; raises UserError when it leads out."""
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{folder / BUNDLE} names {path!r}, which lies outside the bundle")
    return folder / path


def write_json(path: Path, record: Any) -> None:
    write_atomic(path, json.dumps(record, indent=1, ensure_ascii=False).encode())


def read_json(path: Path, what: str) -> Any:
    """Raises UserError when the file is missing or not JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path.parent} does not hold {what}: there is no {path.name}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error}); delete it and write it again") from None
