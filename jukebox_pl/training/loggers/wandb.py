"""Weights & Biases: online when a key is there, else offline, never asking."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from PIL import Image
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn
from wandb.errors import AuthenticationError, CommError, UsageError
from wandb.sdk.lib import wbauth

from jukebox_pl.errors import UserError
from jukebox_pl.training.loggers.dashboard import DashboardLogger, tell
from jukebox_pl.training.loggers.media import Clip, Output, Picture
from jukebox_pl.training.loggers.resuming import STEP
from jukebox_pl.utils.files import write_json

SECONDS_TO_CONNECT = 20
MODES = ("auto", "online", "offline", "disabled")
ARTIFACTS = REFERENCES, FILES, NONE = "references", "files", "none"
KINDS = {"catalog": "dataset", "codes": "dataset"}  # of outputs as of artifacts; others keep their name


class WandbMediaLogger(DashboardLogger):
    """A run of Weights & Biases for every run of a recipe, in RUN/wandb; gone on with where that is.

    `mode`: auto, online, offline or disabled. `artifacts`: references to where the outputs of stages lie, their files, or
    none. Raises UserError for other values.
    """

    kind = "wandb"

    def __init__(
        self,
        save_dir: str | Path,
        name: str = "",
        project: str = "jukebox_pl",
        mode: str = "auto",
        artifacts: str = REFERENCES,
        sections: Sequence[str] = (),
    ):
        super().__init__(save_dir, name, sections)
        if artifacts not in ARTIFACTS:
            raise UserError(f"logger.artifacts={artifacts}: expected one of {', '.join(ARTIFACTS)}")
        self.project, self.mode, self.artifacts = project, wandb_mode(mode), artifacts

    def start(self, settings: dict[str, Any]) -> Any:
        """A server that does not answer in time costs a warning, and the run is kept offline."""
        named = {"recipe": settings.get("name"), "size": settings.get("size", {}).get("name")}
        options: dict[str, Any] = {
            "project": self.project,
            "name": self.name,
            "id": self.version,
            "resume": "allow",
            "dir": str(self.run_dir),
            "config": settings,
            "tags": [f"{what}={name}" for what, name in named.items() if name],
            "job_type": "fit",
            "reinit": "finish_previous",
            "settings": wandb.Settings(init_timeout=SECONDS_TO_CONNECT, silent=True),
        }
        try:
            run = wandb.init(mode=self.mode, **options)  # type: ignore[arg-type]  # mode is a Literal there
        except (CommError, AuthenticationError, UsageError) as error:
            reason = " ".join(str(error).split())
            rank_zero_warn(f"Weights & Biases does not answer ({reason}); this run is kept offline in {self.run_dir}/wandb")
            run = wandb.init(mode="offline", **options)
        if self.mode != "disabled":
            where = f"offline, to be sent with: wandb sync {Path(run.dir).parent}" if run.offline else run.url
            tell(f"Weights & Biases: {where}")
        return run

    def begin_section(self, run: Any) -> None:
        run.define_metric(f"{self.section}/{STEP}", hidden=True)
        run.define_metric(f"{self.section}/*", step_metric=f"{self.section}/{STEP}")

    def finish(self, run: Any) -> None:
        run.finish()

    def log(self, values: Mapping[str, Any], step: int) -> None:
        if self.mode != "disabled":  # nor is it noted as logged
            super().log(values, step)

    def write(self, values: Mapping[str, Any], step: int, row: int) -> None:
        self.experiment.log(dict(values), step=row)  # counted by us: an offline run that is gone on with does not know

    @rank_zero_only
    def log_output(self, output: Output) -> None:
        super().log_output(output)
        if self.mode == "disabled" or self.artifacts == NONE or not output.place:
            return
        metadata = {"fingerprint": output.fingerprint, "made_from": dict(output.made_from), **output.summary}
        kind = KINDS.get(output.kind, output.kind)
        artifact = wandb.Artifact(f"{self.folder.name}-{self.version}", kind, metadata=metadata)
        with artifact.new_file("output.json") as file:  # whose contents are the version's: those of references are not read
            write_json(Path(file.name), output._asdict())
        if self.artifacts == REFERENCES or "://" in output.place:
            place = output.place if "://" in output.place else Path(output.place).absolute().as_uri()
            artifact.add_reference(place, checksum=False)
        else:
            artifact.add_dir(output.place)
        self.experiment.log_artifact(artifact)

    def sound(self, clip: Clip, sample_rate: int, text: str) -> Any:
        return wandb.Audio(clip.audio.T, sample_rate=sample_rate, caption=text)  # [T, C]

    def picture(self, picture: Picture) -> Any:
        return wandb.Image(Image.open(io.BytesIO(picture.png)), caption=picture.caption)

    def histogram(self, values: np.ndarray) -> Any:
        return wandb.Histogram(np_histogram=np.histogram(values, bins=64))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
        return wandb.Table(columns=list(columns), data=[list(row) for row in rows])


def wandb_mode(mode: str = "auto") -> str:
    """What was asked for, else WANDB_MODE, else online; but offline where no key is configured, for one would be asked for.

    Raises UserError for another mode than there is.
    """
    chosen = mode if mode != "auto" else os.environ.get("WANDB_MODE", "auto")
    if chosen not in MODES:
        raise UserError(f"logger.mode or WANDB_MODE is {chosen}: expected one of {', '.join(MODES)}")
    if chosen in ("offline", "disabled"):
        return chosen
    has_key = os.environ.get("WANDB_API_KEY") or wbauth.read_netrc_auth(host=wandb.setup().settings.base_url)
    return "online" if has_key else "offline"
