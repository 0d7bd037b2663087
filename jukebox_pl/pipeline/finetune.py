"""Training on from a bundle: its VQ-VAE as it is, its priors with tables for the names of this catalog."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from torch import nn

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.errors import UserError
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.surgery import grow_labels
from jukebox_pl.pipeline.stage_folder import Stage, StageResult
from jukebox_pl.pipeline.train import MODEL, TrainStage
from jukebox_pl.text.labels import Labeller


class CopyStage(Stage):
    """The VQ-VAE of the bundle `init_from`, as it is, for the catalog at `path`."""

    def __init__(self, init_from: str, path: str):
        self.init_from, self.path = Path(init_from), path

    def complete(self, result: StageResult) -> bool:
        """Raises UserError when the bundle, where it is still there, is not the one that the run began from."""
        if (self.init_from / checkpoints.BUNDLE).exists():
            bundle = checkpoints.read_bundle(self.init_from)
            now = checkpoints.fingerprint(checkpoints.inside(self.init_from, bundle.vqvae))
            if now != result.fingerprint:
                raise UserError(
                    f"init_from={self.init_from} is another bundle than this run began from: choose another run_dir"
                )
        return True

    def run(self, folder: Path) -> StageResult:
        """Raises UserError when the catalog has another sample rate."""
        bundle, catalog = checkpoints.read_bundle(self.init_from), Catalog.load(self.path)
        if catalog.sample_rate != bundle.sample_rate:
            raise UserError(
                f"{self.path} has {catalog.sample_rate} samples a second, {self.init_from} was trained on "
                f"{bundle.sample_rate}; prepare the songs again with sample_rate={bundle.sample_rate}"
            )
        shutil.copytree(checkpoints.inside(self.init_from, bundle.vqvae), folder / MODEL, dirs_exist_ok=True)
        return StageResult(checkpoints.fingerprint(folder / MODEL))


class FinetuneStage(TrainStage):
    """A TrainStage that goes on from the prior of the bundle `init_from` at the level of `data`.

    The network is the bundle's and so are the windows it reads; only the tables of names and characters are this
    catalog's.
    """

    def __init__(self, init_from: str, **training: Any):
        super().__init__(**training)
        self.init_from = Path(init_from)

    def run(self, folder: Path) -> StageResult:
        """Raises UserError when the bundle has no prior of this level."""
        priors, level = checkpoints.read_bundle(self.init_from).priors, str(self.data["level"])
        if level not in priors:
            raise UserError(f"{self.init_from} has no prior of level {level}, only of {', '.join(sorted(priors))}")
        place = checkpoints.inside(self.init_from, priors[level])
        trained = checkpoints.load(place)
        self.base, self.base_labeller = cast(Prior, trained.model), cast(Labeller, trained.labeller)
        self.base_config = checkpoints.read_config(place).model
        windows = {"ctx": self.base.ctx, "lyric_tokens": self.base_labeller.lyric_tokens}
        self.data = cast(DictConfig, OmegaConf.merge(self.data, windows))
        return super().run(folder)

    def network(self, data: Any) -> tuple[nn.Module, Any]:
        """The bundle's prior with its tables resized, and filled by name, for the labeller of this catalog."""
        labeller: Labeller = data.labeller
        sizes = {
            "conditioners.labels.artists": len(labeller.artists),
            "conditioners.labels.genres": len(labeller.genres),
            "lyrics.vocabulary": len(labeller.characters),
            "vocabulary": len(labeller.characters),
        }
        config = OmegaConf.create(self.base_config)
        for name, size in sizes.items():
            if OmegaConf.select(config, name):  # a prior without lyrics has no table of characters
                OmegaConf.update(config, name, size)
        resized = OmegaConf.to_container(config)
        model = checkpoints.build(resized)
        grow_labels(self.base, model, self.base_labeller, labeller)
        return model, resized
