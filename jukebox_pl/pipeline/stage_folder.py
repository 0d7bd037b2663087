"""A stage's folder in a run: the settings it was made with, whether it is complete, what came out."""

from __future__ import annotations

import os
import re
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta
from pytorch_lightning.utilities import rank_zero_only

from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.decisive import decisive
from jukebox_pl.training.loggers.media import Media
from jukebox_pl.utils.differences import differences, printable
from jukebox_pl.utils.earlier_versions import RECORDS, renamed
from jukebox_pl.utils.files import read_record, write_json
from jukebox_pl.utils.locks import is_locked
from jukebox_pl.utils.records import to_record

CONFIG, RESULT, NEEDS = "config.json", "result.json", "needs"
OF_THE_RUN = {NEEDS, "when"}  # what a run reads of a stage's config; all else goes to the stage's constructor
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_WITHOUT_FIRST = 45.0  # machines do not start at one moment, and file systems of a network are late
DIFFERENCES_SHOWN = 8
T = TypeVar("T")
Steps = Annotated[int, Meta(ge=0, le=2**60)]
OF_THE_NAMES = re.compile(r"^model\..*(artists|genres|vocabulary)$")  # settings that follow the catalog's vocabularies


@dataclass(frozen=True)
class StageResult:
    """What a stage leaves behind: numbers for people, and a name for its output that changes when the output does.

    A trained stage took `steps` and is complete for whoever asks for up to `max_steps`, which it may not have needed.
    `earlier` are the fingerprints of what it has grown from: what was made from that may go on from this.
    """

    fingerprint: Annotated[str, Meta(max_length=1000)]
    summary: Annotated[dict[str, Any], Meta(max_length=1000)] = field(default_factory=dict)
    steps: Steps = 0
    max_steps: Steps = 0
    earlier: list[str] = field(default_factory=list)

    def is_complete_for(self, max_steps: int) -> bool:
        return max(self.steps, self.max_steps) >= max_steps  # version 0.1.0 noted only the steps


class Stage(ABC):
    """One step of a recipe, built from its YAML. `rank_zero_only`: the first rank runs it while the others wait.

    `grows`: what it makes of more songs holds what it made of fewer, and is made again where those have grown.
    """

    rank_zero_only = True
    grows = False
    makes = ""  # the kind of its output: catalog, codes, model, bundle

    def made_outside(self) -> list[Path]:
        """What it makes besides its folder, and has to go with that for the stage to be made anew."""
        return []

    def output(self, folder: Path) -> str:
        """Where what it makes lies, a folder or a URL; "" for nothing that others are made from."""
        return str(folder) if self.makes else ""

    def media(self, folder: Path) -> tuple[Media, int]:
        """What there is to hear and see of what it has made, and the sample rate; loggers of a training have theirs."""
        return Media(), 0

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

    def require_same(
        self, config: Mapping[str, Any], earlier: Mapping[str, Sequence[str]], made_outside: Sequence[Path] = ()
    ) -> bool:
        """Raises UserError with what differs when the folder was made with another config; notes this one where nothing
        is made yet. Of the stages it needs it may have been made from `earlier` outputs: says whether it was.

        Keys that version 0.1.0 did not note are not compared with a folder of it.
        """
        stored = self.config()
        if stored is None or all(path.name == CONFIG for path in self.path.iterdir()):  # stopped by a mistake, at once
            self.note(config)
            return False
        stored = decisive(stored, self.run_dir)  # what may change now may have been noted then
        folders = " and ".join(map(str, [self.path, *(path for path in made_outside if path.exists())]))
        way_out = f"Choose another run_dir, or delete {folders} to make it again"
        needs, then = config.get(NEEDS, {}), stored.get(NEEDS, {})
        if remade := [name for name, now in needs.items() if then.get(name) not in (now, *earlier.get(name, ()))]:
            raise UserError(f"{self.path} was made from another {' and '.join(remade)} than there is now. {way_out}")
        grown = then != needs and bool(then)
        if not (self.path / CONFIG).exists():
            config = {name: value for name, value in config.items() if name in stored}
        if changes := list(differences(stored | {NEEDS: needs}, dict(config) | {NEEDS: needs})):
            shown = "; ".join(map(printable, changes[:DIFFERENCES_SHOWN])) + " ..." * (len(changes) > DIFFERENCES_SHOWN)
            if grown and all(OF_THE_NAMES.search(change.partition(":")[0]) for change in changes):
                tuned = f"recipe=finetune init_from={self.run_dir} run_dir=NEW trains its finished models on with these"
                raise UserError(f"{self.path} does not know names or characters of songs that are new: {shown}. {tuned}")
            raise UserError(f"{self.path} was made with other settings: {shown}. {way_out}")
        return grown

    @rank_zero_only  # one that others wrote beside it would be swept away
    def note(self, config: Mapping[str, Any]) -> None:
        write_json(self.path / CONFIG, config)

    def config(self) -> dict[str, Any] | None:
        """The settings that the stage was started with."""
        return self._read(CONFIG)

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
            f"stage {needed_by} needs {self.name}, and {self.path} is not complete: leave stage {self.name} in, "
            f"or run a recipe that has it with run_dir={self.run_dir} first"
        )

    def finish(self, result: StageResult) -> None:
        write_json(self.path / RESULT, vars(result))

    def finished_at(self) -> int:
        """When the result was written, in nanoseconds; 0 where there is none."""
        path = self.path / RESULT
        return path.stat().st_mtime_ns if path.exists() else 0

    def wait_for_result(self, but: int | None = None) -> StageResult:
        """For ranks that take no part: until the first rank has finished the stage; with another result than the one that
        was finished at `but`, later or, where the clock was set back, earlier. Raises UserError as `wait_for` does.
        """
        return self.wait_for(lambda: self.result() if self.finished_at() != but else None)

    def require_first_rank(self) -> None:
        """Raises UserError as `wait_for` does."""
        self.wait_for(lambda: is_locked(self.run_dir, unless_known=True) or None)

    def wait_for(self, look: Callable[[], T | None]) -> T:
        """For other ranks: what the first one leaves for them, as soon as `look` finds it.

        Raises UserError when that one, which holds the folder of the run, is gone, or works in another folder than this.
        """
        parent, seen = os.getppid(), time.monotonic()
        while (found := look()) is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            if os.getppid() != parent:
                raise UserError(f"stage {self.name} was stopped; the same command goes on from here")
            if is_locked(self.run_dir, unless_known=True):
                seen = time.monotonic()
            elif time.monotonic() - seen > SECONDS_WITHOUT_FIRST:
                here = self.run_dir.absolute()
                raise UserError(
                    f"stage {self.name}: the first process of this run is not at work in {here}: it has ended, or its "
                    "machine has another folder there. Run it again, with a run_dir that all machines share"
                )
        return found

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


@rank_zero_only
def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
