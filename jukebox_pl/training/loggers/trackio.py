"""Trackio: a dashboard on this machine, without an account, by functions named as those of Weights & Biases."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jukebox_pl.errors import UserError
from jukebox_pl.training.loggers.dashboard import DashboardLogger, tell
from jukebox_pl.training.loggers.media import Clip, Picture


class TrackioMediaLogger(DashboardLogger):
    """A run of trackio for every run of a recipe. Raises UserError where the package is not there."""

    kind = "trackio"

    def __init__(self, save_dir: str | Path, name: str = "", project: str = "jukebox_pl", sections: Sequence[str] = ()):
        super().__init__(save_dir, name, sections)
        self.project = project
        try:
            import trackio
        except ImportError:
            raise UserError("logger=trackio needs trackio: pip install 'jukebox_pl[trackio]'") from None
        self.trackio = trackio

    def start(self, settings: dict[str, Any]) -> Any:
        with redirect_stdout(io.StringIO()):  # five lines, some in colour
            run = self.trackio.init(
                self.project, name=f"{self.name} {self.version}", config=settings, resume="allow", embed=False
            )
        tell(f"trackio: in {self.trackio.TRACKIO_DIR}; to look at it: trackio show --project {self.project}")
        return run

    def write(self, values: Mapping[str, Any], step: int, row: int) -> None:
        flat = {key: value for key, value in values.items() if not isinstance(value, list)}
        for key, sounds in values.items():
            flat |= {f"{key}_{place}": sound for place, sound in enumerate(sounds)} if isinstance(sounds, list) else {}
        self.experiment.log(flat, step=step)

    def finish(self, run: Any) -> None:
        with redirect_stdout(sys.stderr):
            run.finish()

    def sound(self, clip: Clip, sample_rate: int, text: str) -> Any:
        samples = np.clip(clip.audio.T, -1, 1) * 32767  # [T, C]
        return self.trackio.Audio(samples.astype(np.int16), caption=text, sample_rate=sample_rate, format="wav")

    def picture(self, picture: Picture) -> Any:
        return self.trackio.Image(Image.open(io.BytesIO(picture.png)), caption=picture.caption)

    def histogram(self, values: np.ndarray) -> Any:
        return self.trackio.Histogram(values)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
        """Without the sounds, which its tables do not play."""
        return self.trackio.Table(columns=list(columns)[:-1], data=[list(row)[:-1] for row in rows])
