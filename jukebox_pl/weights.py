"""Networks on disk: a folder of config.json (how to build it) and model.safetensors (its weights).

A bundle is a run folder's list of such folders. Nothing here runs code from a file: a config may only name networks of
this library, or of packages the caller trusts, and weights are safetensors.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from jukebox_pl.audio import write_atomic
from jukebox_pl.differences import differences
from jukebox_pl.errors import UserError
from jukebox_pl.labels import Labeller
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE

TARGET = "_target_"
TRUSTED = ("jukebox_pl.nn.", "jukebox_pl.models.")
CONFIG, WEIGHTS, BUNDLE = "config.json", "model.safetensors", "bundle.json"
# What half precision holds: the dense layers of transformers. Norms, embeddings, convolutions and outputs stay whole.
DENSE = re.compile(r"transformer\.blocks\.\d+\.(attention|mlp)\.")


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


def on_meta(config: Any, trusted: Sequence[str] = TRUSTED) -> Any:
    """The network a config describes, without memory for its weights."""
    with torch.device("meta"):
        return build(config, trusted)


def assemble(
    config: Any, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32, trusted: Sequence[str] = TRUSTED
) -> nn.Module:
    """The network a config describes around the tensors of `state`, in eval mode; its transformers compute in `dtype`.

    Raises RuntimeError when a tensor is missing, left over or of another shape.
    """
    model = on_meta(config, trusted)
    model.load_state_dict({name: in_precision(name, tensor, dtype) for name, tensor in state.items()}, assign=True)
    return model.eval()


def in_precision(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    return tensor.to(dtype if DENSE.search(name) else torch.float32)


def save_model(folder: str | Path, model: nn.Module, config: Mapping[str, Any], labeller: Labeller | None = None) -> None:
    """Writes the weights, then the config; the folder reads as whole only when both are there."""
    save_state(folder, {name: tensor.detach() for name, tensor in model.state_dict().items()}, config, labeller)


def save_state(
    folder: str | Path, state: Mapping[str, Tensor], config: Mapping[str, Any], labeller: Labeller | None = None
) -> None:
    """`save_model` of weights alone, in the types they have."""
    folder = Path(folder)
    fingerprint = write_weights(folder / WEIGHTS, {name: tensor.cpu().contiguous() for name, tensor in state.items()})
    record = {"model": config, "labeller": labeller.to_config() if labeller else None, "fingerprint": fingerprint}
    write_json(folder / CONFIG, record)


def write_weights(path: Path, state: dict[str, Tensor]) -> str:
    """Writes beside, syncs, renames, without a second copy in memory; returns the name of these weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    save_file(state, beside)
    beside.chmod(0o644)  # safetensors lets nobody but the owner read
    with open(beside, "rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    os.replace(beside, path)
    return digest[:16]


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


@dataclass(frozen=True)
class Bundle:
    """Everything that sings: the VQ-VAE, a prior and a labeller for every level, the rate of the sound."""

    vqvae: VQVAE
    priors: Mapping[int, Prior]
    labellers: dict[int, Labeller]
    sample_rate: int


class Shelf(Mapping[int, Prior]):
    """Priors on disk: whoever looks one up loads it, and nobody else holds it. See `load` for `dtype`.

    `lyrics_as_codes` lets them draw lyric symbols as codes. Raises UserError at once where one could not be loaded.
    """

    def __init__(
        self, folders: Mapping[int, Path], trusted: Sequence[str], dtype: torch.dtype, lyrics_as_codes: bool = False
    ):
        self.folders, self.trusted, self.dtype, self.lyrics_as_codes = folders, trusted, dtype, lyrics_as_codes
        for folder in folders.values():
            require_fitting(folder, trusted)

    def __getitem__(self, level: int) -> Prior:
        prior = cast(Prior, load(self.folders[level], self.trusted, self.dtype).model)
        prior.lyrics_as_codes = self.lyrics_as_codes
        return prior

    def __contains__(self, level: object) -> bool:
        return level in self.folders

    def __iter__(self) -> Iterator[int]:
        return iter(self.folders)

    def __len__(self) -> int:
        return len(self.folders)


def save_bundle(folder: str | Path, sample_rate: int, vqvae: str, priors: Mapping[int, str]) -> None:
    """Lists the model folders (relative to `folder`) that make up a bundle, and the fingerprints they have now."""
    folder = Path(folder)
    record = {
        "sample_rate": sample_rate,
        "vqvae": vqvae,
        "priors": {str(level): path for level, path in priors.items()},
        "fingerprints": {path: fingerprint(folder / path) for path in (vqvae, *priors.values())},
    }
    write_json(folder / BUNDLE, record)


def load_bundle(
    folder: str | Path,
    trusted: Sequence[str] = TRUSTED,
    dtype: torch.dtype = torch.float32,
    lyrics_as_codes: bool = False,
    at_once: bool = True,
) -> Bundle:
    """Opens a run folder or a converted bundle, its transformers in `dtype`; `at_once`, or each prior when it is looked up.

    Raises UserError naming what is missing.
    """
    folder = Path(folder)
    record = read_json(folder / BUNDLE, "a finished run (with a VQ-VAE and a prior for every level)")
    for path, expected in record.get("fingerprints", {}).items():
        require_unchanged(folder, path, expected)
    vqvae = cast(VQVAE, load(inside(folder, record["vqvae"]), trusted).model)
    folders = {int(level): inside(folder, path) for level, path in record["priors"].items()}
    if missing := sorted(set(range(len(vqvae.hops))) - folders.keys()):
        raise UserError(f"{folder} has no prior for level {missing}; train it with recipe=hierarchy run_dir={folder}")
    priors = Shelf(folders, trusted, dtype, lyrics_as_codes)
    labellers = {level: found for level, place in folders.items() if (found := load_labeller(place))}
    return Bundle(vqvae, dict(priors) if at_once else priors, labellers, record["sample_rate"])


def from_openai(
    places: Sequence[str | Path], out: str | Path, artists: Sequence[str | Path] = (), genres: Sequence[str | Path] = ()
) -> Path:
    """Writes the bundle `out` from OpenAI's released files, or folders that hold them, and lists of `name;id` lines.

    Raises UserError naming the file, what was expected and what was found.
    """
    from jukebox_pl.released.convert import ReleasedFiles, convert  # it stands above and saves through this module

    return convert(ReleasedFiles.find(places, artists, genres), out)


def require_unchanged(folder: Path, path: str, expected: str) -> None:
    """Raises UserError when a model is not the one that the bundle was put together from: codes would not match."""
    if (found := fingerprint(inside(folder, path))) != expected:
        raise UserError(
            f"{folder / path} was trained again since {folder / BUNDLE} was written ({expected} -> {found}); "
            f"finish recipe=hierarchy run_dir={folder}"
        )


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
