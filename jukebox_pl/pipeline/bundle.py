"""Putting together what sings: the run's bundle.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.stage_folder import Stage, StageResult


class BundleStage(Stage):
    """Lists in the run's bundle.json the VQ-VAE and, for each level, the first of the stages named that has a model."""

    def __init__(self, path: str, vqvae: str, priors: Mapping[int, Sequence[str]]):
        self.path, self.vqvae, self.priors = path, vqvae, priors

    def complete(self, result: StageResult) -> bool:
        return False  # cheap, and a level may have been trained on since

    def run(self, folder: Path) -> StageResult:
        """Raises UserError where a level has no model."""
        run_dir, models = folder.parent, {}
        for level, stages in self.priors.items():
            trained = [stage for stage in stages if (run_dir / stage / "model" / checkpoints.CONFIG).exists()]
            if not trained:
                raise UserError(f"{run_dir} has no model of {' or '.join(stages)}; run recipe=hierarchy run_dir={run_dir}")
            models[int(level)] = f"{trained[0]}/model"
        vqvae = f"{self.vqvae}/model"
        checkpoints.save_bundle(run_dir, Catalog.load(self.path).sample_rate, vqvae, models)
        return StageResult("-".join(checkpoints.fingerprint(run_dir / path) for path in (vqvae, *models.values())))
