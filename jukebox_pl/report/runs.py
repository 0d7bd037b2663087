"""A run as its folder tells it: the stages in the order in which they are made of each other, and what each has left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from jukebox_pl.errors import UserError
from jukebox_pl.utils.earlier_versions import RECORDS, renamed
from jukebox_pl.utils.files import read_json, write_json
from jukebox_pl.utils.files import read_record as file_record

CONFIG, RESULT, METRICS, MEDIA, CONDITIONING = "config.json", "result.json", "metrics.csv", "media", "conditioning.json"
SETTINGS, PLAN = "settings.yaml", "plan.json"  # of a whole run, as composed, and what it was to take
MEDIA_FILE = re.compile(r"(?P<name>.+)_step_(?P<step>\d{1,18})\.(?P<kind>wav|png)")
MONITOR, PACE, PEAK = "val/loss", "speed/tokens_per_second", "speed/peak_memory_gb"  # columns of metrics.csv

Count = Annotated[int, Meta(ge=0, le=2**60)]
Points = list[tuple[float, float]]  # step, value


@dataclass(frozen=True)
class Promise:
    """What a stage was to take, as told before its first step: steps, tokens of `unit` a step of all devices, bytes of
    memory of each device."""

    steps: Count
    step_tokens: Count
    unit: Annotated[str, Meta(max_length=100)]
    memory: Count


@dataclass(frozen=True)
class PlanRecord:
    """The promises of a run by stage."""

    stages: Annotated[dict[str, Promise], Meta(max_length=1000)] = field(default_factory=dict)


class StageRun(NamedTuple):
    """One stage of a run. `metrics`: points by column. `media`: files by step, name and kind (wav, png).

    `seconds`: from when it was first begun until it was finished, pauses included; None while it is going on.
    """

    name: str
    config: Mapping[str, Any]
    result: Mapping[str, Any] | None
    metrics: Mapping[str, Points]
    media: Mapping[int, Mapping[tuple[str, str], Path]]
    conditioning: Mapping[str, Any]
    seconds: float | None
    promise: Promise | None = None

    @property
    def steps(self) -> int:
        """As far as it has come."""
        if self.result:
            return int(self.result.get("steps", 0))
        return int(max((points[-1][0] for points in self.metrics.values()), default=0))

    @property
    def best_step(self) -> int | None:
        """The step of the media that were made when the loss on songs that are not trained on was the lowest."""
        losses = {step: value for step, value in self.metrics.get(MONITOR, []) if step in self.media}
        return int(min(losses, key=losses.__getitem__)) if losses else max(self.media, default=None)


def read_run(run_dir: str | Path) -> list[StageRun]:
    """Raises UserError where there is no run, and where a file of it is corrupt."""
    run_dir = Path(run_dir)
    promises = read_plan(run_dir).stages
    names = (CONFIG, RECORDS[CONFIG])
    folders = sorted({path.parent for name in names for path in run_dir.glob(f"*/{name}")}) if run_dir.is_dir() else []
    stages = {stage.name: stage._replace(promise=promises.get(stage.name)) for stage in map(read_stage, folders)}
    if not stages:
        raise UserError(f"run_dir={run_dir} holds no run: expected a folder that `python -m jukebox_pl.fit` has made")
    needs = {name: [need for need in stage.config.get("needs", {}) if need in stages] for name, stage in stages.items()}
    begun = {folder.name: folder.stat().st_mtime for folder in folders}
    sorter, order, ready = TopologicalSorter(needs), list[str](), list[str]()
    try:
        sorter.prepare()
    except CycleError as error:
        raise UserError(f"{run_dir}: its stages need each other in a circle: {' < '.join(error.args[1])}") from None
    while sorter.is_active():  # of those that are made of the same ones, the one that was changed earlier
        ready = sorted([*ready, *sorter.get_ready()], key=begun.__getitem__)
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return [stages[name] for name in order]


def read_stage(folder: Path) -> StageRun:
    config, result = (read_record(folder, name) for name in (CONFIG, RESULT))
    begun, ended = (folder / name for name in (CONFIG, RESULT))
    both = begun.exists() and ended.exists()
    return StageRun(
        folder.name,
        config or {},
        result,
        read_points(folder / METRICS),
        media_of(folder / MEDIA),
        read_json(path, "a stage") if (path := folder / CONDITIONING).exists() else {},
        ended.stat().st_mtime - begun.stat().st_mtime if both else None,
    )


def read_plan(run_dir: Path) -> PlanRecord:
    """Empty where none was made. Raises UserError for a damaged one."""
    path = run_dir / PLAN
    return file_record(path, PlanRecord, "the plan of a run") if path.exists() else PlanRecord()


def add_promises(run_dir: Path, promises: Mapping[str, Promise]) -> None:
    """Notes them; of stages that are finished, and not planned again, the old ones stay."""
    write_json(run_dir / PLAN, msgspec.to_builtins(PlanRecord({**read_plan(run_dir).stages, **promises})))


def read_record(folder: Path, name: str) -> dict[str, Any] | None:
    """A record of a stage, also under the name of version 0.1.0; None where there is none."""
    for path in (folder / name, folder / RECORDS[name]):
        if path.exists():
            record = renamed(read_json(path, "a stage"))
            if not isinstance(record, dict) or not isinstance(record.get("needs", {}), dict):
                raise UserError(f"{path} is no record of a stage: delete it, and the stage is taken up where it stands")
            return record
    return None


def read_points(path: Path) -> dict[str, Points]:
    """The columns of a metrics.csv over its steps; what is no number is left out."""
    from jukebox_pl.training.loggers.files import read_metrics  # imports Lightning: mistakes answer at once without it

    points: dict[str, Points] = {}
    rows = read_metrics(path)[1] if path.exists() else []
    for row in rows:
        for column, cell in row.items():
            if column != "step" and cell and isfinite(value := float(cell)):
                points.setdefault(column, []).append((float(row["step"]), value))
    return points


def media_of(folder: Path) -> dict[int, dict[tuple[str, str], Path]]:
    found: dict[int, dict[tuple[str, str], Path]] = {}
    for path, match in matching(folder):
        found.setdefault(int(match["step"]), {})[match["name"], match["kind"]] = path
    return dict(sorted(found.items()))


def matching(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in sorted(folder.glob("*")):
        if match := MEDIA_FILE.fullmatch(path.name):
            yield path, match
