"""Putting together what sings: the run's bundle.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.stage_folder import StageResult


class BundleStage:
    """Lists in the run's bundle.json the VQ-VAE and, for each level, the first of the stages named that has a model."""

    alone = True

    def __init__(self, path: str, vqvae: str, priors: Mapping[int, Sequence[str]]):
        self.path, self.vqvae, self.priors = path, vqvae, priors

    def complete(self, result: StageResult) -> bool:
        return False  # cheap, and a level may have been trained on since

    def run(self, folder: Path) -> StageResult:
        run_dir = folder.parent
        chosen = {int(level): first_model(run_dir, stages) for level, stages in self.priors.items()}
        checkpoints.save_bundle(run_dir, Catalog.load(self.path).sample_rate, f"{self.vqvae}/model", chosen)
        models = [f"{self.vqvae}/model", *chosen.values()]
        return StageResult("-".join(checkpoints.fingerprint(run_dir / path) for path in models))


def first_model(run_dir: Path, stages: Sequence[str]) -> str:
    """The model folder, relative to the run, of the first stage that has one."""
    for stage in stages:
        if (run_dir / stage / "model" / checkpoints.CONFIG).exists():
            return f"{stage}/model"
    raise UserError(f"{run_dir} has no model of {' or '.join(stages)}; run recipe=hierarchy run_dir={run_dir}")
