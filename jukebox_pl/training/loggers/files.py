"""What a stage keeps of itself as files: numbers in metrics.csv, sounds and pictures in media/."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from jukebox_pl import audio as audio_files
from jukebox_pl.training.loggers.media import Media, MediaLogger
from jukebox_pl.utils.earlier_versions import renamed
from jukebox_pl.utils.files import write_atomic


class FilesLogger(CSVLogger, MediaLogger):
    """Files in `save_dir`, the folder of a stage. A resumed stage goes on with its metrics.csv; Lightning alone would
    begin a new one."""

    def __init__(self, save_dir: str | Path, name: str = ""):
        super().__init__(save_dir, name="", version="")  # the folder has the stage's name already

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        self._experiment = self._experiment or MetricsFile(self.log_dir)
        return self._experiment

    @rank_zero_only
    def log_media(self, media: Media, sample_rate: int, step: int) -> None:
        for name, clip in media.audio.items():
            audio_files.write(self._media(name, step, "wav"), clip.audio, sample_rate)
        for name, picture in media.images.items():
            write_atomic(self._media(name, step, "png"), picture.png)

    def _media(self, name: str, step: int, kind: str) -> Path:
        return Path(self.save_dir) / "media" / f"{name}_step_{step:07d}.{kind}"


class MetricsFile(ExperimentWriter):
    """Forgets, when it is first written to, what an earlier run logged of steps that are done again: all that is neither of
    the first rows that a checkpoint had, nor of its steps. Checkpoints of 0.1.0 do not say: then by the first step alone.
    """

    def __init__(self, log_dir: str):
        super().__init__(log_dir)
        self.resumed, self.rows = False, 0
        self.goes_on_after: tuple[int, int] | None = None  # rows and steps of the checkpoint that is gone on from

    def _check_log_dir_exists(self) -> None:
        """Lightning deletes an earlier file here."""

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        path = Path(self.metrics_file_path)
        if not self.resumed and path.exists():
            columns, found = read_metrics(path)
            rows, steps = self.goes_on_after or (0, step or 0)
            kept = [row for number, row in enumerate(found) if number < rows or int(row["step"]) < steps]
            self.metrics_keys = sorted(columns)  # as Lightning writes them; columns that were renamed have lost their order
            write_rows(path, self.metrics_keys, kept)
            self.rows = len(kept)
        self.resumed = True
        super().log_metrics(metrics_dict, step)

    def save(self) -> None:
        self.rows += len(self.metrics)
        super().save()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """Lightning empties the file before it writes the rows again; a process may be killed between."""
        path = Path(self.metrics_file_path)
        write_rows(path, fieldnames, read_metrics(path)[1])


def read_metrics(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a metrics.csv, under the names of today, without a last line that was cut short."""
    header, *lines = path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines() or [""]
    reader = csv.DictReader([",".join(renamed(header.split(","))), *lines])
    return list(reader.fieldnames or []), list(reader)


def write_rows(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode())
