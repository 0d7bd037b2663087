"""TensorBoard: event files of every stage, under the names that other dashboards have."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jukebox_pl.errors import UserError
from jukebox_pl.training.loggers.dashboard import DashboardLogger, tell
from jukebox_pl.training.loggers.media import Clip, Picture


class TensorBoardMediaLogger(DashboardLogger):
    """Event files in RUN/tensorboard. Raises UserError where the package is not there."""

    kind = "tensorboard"

    def __init__(self, save_dir: str | Path, name: str = "", sections: Sequence[str] = ()):
        super().__init__(save_dir, name, sections)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            raise UserError("logger=tensorboard needs tensorboard: pip install 'jukebox_pl[tensorboard]'") from None
        self.writer = SummaryWriter

    def start(self, settings: dict[str, Any]) -> Any:
        writer = self.writer(str(self.run_dir / "tensorboard"))
        tell(f"TensorBoard: tensorboard --logdir {self.run_dir}/tensorboard")
        return writer

    def write(self, values: Mapping[str, Any], step: int, row: int) -> None:
        for key, value in values.items():
            if isinstance(value, list):
                for place, add in enumerate(value):
                    add(f"{key}_{place}", step)
            elif callable(value):
                value(key, step)
            else:
                self.experiment.add_scalar(key, value, step)

    def finish(self, run: Any) -> None:
        run.close()

    def sound(self, clip: Clip, sample_rate: int, text: str) -> Any:
        mono = clip.audio.mean(0, keepdims=True)  # [1, T], all that TensorBoard plays
        return lambda key, step: self.experiment.add_audio(key, mono, step, sample_rate=sample_rate)

    def picture(self, picture: Picture) -> Any:
        pixels = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))  # [H, W, 3]
        return lambda key, step: self.experiment.add_image(key, pixels, step, dataformats="HWC")

    def histogram(self, values: np.ndarray) -> Any:
        return lambda key, step: self.experiment.add_histogram(key, values, step)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
        """As text in Markdown, without the sounds."""
        cells = [columns[:-1], ["---"] * (len(columns) - 1), *(row[:-1] for row in rows)]
        text = "\n".join(f"| {' | '.join(' '.join(str(cell).split()).replace('|', '/') for cell in row)} |" for row in cells)
        return lambda key, step: self.experiment.add_text(key, text, step)
