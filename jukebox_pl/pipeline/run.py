"""A run walks its stages in order: a finished one is skipped, an interrupted one resumes, another config is refused."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch.distributed as dist
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from jukebox_pl.pipeline.stage_folder import NEEDS, StageFolder, StageResult
from jukebox_pl.training.loggers import first_rank

WALK = {NEEDS, "when"}  # what the walk itself reads of a stage's config
# Settings that change how a stage runs, not what comes out of it.
NOT_ASKED = {"max_steps", "trainer", "logger", "workers", "every_steps", "callbacks", "media", "formats"}
# Shards are known by what is in them, wherever they lie: the result of stage catalog tells.
NOT_ASKED |= {"path"}


class Stage(Protocol):
    """`alone`: runs on the first rank while the others wait. `complete`: whether a result is all that is asked for."""

    alone: bool

    def complete(self, result: StageResult) -> bool: ...

    def run(self, folder: Path) -> StageResult: ...


def walk(stages: Mapping[str, DictConfig], run_dir: Path) -> dict[str, StageResult]:
    """Runs the stages of a recipe in order and returns what each left. Raises UserError on a user's mistake."""
    results = {}
    for number, (name, config) in enumerate(stages.items(), start=1):
        if dist.is_initialized():
            dist.barrier()  # all ranks read the same results of the stages before
        folder = StageFolder(run_dir, name)
        title = f"[{number}/{len(stages)}] {name}"
        results[name] = run_stage(folder, config, title)
    return results


def run_stage(folder: StageFolder, config: DictConfig, title: str) -> StageResult:
    if not config.get("when", True):
        say(f"{title}: not for this catalog, skipped")
        return StageResult("")
    needs = {need: StageFolder(folder.run_dir, need).require_result(folder.name) for need in config.get("needs", [])}
    settings: Any = OmegaConf.to_container(config, resolve=True)
    made_from = {NEEDS: {name: result.fingerprint for name, result in needs.items()}}
    folder.require_same(asked(settings, folder.run_dir) | made_from)
    stage: Stage = instantiate({k: v for k, v in settings.items() if k not in WALK}, _recursive_=False)
    result = folder.result()
    if result and stage.complete(result):
        say(f"{title}: done before, skipped")
        return result
    if stage.alone and not first_rank():
        folder.wait()
        return folder.require_result(folder.name)
    say(f"{title}: running in {folder.path}")
    started = time.monotonic()
    result = stage.run(folder.path)
    if first_rank():
        folder.finish(result)
    say(f"{title}: finished in {time.monotonic() - started:.0f} s {describe(result.summary)}")
    return result


def asked(settings: Any, run_dir: Path) -> Any:
    """The settings that decide what comes out of a stage; a run may be moved, so paths into it are told from there."""
    if isinstance(settings, dict):
        return {str(key): asked(value, run_dir) for key, value in settings.items() if key not in NOT_ASKED | WALK}
    if isinstance(settings, list):
        return [asked(value, run_dir) for value in settings]
    return settings.removeprefix(f"{run_dir}/") if isinstance(settings, str) else settings


def describe(summary: Mapping[str, Any]) -> str:
    shown = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in summary.items())
    return f"({', '.join(shown)})" if summary else ""


@rank_zero_only
def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
