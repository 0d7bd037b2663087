"""One training with one thing changed at a time, from several seeds, and the tables that set the variants side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.ablations import LevelFigures, Row, compare, measure_levels
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.pipeline.stage_folder import Stage, StageFolder, StageResult
from jukebox_pl.pipeline.train import TrainStage
from jukebox_pl.report.terminal import print_answer_tables
from jukebox_pl.training.loggers import first_rank
from jukebox_pl.utils.files import write_json

LEVELS = "levels"  # in the result of a seed: the figures of every level
FIGURES = "ablations.json"


class SeedsStage(TrainStage):
    """Trains a VQ-VAE from `seeds` seeds, `seed` and those that follow it, each in a folder of its own, and measures every
    level on held-out clips of `held_out_clip` samples.
    """

    def __init__(self, seeds: int, held_out_clip: int, **training: Any):
        super().__init__(**training)
        self.seeds, self.held_out_clip = range(self.seed, self.seed + seeds), held_out_clip

    def complete(self, result: StageResult) -> bool:
        return super().complete(result) and result.summary.get("seeds", len(self.seeds)) >= len(self.seeds)

    def run(self, folder: Path) -> StageResult:
        results = [self._run_seed(StageFolder(folder, f"seed_{seed}"), seed) for seed in self.seeds]
        fingerprint = "-".join(result.fingerprint for result in results)
        steps = min(result.steps for result in results)
        return StageResult(fingerprint, {"seeds": len(results)}, steps, self.max_steps)

    def _run_seed(self, folder: StageFolder, seed: int) -> StageResult:
        if (result := folder.result()) and self.complete(result):
            return result
        self.seed = seed
        trained = super().run(folder.path)
        data = instantiate(OmegaConf.merge(self.data, {"clip": self.held_out_clip}))
        data.setup("validate")
        model = cast(VQVAE, checkpoints.load(folder.path / checkpoints.MODEL).model)
        levels = measure_levels(model, (batch.audio for batch in data.val_dataloader()))
        result = StageResult(trained.fingerprint, {LEVELS: levels}, trained.steps, self.max_steps)
        if first_rank():
            folder.finish(result)
        return result


class AblationsStage(Stage):
    """The variants in `tables`: by title, rows in the order in which the paper found them, the best first."""

    def __init__(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]):
        self.tables = {title: [Row(**row) for row in rows] for title, rows in tables.items()}

    def complete(self, result: StageResult) -> bool:
        return False  # cheap, and a variant may have been trained on since

    def run(self, folder: Path) -> StageResult:
        """Raises UserError when a variant is not trained."""
        run_dir = folder.parent
        variants = dict.fromkeys(row.variant for rows in self.tables.values() for row in rows)
        measured = {variant: figures_of(run_dir / variant) for variant in variants}
        tables = [compare(title, rows, measured) for title, rows in self.tables.items()]
        record = {
            name: {seed: [level._asdict() for level in levels] for seed, levels in seeds.items()}
            for name, seeds in measured.items()
        }
        write_json(run_dir / FIGURES, {"variants": record, "tables": [table._asdict() for table in tables]})
        print_answer_tables(Console(stderr=True), tables)
        return StageResult("", {"figures": str(run_dir / FIGURES)})


def figures_of(folder: Path) -> dict[str, list[LevelFigures]]:
    """The figures of every level by seed. Raises UserError when no seed was trained to the end."""
    places = [StageFolder(folder, path.parent.name) for path in sorted(folder.glob("seed_*/result.json"))]
    results = {place.name: result for place in places if (result := place.result())}
    if not results:
        raise UserError(f"{folder} has no trained seed; run recipe=ablations run_dir={folder.parent}")
    return {seed: [LevelFigures(*level) for level in result.summary[LEVELS]] for seed, result in results.items()}
