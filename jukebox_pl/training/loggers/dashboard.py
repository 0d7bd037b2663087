"""What every dashboard is given, under the same names: one run a recipe, a section a stage, an axis a section."""

from __future__ import annotations

import sys
from abc import abstractmethod
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from jukebox_pl.report.runs import SETTINGS
from jukebox_pl.training.loggers.media import Clip, Media, MediaLogger, Output, Picture, caption, section_of, table_of
from jukebox_pl.training.loggers.resuming import STEP, Logged


class DashboardLogger(Logger, MediaLogger):
    """The section of the stage in `save_dir` in the dashboard of the run that the stage is part of.

    `sections` are names of stages in the order in which they are to be shown. Keys are SECTION/train/loss and whatever else
    is logged, SECTION/audio/NAME, SECTION/pictures/NAME, SECTION/codebook/NAME and SECTION/samples, over SECTION/step. What
    is there from before an interruption is not logged again.
    """

    kind = ""  # of the dashboard, and the name of its record

    def __init__(self, save_dir: str | Path, name: str = "", sections: Sequence[str] = ()):
        super().__init__()
        self.folder, self.section = Path(save_dir), section_of(Path(save_dir).name, sections)
        self.run_dir, self.logged = self.folder.parent, Logged(self.folder, self.kind, self.section)
        self._run: Any = None

    @property
    def name(self) -> str:
        return str(self.run_dir)

    @property
    def version(self) -> str:
        return self.logged.run.id

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run in the dashboard, begun or gone on with when it is first asked for."""
        if self._run is None:
            if (self.kind, self.version) not in OPEN:
                finish_runs(self.kind)
                OPEN[self.kind, self.version] = self, self.start(self.settings())
            self._run = OPEN[self.kind, self.version][1]
            self.begin_section(self._run)
        return self._run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.log({"lr" if name.startswith("lr-") else name: value for name, value in metrics.items()}, step or 0)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Nothing: the settings of the whole run are its config."""

    @rank_zero_only
    def log_media(self, media: Media, sample_rate: int, step: int) -> None:
        values: dict[str, Any] = dict(media.numbers)
        values |= {f"pictures/{name}": self.picture(picture) for name, picture in media.images.items()}
        values |= {f"codebook/{name}": self.histogram(counts) for name, counts in media.histograms.items()}
        if media.audio:
            said = {name: caption(name, clip.about, step) for name, clip in media.audio.items()}
            values[f"audio/{media.title}"] = [self.sound(media.audio[name], sample_rate, said[name]) for name in said]
            columns, rows = table_of(media, step)
            values["samples"] = self.table(columns, [[*row, self.sound(clip, sample_rate, "")] for *row, clip in rows])
        self.log(values, step)

    @rank_zero_only
    def log_output(self, output: Output) -> None:
        if not output.steps:  # a trained stage has logged its numbers by itself
            numbers = {name.replace(" ", "_"): value for name, value in output.summary.items()}
            self.log({name: value for name, value in numbers.items() if type(value) in (int, float)}, 0)

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """One row, of what is not there yet."""
        if new := self.logged.unseen(values, step):
            row = self.logged.note(new, step)
            self.write({**new, f"{self.section}/{STEP}": step}, step, row)

    def settings(self) -> dict[str, Any]:
        """The settings of the whole run, as written when it began; that of an ablation lies one folder further up."""
        path = next((folder / SETTINGS for folder in self.folder.parents[:2] if (folder / SETTINGS).exists()), None)
        return yaml.safe_load(path.read_text(encoding="utf-8")) if path else {}

    @abstractmethod
    def start(self, settings: dict[str, Any]) -> Any:
        """The run in the dashboard, to write to. Raises UserError where what it needs is not installed."""

    @abstractmethod
    def write(self, values: Mapping[str, Any], step: int, row: int) -> None:
        """Row number `row` of the run: numbers, and what the methods below return, by full key, the section's step among
        them. A list holds sounds that belong together."""

    @abstractmethod
    def sound(self, clip: Clip, sample_rate: int, text: str) -> Any: ...

    @abstractmethod
    def picture(self, picture: Picture) -> Any: ...

    @abstractmethod
    def histogram(self, values: np.ndarray) -> Any: ...

    @abstractmethod
    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any: ...

    def begin_section(self, run: Any) -> None:  # most need not be told
        """Called once a logger, before its first row."""

    @abstractmethod
    def finish(self, run: Any, exit_code: int) -> None:
        """The process writes no more to the run."""


OPEN: dict[tuple[str, str], tuple[DashboardLogger, Any]] = {}  # by kind and id: of a kind this process writes to one run


def finish_runs(kind: str = "", exit_code: int = 0) -> None:
    """Ends what this process writes to dashboards, of one kind or of all; with an exit code of 1 as what has failed."""
    for key in [key for key in OPEN if kind in ("", key[0])]:
        logger, run = OPEN.pop(key)
        logger.finish(run, exit_code)


def tell(line: str) -> None:
    """Where to look, once a process."""
    print(line, file=sys.stderr, flush=True)
