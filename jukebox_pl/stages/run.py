"""A run walks its stages in order: a finished one is skipped, an interrupted one resumes, another config is refused."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from jukebox_pl.stages.folders import StageFolder, StageResult
from jukebox_pl.stages.logging import first_rank

WALK = {"needs", "when"}  # what the walk itself reads of a stage's config
# Settings that change how a stage runs, not what comes out of it.
NOT_ASKED = {"max_steps", "trainer", "logger", "workers", "every_steps", "listen", "run_dir", "formats"}


class Stage(Protocol):
    """`alone`: runs on the first rank while the others wait. `complete`: whether a result is all that is asked for."""

    alone: bool

    def complete(self, result: StageResult) -> bool: ...

    def run(self, folder: Path) -> StageResult: ...


def walk(stages: Mapping[str, DictConfig], run_dir: Path) -> dict[str, StageResult]:
    """Runs the stages of a recipe in order and returns what each left. Raises UserError on a user's mistake."""
    results = {}
    for number, (name, config) in enumerate(stages.items(), start=1):
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
    folder.require_same(asked(settings) | {"needs": {name: result.fingerprint for name, result in needs.items()}})
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


def asked(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that decide what comes out of a stage."""
    return without(settings, NOT_ASKED | WALK)


def without(tree: Any, names: set[str]) -> Any:
    if isinstance(tree, dict):
        return {key: without(value, names) for key, value in tree.items() if key not in names}
    return [without(value, names) for value in tree] if isinstance(tree, list) else tree


def describe(summary: Mapping[str, Any]) -> str:
    shown = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in summary.items())
    return f"({', '.join(shown)})" if summary else ""


@rank_zero_only
def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
