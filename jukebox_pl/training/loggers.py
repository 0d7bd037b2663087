"""Where numbers and sounds go: CSV always, Weights & Biases online when a key is there, else offline, never asking."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn
from wandb.errors import CommError
from wandb.sdk.lib import wbauth

from jukebox_pl import audio
from jukebox_pl.utils.files import write_atomic

SECONDS_TO_CONNECT = 20


def make_loggers(
    folder: Path, name: str, use_wandb: bool = True, project: str = "jukebox_pl", mode: str = "auto"
) -> list[Logger]:
    """The loggers of one stage. `mode`: auto, online, offline or disabled."""
    metrics = MetricsLogger(folder, name="", version="")
    if not use_wandb or not first_rank():
        return [metrics]
    return [metrics, start_wandb(folder, name, project, wandb_mode(mode))]


class MetricsLogger(CSVLogger):
    """metrics.csv, which a resumed stage goes on with; Lightning alone would begin a new one."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        self._experiment = self._experiment or MetricsFile(self.log_dir)
        return self._experiment


class MetricsFile(ExperimentWriter):
    """Forgets, when it is first written to, what an earlier run logged at steps that are done again."""

    def __init__(self, log_dir: str):
        super().__init__(log_dir)
        self.resumed = False

    def _check_log_dir_exists(self) -> None:
        """Lightning deletes an earlier file here."""

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        path = Path(self.metrics_file_path)
        if not self.resumed and path.exists():
            self.metrics_keys = forget_from(path, step or 0)
        self.resumed = True
        super().log_metrics(metrics_dict, step)


def forget_from(path: Path, step: int) -> list[str]:
    """Drops rows at `step` and later, and a last line that was cut short; returns the columns."""
    whole_lines = path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    reader = csv.DictReader(whole_lines)
    columns = list(reader.fieldnames or [])
    kept = io.StringIO(newline="")
    writer = csv.DictWriter(kept, columns)
    writer.writeheader()
    writer.writerows(row for row in reader if int(row["step"]) < step)
    write_atomic(path, kept.getvalue().encode())
    return columns


def first_rank() -> bool:
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def wandb_mode(asked: str = "auto") -> str:
    """What was asked for, else WANDB_MODE, else online where a key is configured and offline where none is."""
    chosen = asked if asked != "auto" else os.environ.get("WANDB_MODE", "auto")
    if chosen != "auto":
        return chosen
    return "online" if os.environ.get("WANDB_API_KEY") or key_in_netrc() else "offline"


def key_in_netrc() -> bool:
    return wbauth.read_netrc_auth(host=wandb.setup().settings.base_url) is not None


def start_wandb(folder: Path, name: str, project: str, mode: str) -> WandbLogger:
    """A started run; a server that does not answer in time costs a warning and the run is kept offline."""
    settings = wandb.Settings(init_timeout=SECONDS_TO_CONNECT, silent=True)
    options: dict[str, Any] = {"name": name, "project": project, "dir": str(folder), "group": folder.parent.name}
    try:
        run = wandb.init(mode=mode, settings=settings, **options)  # type: ignore[arg-type]  # mode is a Literal there
    except CommError as error:
        rank_zero_warn(f"Weights & Biases does not answer ({error}); this run is kept offline in {folder}/wandb")
        run = wandb.init(mode="offline", settings=settings, **options)
    return WandbLogger(experiment=run)


@rank_zero_only
def log_audio(trainer: Trainer, folder: Path, name: str, sound: np.ndarray, rate: int) -> None:
    """Keeps sound [C, T] as a file of the stage and shows it on the dashboard."""
    path = audio.write(folder / f"{name}_step_{trainer.global_step:07d}.wav", sound, rate)
    for logger in wandb_loggers(trainer):
        logger.log_audio(f"audio/{name}", [str(path)], caption=[f"step {trainer.global_step}"], step=None)


@rank_zero_only
def log_picture(trainer: Trainer, folder: Path, name: str, png: bytes) -> None:
    """Keeps a PNG as a file of the stage and shows it on the dashboard."""
    path = folder / f"{name}_step_{trainer.global_step:07d}.png"
    write_atomic(path, png)
    for logger in wandb_loggers(trainer):
        logger.log_image(f"pictures/{name}", [str(path)], step=None)


def wandb_loggers(trainer: Trainer) -> list[WandbLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
