"""A run takes the stages of a recipe in order: a finished one is skipped, an interrupted one resumes, another is refused."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from jukebox_pl.pipeline.stage_folder import NEEDS, Stage, StageFolder, StageResult
from jukebox_pl.training.loggers import first_rank

# What a run reads of a stage's config; all else goes to the stage's constructor.
OF_THE_RUN = {NEEDS, "when"}

# Settings that may change when a run is continued, because they say how a stage runs and not what comes out of it: for how
# long, on how many devices, read by how many processes, shown how. Shards are known by what is in them (the result of
# stage catalog), wherever they lie. Everything else is compared, precision and accumulation among it.
MAY_CHANGE = {
    "max_steps",
    "every_steps",
    "seeds",
    "callbacks",
    "media",
    "logger",
    "formats",
    "path",
    "workers",
    "data.path",
    "data.workers",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.log_every_n_steps",
    "trainer.num_sanity_val_steps",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.use_distributed_sampler",
}


def run_recipe(stages: Mapping[str, DictConfig], run_dir: Path) -> dict[str, StageResult]:
    """Runs the stages of a recipe in order and returns what each left. Raises UserError on a user's mistake."""
    results = {}
    for number, (name, config) in enumerate(stages.items(), start=1):
        if dist.is_initialized():
            dist.barrier()  # all ranks read the same results of the stages before
        results[name] = run_stage(StageFolder(run_dir, name), config, f"[{number}/{len(stages)}] {name}")
    return results


def run_stage(folder: StageFolder, config: DictConfig, title: str) -> StageResult:
    if not config.get("when", True):
        say(f"{title}: not for this catalog, skipped")
        return StageResult("")
    settings: Any = OmegaConf.to_container(config, resolve=True)
    needs = {name: StageFolder(folder.run_dir, name).require_result(folder.name) for name in settings.get(NEEDS, [])}
    made_from = {NEEDS: {name: result.fingerprint for name, result in needs.items()}}
    arguments = {name: value for name, value in settings.items() if name not in OF_THE_RUN}
    folder.require_same(decisive(arguments, folder.run_dir) | made_from)
    stage: Stage = instantiate(arguments, _recursive_=False)
    if (result := folder.result()) and stage.complete(result):
        say(f"{title}: done before, skipped")
        return result
    if stage.rank_zero_only and not first_rank():
        return folder.wait_for_result()
    say(f"{title}: running in {folder.path}")
    started = time.monotonic()
    result = stage.run(folder.path)
    if first_rank():
        folder.finish(result)
    numbers = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in result.summary.items())
    say(f"{title}: finished in {time.monotonic() - started:.0f} s {f'({numbers})' if numbers else ''}")
    return result


def decisive(settings: Any, run_dir: Path, name: str = "") -> Any:
    """The settings that decide what comes out of a stage. A run may be moved, so paths into it are noted from there."""
    if isinstance(settings, dict):
        kept = {}
        for key, value in settings.items():
            place = f"{name}.{key}" if name else str(key)
            if place not in MAY_CHANGE:
                kept[str(key)] = decisive(value, run_dir, place)  # JSON has no other keys
        return kept
    if isinstance(settings, list):
        return [decisive(value, run_dir, name) for value in settings]
    return settings.removeprefix(f"{run_dir}/") if isinstance(settings, str) else settings


@rank_zero_only
def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
