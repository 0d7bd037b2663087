"""A stage's folder in a run: the settings it was made with, whether it is complete, what came out."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from jukebox_pl.errors import UserError
from jukebox_pl.utils.differences import differences, printable
from jukebox_pl.utils.earlier_versions import RECORDS, renamed
from jukebox_pl.utils.files import read_record, write_json
from jukebox_pl.utils.records import to_record

CONFIG, RESULT, NEEDS = "config.json", "result.json", "needs"
SECONDS_BETWEEN_LOOKS = 1.0
DIFFERENCES_SHOWN = 8
Steps = Annotated[int, Meta(ge=0, le=2**60)]


@dataclass(frozen=True)
class StageResult:
    """What a stage leaves behind: numbers for people, and a name for its output that changes when the output does.

    A trained stage took `steps` and is complete for whoever asks for up to `max_steps`, which it may not have needed.
    """

    fingerprint: Annotated[str, Meta(max_length=1000)]
    summary: Annotated[dict[str, Any], Meta(max_length=1000)] = field(default_factory=dict)
    steps: Steps = 0
    max_steps: Steps = 0

    def is_complete_for(self, max_steps: int) -> bool:
        return max(self.steps, self.max_steps) >= max_steps  # version 0.1.0 noted only the steps


class Stage(ABC):
    """One step of a recipe, built from its YAML. `rank_zero_only`: the first rank runs it while the others wait."""

    rank_zero_only = True

    def complete(self, result: StageResult) -> bool:
        """Whether a result from before is all that is asked for. Raises UserError when it cannot be gone on from."""
        return True

    @abstractmethod
    def run(self, folder: Path) -> StageResult:
        """Makes what the stage makes, in its folder; what an interrupted run has left there is gone on from."""


class StageFolder:
    """`config.json` is written when a stage starts, `result.json` when it is complete. Both raise UserError when corrupt."""

    def __init__(self, run_dir: Path, name: str):
        self.run_dir, self.name, self.path = run_dir, name, run_dir / name

    def require_same(self, config: Mapping[str, Any]) -> None:
        """Raises UserError with what differs when the folder was made with another config; else notes this one.

        Keys that version 0.1.0 did not note are not compared with a folder of it.
        """
        if (stored := self._read(CONFIG)) is None:
            write_json(self.path / CONFIG, config)
            return
        way_out = f"Choose another run_dir, or delete {self.path} to make it again"
        if remade := [name for name, now in config.get(NEEDS, {}).items() if stored.get(NEEDS, {}).get(name) != now]:
            raise UserError(f"{self.path} was made from another {' and '.join(remade)} than there is now. {way_out}")
        if not (self.path / CONFIG).exists():
            config = {name: value for name, value in config.items() if name in stored}
        if changes := list(differences(stored, config)):
            shown = "; ".join(printable(change) for change in changes[:DIFFERENCES_SHOWN]) + " ..." * (
                len(changes) > DIFFERENCES_SHOWN
            )
            raise UserError(f"{self.path} was made with other settings: {shown}. {way_out}")

    def result(self) -> StageResult | None:
        """What the stage left when it was completed."""
        if (record := self._read(RESULT)) is None:
            return None
        try:
            return to_record(record, StageResult, RESULT)
        except UserError as error:
            raise self._corrupt(RESULT, error) from None

    def require_result(self, needed_by: str) -> StageResult:
        """Raises UserError when the stage is not complete."""
        if result := self.result():
            return result
        raise UserError(
            f"stage {needed_by} needs {self.name}, and {self.path} is not complete; "
            f"run recipe={self.name} run_dir={self.run_dir} first (or recipe=hierarchy)"
        )

    def finish(self, result: StageResult) -> None:
        write_json(self.path / RESULT, vars(result))

    def wait_for_result(self) -> StageResult:
        """For ranks that take no part: until the first rank has finished the stage. Raises UserError when it is gone."""
        parent = os.getppid()
        while (result := self.result()) is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            if os.getppid() != parent:
                raise UserError(f"stage {self.name} was stopped; the same command goes on from here")
        return result

    def _read(self, name: str) -> dict[str, Any] | None:
        """The record, or the one that version 0.1.0 wrote, under today's names; None where there is neither."""
        paths = [path for path in (self.path / name, self.path / RECORDS[name]) if path.exists()]
        if not paths:
            return None
        try:
            record = read_record(paths[0], dict[str, Any], "a stage")
            to_record(record.get(NEEDS, {}), dict[str, str], NEEDS)
        except UserError as error:
            raise self._corrupt(paths[0].name, error) from None
        return renamed(record)

    def _corrupt(self, name: str, error: object) -> UserError:
        return UserError(f"{self.path / name} is corrupt ({error}); delete it, and the stage is taken up where it stands")
