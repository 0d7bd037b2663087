"""`batch_size=auto`: as many windows at a time as a device has memory for, counted before the first step is taken."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.plan import UNCOUNTABLE, Machine, count, hops_of, machine_of, plan_stage, training_stages
from jukebox_pl.pipeline.stage_folder import StageFolder
from jukebox_pl.pipeline.train import TrainStage

AUTO = re.compile(r"auto.*:([1-9]\d{0,6})")  # with the windows of a step on one device, which the command line puts there
ROOM = 0.9  # of the memory that is free: what else runs there, and the libraries of a GPU, take the rest


class Batches(NamedTuple):
    """A step of one device: `accumulated` batches (None: left to the trainer's default) of `size` windows."""

    size: int
    accumulated: int | None = None

    @property
    def windows(self) -> int:
        return self.size * (self.accumulated or 1)


def choose_batches(config: DictConfig) -> Iterator[str]:
    """Puts numbers in the place of every `batch_size=auto`, and says which: those that a stage has begun with, or else of
    its whole step the largest part that fits.

    Raises UserError where the memory of a network cannot be told.
    """
    for name, stage in training_stages(config.stages):
        if not is_auto(stage.data):
            continue
        if chosen := begun_with(StageFolder(Path(config.run_dir), name)):
            why = "as it has begun"
        else:
            chosen, why = largest(name, stage, machine_of(config.plan, stage.trainer), hops_of(config.stages))
        trainer: Any = OmegaConf.to_container(config.stages[name].trainer, resolve=True)
        config.stages[name].trainer = with_accumulation(trainer, chosen)
        config.stages[name].data.batch_size = chosen.size
        parts = f" of {chosen.windows}, {chosen.accumulated} of them a step" if chosen.accumulated else ""
        yield f"{name}: batch_size=auto is {chosen.size}{parts}: {why}"


def is_auto(data: Any) -> bool:
    return str((data or {}).get("batch_size", "")).startswith("auto")


def begun_with(folder: StageFolder) -> Batches | None:
    """What is noted in the folder of a stage that has been started."""
    stored = folder.config() or {}
    size = stored.get("data", {}).get("batch_size")
    return Batches(size, stored["trainer"].get("accumulate_grad_batches")) if isinstance(size, int) else None


def with_accumulation(trainer: dict[str, Any], chosen: Batches) -> dict[str, Any]:
    kept = {name: value for name, value in trainer.items() if name != "accumulate_grad_batches"}
    return kept if chosen.accumulated is None else kept | {"accumulate_grad_batches": chosen.accumulated}


def largest(name: str, stage: TrainStage, machine: Machine, hops: Sequence[int]) -> tuple[Batches, str]:
    """The batch whose step takes no more than its share of the memory, and why."""
    data: Any = stage.data
    tune = getattr(stage, "tune", None)
    if not (asked := AUTO.fullmatch(data["batch_size"])):
        raise UserError(f"{name}: batch_size={data['batch_size']}: expected a number, auto, or auto:16 for steps of 16")
    windows = int(asked[1]) * stage.trainer.get("accumulate_grad_batches", 1)
    if machine.memory is None or (tune and not tune.trains(int(data["level"]))):
        return Batches(windows), "nobody knows what is free" if machine.memory is None else "nothing is trained"

    def needs(size: int) -> int:
        stage.data = OmegaConf.create({**data, "batch_size": size})
        return plan_stage(name, stage, machine, None, hops, timed=False).needs

    try:
        fitting = bisect_right(range(1, windows + 1), round(ROOM * machine.memory), key=needs)
        chosen = parts_of(windows, max(fitting, 1))
        return chosen, f"{count(needs(chosen.size))}B of {count(machine.memory)}B that are free"
    except UNCOUNTABLE as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{name}: batch_size=auto cannot be told ({reason}): give a number") from None


def parts_of(windows: int, most: int) -> Batches:
    """As many equal batches, of up to `most` windows, as come nearest to `windows`: of those the fewest."""
    least = -(-windows // most)
    choices = [Batches(min(round(windows / parts), most), parts) for parts in range(least, min(2 * least, windows) + 1)]
    nearest = min(choices, key=lambda choice: abs(choice.windows - windows))
    return nearest if nearest.accumulated != 1 else Batches(nearest.size)


def as_first_rank(folder: StageFolder, settings: dict[str, Any]) -> dict[str, Any]:
    """For other ranks: the settings of a stage with the batch that the first one notes when it begins.

    Raises UserError when that rank is gone.
    """
    if not is_auto(settings.get("data")):
        return settings
    chosen = folder.wait_for(lambda: begun_with(folder))
    trainer = with_accumulation(settings["trainer"], chosen)
    return settings | {"trainer": trainer, "data": settings["data"] | {"batch_size": chosen.size}}
