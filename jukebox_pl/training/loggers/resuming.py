"""What a dashboard has of a run already: a resumed stage adds to its curves and repeats nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from jukebox_pl.utils.files import read_record, write_json

Key = Annotated[str, Meta(max_length=1000)]
Step = Annotated[int, Meta(ge=0, le=2**60)]
STEP = "step"  # the axis of a section


@dataclass
class DashboardRun:
    """RUN/wandb.json, or trackio.json: the `id` of the run there, how many `rows` it has, the latest step of every key."""

    id: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
    rows: Step = 0
    steps: Annotated[dict[Key, Step], Meta(max_length=100_000)] = field(default_factory=dict)


class Logged:
    """The record of what the stage in `folder` has logged to a `kind` of dashboard, under the keys of its `section`.

    A stage that is begun anew, its folder deleted, would fold back its curves: it begins a run of its own. So a stage's
    folder notes which run it is in. Raises UserError where a record is corrupt.
    """

    def __init__(self, folder: Path, kind: str, section: str):
        self.section, self.place, self.stage_place = section, folder.parent / f"{kind}.json", folder / f"{kind}.json"
        run = read_record(self.place, DashboardRun, "a run") if self.place.exists() else new_run()
        noted = read_record(self.stage_place, str, "a run's id") if self.stage_place.exists() else None
        begun = any(key.startswith(f"{section}/") for key in run.steps)
        self.run = new_run() if begun and noted != run.id else run

    def unseen(self, values: Mapping[str, Any], step: int) -> dict[str, Any]:
        """Those of the values, by full key, that are later than what is there."""
        latest = self.run.steps
        if step < latest.get(f"{self.section}/{STEP}", 0):
            return {}
        named = {f"{self.section}/{name}": value for name, value in values.items()}
        return {key: value for key, value in named.items() if latest.get(key, -1) < step}

    def note(self, keys: Iterable[str], step: int) -> int:
        """Notes one more row, before it is written: one that is lost leaves a gap, one written twice a fold. Returns its
        number."""
        self.run.steps |= dict.fromkeys((*keys, f"{self.section}/{STEP}"), step)
        self.run.rows += 1
        if not self.stage_place.exists():
            write_json(self.stage_place, self.run.id)
        write_json(self.place, vars(self.run))
        return self.run.rows - 1


def new_run() -> DashboardRun:
    return DashboardRun(secrets.token_hex(4))
