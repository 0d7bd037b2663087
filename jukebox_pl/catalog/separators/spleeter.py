"""Spleeter without TensorFlow: its published weights in a network of our own, on any Python."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from jukebox_pl.catalog.separators.separator import at_model_rate, require_vocals
from jukebox_pl.catalog.separators.spleeter_files import model_folder
from jukebox_pl.catalog.separators.spleeter_network import TwoStems, from_checkpoint
from jukebox_pl.catalog.separators.tf_checkpoint import read_checkpoint


@dataclass
class Spleeter:
    """Vocals by Spleeter's 2stems model, without what is above 11 kHz.

    `model_path` holds the folder `2stems` with the published checkpoint, as MODEL_PATH does for Spleeter itself. Raises
    UserError when its files are missing, and on the first call when they are damaged.
    """

    model_path: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        self.folder = model_folder(self.model_path)

    @cached_property
    def network(self) -> TwoStems:
        return from_checkpoint(read_checkpoint(self.folder / "model")).to(self.device)

    def __call__(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        return require_vocals(at_model_rate(self._separate, audio, sample_rate), audio)

    def _separate(self, stereo: np.ndarray) -> np.ndarray:
        return self.network(torch.from_numpy(stereo).float().to(self.device)).cpu().numpy()
