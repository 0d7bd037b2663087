"""A run takes the stages of a recipe in order: a finished one is skipped, an interrupted one resumes, another is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch.distributed as dist
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from jukebox_pl.pipeline.batches import as_first_rank
from jukebox_pl.pipeline.decisive import decisive
from jukebox_pl.pipeline.loggers import log_result
from jukebox_pl.pipeline.stage_folder import NEEDS, OF_THE_RUN, Stage, StageFolder, StageResult, say
from jukebox_pl.training.loggers import first_rank
from jukebox_pl.training.loggers.dashboard import finish_runs
from jukebox_pl.utils.locks import sweep


def run_recipe(
    stages: Mapping[str, DictConfig],
    run_dir: Path,
    logger: DictConfig | None = None,
    before_second: Callable[[], Any] = lambda: None,
) -> dict[str, StageResult]:
    """Runs the stages of a recipe in order and returns what each left, of which the loggers in `logger`, configs by name,
    hear. Raises UserError on a user's mistake.

    `before_second` is called when the first one, which makes the catalog, is done.
    """
    results, needed = {}, {name for config in stages.values() for name in config.get(NEEDS, ())}
    loggers: Any = OmegaConf.to_container(logger, resolve=True) if logger is not None else {}
    try:
        for number, (name, config) in enumerate(stages.items(), start=1):
            if dist.is_initialized():
                dist.barrier()  # all ranks read the same results of the stages before
            if number == 2:
                before_second()
            title = f"[{number}/{len(stages)}] {name}"
            results[name] = run_stage(StageFolder(run_dir, name), config, title, name not in needed, loggers)
    except BaseException:
        finish_runs(exit_code=1)
        raise
    finish_runs()
    return results


def run_stage(
    folder: StageFolder,
    config: DictConfig,
    title: str,
    is_last: bool = True,
    loggers: Mapping[str, Any] | None = None,
) -> StageResult:
    """`is_last`: no other stage of the recipe is made from it, so it may be trained on by itself."""
    if not config.get("when", True):
        say(f"{title}: not for this catalog, skipped")
        return StageResult("")
    settings: Any = OmegaConf.to_container(config, resolve=True)
    if not first_rank():
        settings = as_first_rank(folder, settings)
    needs = {name: StageFolder(folder.run_dir, name).require_result(folder.name) for name in settings.get(NEEDS, [])}
    arguments = {name: value for name, value in settings.items() if name not in OF_THE_RUN}
    stage: Stage = instantiate(arguments, _recursive_=False)
    made_from = {NEEDS: {name: result.fingerprint for name, result in needs.items()}}
    noted = decisive(arguments, folder.run_dir) | made_from
    earlier = {name: result.earlier for name, result in needs.items()}
    grown = folder.require_same(noted, earlier, stage.made_outside())
    finished_at, before = folder.finished_at(), folder.result()
    if before and stage.complete(before) and not (grown and stage.grows):
        on = (
            f"; stages.{folder.name}.max_steps above {max(before.steps, before.max_steps)} trains on from its weights"
            if is_last
            else ""
        )
        say(f"{title}: done before, skipped{f', without the songs that are new{on}' if grown else ''}")
        return before
    if not first_rank():
        if stage.rank_zero_only:
            return folder.wait_for_result(but=finished_at if before and stage.grows else None)
        folder.require_first_rank()
    if first_rank():
        sweep(folder.path)
        if grown:
            folder.note(noted)
    say(f"{title}: running in {folder.path}")
    started = time.monotonic()
    result = stage.run(folder.path)
    if before and stage.grows and before.fingerprint != result.fingerprint:
        result = replace(result, earlier=[*before.earlier, before.fingerprint])
    if first_rank():
        folder.finish(result)
        if before is None or before.fingerprint != result.fingerprint:
            log_result(loggers or {}, folder.path, stage, result, made_from[NEEDS])
    numbers = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in result.summary.items())
    say(f"{title}: finished in {time.monotonic() - started:.0f} s {f'({numbers})' if numbers else ''}")
    return result
