"""Weights & Biases, online when a key is there, else offline, never asking; and TensorBoard."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wandb
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn
from wandb.errors import CommError
from wandb.sdk.lib import wbauth

from jukebox_pl.errors import UserError
from jukebox_pl.training.loggers import first_rank
from jukebox_pl.training.loggers.files import MediaLogger

SECONDS_TO_CONNECT = 20


class WandbMediaLogger(WandbLogger, MediaLogger):
    """A run of Weights & Biases for the stage in `save_dir`. `mode`: auto, online, offline or disabled."""

    def __init__(self, save_dir: str | Path, name: str, project: str = "jukebox_pl", mode: str = "auto"):
        run = start_run(Path(save_dir), name, project, wandb_mode(mode)) if first_rank() else None
        super().__init__(name, save_dir, project=project, experiment=run)

    @rank_zero_only
    def log_audio(  # type: ignore[override]  # a MediaLogger's, in place of Lightning's
        self, name: str, audio: np.ndarray, sample_rate: int, step: int, caption: str
    ) -> None:
        sound = wandb.Audio(audio.T, sample_rate=sample_rate, caption=caption)  # [T, C]
        self.log_metrics({f"audio/{name}": [sound]}, step)  # type: ignore[dict-item]

    @rank_zero_only
    def log_image(  # type: ignore[override]
        self, name: str, png: bytes, step: int, caption: str
    ) -> None:
        picture = wandb.Image(Image.open(io.BytesIO(png)), caption=caption)
        self.log_metrics({f"pictures/{name}": [picture]}, step)  # type: ignore[dict-item]

    @rank_zero_only
    def close(self) -> None:
        wandb.finish()


def wandb_mode(mode: str = "auto") -> str:
    """What was asked for, else WANDB_MODE, else online where a key is configured and offline where none is."""
    chosen = mode if mode != "auto" else os.environ.get("WANDB_MODE", "auto")
    if chosen != "auto":
        return chosen
    has_key = os.environ.get("WANDB_API_KEY") or wbauth.read_netrc_auth(host=wandb.setup().settings.base_url)
    return "online" if has_key else "offline"


def start_run(folder: Path, name: str, project: str, mode: str) -> Any:
    """A started run; a server that does not answer in time costs a warning and the run is kept offline."""
    settings = wandb.Settings(init_timeout=SECONDS_TO_CONNECT, silent=True)
    options: dict[str, Any] = {"name": name, "project": project, "dir": str(folder), "group": folder.parent.name}
    try:
        return wandb.init(mode=mode, settings=settings, **options)  # type: ignore[arg-type]  # mode is a Literal there
    except CommError as error:
        rank_zero_warn(f"Weights & Biases does not answer ({error}); this run is kept offline in {folder}/wandb")
        return wandb.init(mode="offline", settings=settings, **options)


class TensorBoardMediaLogger(TensorBoardLogger, MediaLogger):
    """Event files in `save_dir`/tensorboard. Raises UserError when the package is not there."""

    def __init__(self, save_dir: str | Path, name: str = ""):
        try:
            super().__init__(save_dir, name="tensorboard", version="")
        except ModuleNotFoundError:
            raise UserError("logger=tensorboard needs tensorboard: pip install 'jukebox_pl[tensorboard]'") from None

    @rank_zero_only
    def log_audio(self, name: str, audio: np.ndarray, sample_rate: int, step: int, caption: str) -> None:
        mono = torch.from_numpy(audio.mean(0, keepdims=True))  # [1, T], all that TensorBoard plays
        self.experiment.add_audio(f"audio/{name}", mono, step, sample_rate=sample_rate)

    @rank_zero_only
    def log_image(self, name: str, png: bytes, step: int, caption: str) -> None:
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))  # [H, W, 3]
        self.experiment.add_image(f"pictures/{name}", pixels, step, dataformats="HWC")
