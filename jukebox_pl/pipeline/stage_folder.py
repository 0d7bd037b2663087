"""A stage's folder in a run: what it was asked for, whether it is complete, what came out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukebox_pl.errors import UserError
from jukebox_pl.utils.differences import differences
from jukebox_pl.utils.files import write_json

ASKED, DONE, NEEDS = "asked.json", "done.json", "needs"
SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class StageResult:
    """What a stage leaves behind: numbers for people, and a name for its output that changes when the output does."""

    fingerprint: str
    summary: dict[str, Any] = field(default_factory=dict)
    steps: int = 0


class StageFolder:
    """`asked.json` is written when a stage starts, `done.json` when it is complete."""

    def __init__(self, run_dir: Path, name: str):
        self.run_dir, self.name, self.path = run_dir, name, run_dir / name

    def require_same(self, asked: Mapping[str, Any]) -> None:
        """Raises UserError with what differs when the folder was made for something else; else notes what is asked."""
        if not (self.path / ASKED).exists():
            write_json(self.path / ASKED, asked)
            return
        stored = self._read(ASKED)
        way_out = f"Choose another run_dir, or delete {self.path} to make it again"
        if remade := [name for name, now in asked.get(NEEDS, {}).items() if stored.get(NEEDS, {}).get(name) != now]:
            raise UserError(f"{self.path} was made from another {' and '.join(remade)} than there is now. {way_out}")
        if changes := list(differences(stored, asked)):
            shown = "; ".join(changes[:8]) + " ..." * (len(changes) > 8)
            raise UserError(f"{self.path} was made with other settings: {shown}. {way_out}")

    def result(self) -> StageResult | None:
        """What the stage left when it was completed."""
        if not (self.path / DONE).exists():
            return None
        try:
            return StageResult(**self._read(DONE))
        except TypeError as error:
            raise self._corrupt(DONE, error) from None

    def _read(self, name: str) -> dict[str, Any]:
        try:
            record = json.loads((self.path / name).read_bytes())
        except ValueError as error:
            raise self._corrupt(name, error) from None
        if not isinstance(record, dict):
            raise self._corrupt(name, f"{type(record).__name__} found")
        return record

    def _corrupt(self, name: str, error: object) -> UserError:
        return UserError(f"{self.path / name} is corrupt ({error}); delete it, and the stage is taken up where it stands")

    def require_result(self, needed_by: str) -> StageResult:
        """Raises UserError when the stage is not complete."""
        if result := self.result():
            return result
        raise UserError(
            f"stage {needed_by} needs {self.name}, and {self.path} is not complete; "
            f"run recipe={self.name} run_dir={self.run_dir} first (or recipe=hierarchy)"
        )

    def finish(self, result: StageResult) -> None:
        write_json(self.path / DONE, vars(result))

    def wait(self) -> None:
        """For ranks that take no part: until the first rank has finished the stage. Raises UserError when it is gone."""
        parent = os.getppid()
        while self.result() is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            if os.getppid() != parent:
                raise UserError(f"stage {self.name} was stopped; the same command goes on from here")
