"""Demucs (extra `sep`) with weights that are on this machine."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from jukebox_pl.audio import downmix
from jukebox_pl.catalog.separators.separator import MODEL_RATE, StereoSeparator, cut
from jukebox_pl.errors import UserError

if TYPE_CHECKING:
    from demucs.apply import BagOfModels, Model

VOCALS = "vocals"
NETWORKS = ("demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", "demucs.htdemucs.HTDemucs")
OVERLAP = 0.25  # of a segment with the next
PIECE_STRIDES, MARGIN_STRIDES = 16, 2  # pieces begin where segments do, so that they add up to the whole


@dataclass
class Demucs(StereoSeparator):
    """Vocals by a Demucs model such as `htdemucs`, without random shifts.

    `repo` is a folder of `SIGNATURE.safetensors` files (and `MODEL.yaml`, for a model of your own), None the cache of the
    Hugging Face Hub; nothing is downloaded. `SIGNATURE.th` files are pickles, which may run any code, and are only read
    with `trust_pickle`. Raises UserError when demucs or a file is missing, and on the first call when a file is unfit.
    """

    model: str = "htdemucs"
    repo: str | None = None
    trust_pickle: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        if find_spec("demucs") is None:
            raise UserError("demucs is not installed: pip install 'jukebox_pl[sep]', or choose another separator")
        self.bag = read_bag(self.model, self.repo)
        self.files = [find_weights(name, self.model, self.repo) for name in self.bag["models"]]
        for file in self.files:
            if file.suffix == ".th" and not self.trust_pickle:
                raise UserError(
                    f"{file} is a pickle, which may run any code: give {file.stem}.safetensors or trust_pickle=true"
                )

    @cached_property
    def network(self) -> BagOfModels:
        """Those networks of the bag that vocals are taken from."""
        from demucs.apply import BagOfModels

        models = [load_network(file) for file in self.files]
        sources = models[0].sources
        if {(model.samplerate, model.audio_channels, VOCALS in sources) for model in models} != {(MODEL_RATE, 2, True)}:
            raise UserError(f"{self.model} does not give vocals in stereo at {MODEL_RATE} Hz: choose a model that does")
        weights = self.bag.get("weights") or [[1.0] * len(sources)] * len(models)
        kept = [(model, row) for model, row in zip(models, weights, strict=True) if row[sources.index(VOCALS)]]
        return BagOfModels([model for model, _ in kept], [row for _, row in kept], self.bag.get("segment")).eval()

    def separate(self, stereo: np.ndarray) -> np.ndarray:
        """At the mean and deviation of the whole song, as Demucs was trained."""
        from demucs.apply import apply_model

        mono = downmix(stereo)
        mean, deviation = mono.mean(), mono.std() + 1e-8  # as in Demucs: a silent song is not divided by 0
        segment: float = self.network.models[0].segment  # type: ignore[assignment]
        stride = int((1 - OVERLAP) * int(MODEL_RATE * segment))
        song, voice, vocals = (stereo - mean) / deviation, self.network.sources.index(VOCALS), []
        for piece in cut(stereo.shape[1], PIECE_STRIDES * stride, MARGIN_STRIDES * stride):
            mix = torch.from_numpy(song[:, piece.start : piece.stop]).float()[None]
            stems = apply_model(self.network, mix, shifts=0, overlap=OVERLAP, device=self.device)
            vocals.append(piece.keep(stems[0, voice].numpy()))
        return np.concatenate(vocals, axis=1) * deviation + mean


def read_bag(model: str, repo: str | None) -> dict[str, Any]:
    """What a model is made of: the signatures of its networks (`models`) and how much of each stem each gives (`weights`).

    In `repo`, a name without a YAML is the signature of a network. Raises UserError when there is no such model.
    """
    import demucs
    import yaml

    published = Path(demucs.__file__).with_name("remote")
    for folder in (*([Path(repo)] if repo else []), published):
        file = folder / f"{model}.yaml"
        if file.is_file():
            bag = yaml.safe_load(file.read_bytes())
            if not isinstance(bag, dict) or not isinstance(bag.get("models"), list):
                raise UserError(f"{file} lists no `models`: expected it as Demucs has them")
            return bag
    if repo is None:
        names = ", ".join(sorted(file.stem for file in published.glob("*.yaml")))
        raise UserError(f"Demucs has no model {model}: expected one of {names}, or repo= for one of your own")
    return {"models": [model]}


def find_weights(signature: str, model: str, repo: str | None) -> Path:
    """The file of a network, safetensors before pickle. Raises UserError when there is none, or it is elsewhere."""
    from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
    from huggingface_hub import try_to_load_from_cache

    if Path(signature).name != signature:
        raise UserError(f"{model} names the network {signature!r}: expected a name, not a path")
    name, source = f"{signature}.safetensors", f"{DEFAULT_NAMESPACE}/{hf_repo_name(model)}"
    if repo is None:
        cached = try_to_load_from_cache(source, name)
        found = [Path(cached)] if isinstance(cached, str) else []
    else:
        checked = sorted(Path(repo).glob(f"{glob.escape(signature)}-*.th"))  # named with their checksum
        found = [file for file in (Path(repo, name), Path(repo, f"{signature}.th"), *checked) if file.is_file()]
    if not found:
        place = repo or "the cache of the Hugging Face Hub"
        raise UserError(f"{model} lacks {name} in {place}: fetch it from {source} on the Hub and give its folder as repo")
    return found[0]


def load_network(file: Path) -> Model:
    """Raises UserError when the file is damaged, or would build something other than a network of Demucs."""
    from demucs.hf import load_safetensors_model
    from demucs.states import load_model

    if file.suffix == ".th":
        return load_model(file)
    try:
        with safe_open(file, "pt") as opened:
            facts = opened.metadata() or {}
        if facts.get("klass") not in NETWORKS or "structure" in facts:  # Demucs would import and call whatever they name
            raise UserError(f"{file} is of {facts.get('klass')}, or quantized: expected one of {', '.join(NETWORKS)}")
        return load_safetensors_model(file)
    except (OSError, SafetensorError, LookupError, RuntimeError, TypeError) as error:
        raise UserError(f"{file} does not hold a Demucs network ({' '.join(str(error).split())}): fetch it again") from None
