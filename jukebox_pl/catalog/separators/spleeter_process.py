"""Spleeter's own package, run by the interpreter of another environment: its pins exclude ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from jukebox_pl import audio
from jukebox_pl.catalog.separators.install_spleeter import COMMAND
from jukebox_pl.catalog.separators.separator import MODEL_RATE, StereoSeparator, cut
from jukebox_pl.errors import UserError
from jukebox_pl.utils.subprocesses import run_limited

PYTHON = "JUKEBOX_SPLEETER_PYTHON"
MODEL = "2stems"
FILES = ("checkpoint", "model.index", "model.data-00000-of-00001")
HAS_SPLEETER = "import importlib.util, sys; sys.exit(importlib.util.find_spec('spleeter') is None)"
SEGMENT = 512 * 1024  # samples that Spleeter sees at once
PIECE, MARGIN = 4 * SEGMENT, SEGMENT
PIECE_SECONDS = (PIECE + 2 * MARGIN) / MODEL_RATE


@dataclass
class SpleeterProcess(StereoSeparator):
    """Vocals by the package `spleeter` in an environment of its own.

    `python` is that environment's interpreter, else $JUKEBOX_SPLEETER_PYTHON; `install_spleeter` makes one. `model_path`
    is that of `Spleeter`, `config` a 2stems configuration of the package's or a JSON file like one. Raises UserError
    when any of this is missing, and in a call when Spleeter fails, in whatever way, or takes over `time_limit` seconds.

    Songs go to it in pieces: it holds 2.3 GB for one of 71 s, and stops at ten minutes unless told otherwise.
    """

    python: str | None = None
    model_path: str | None = None
    config: str = "spleeter:2stems"
    time_limit: float = 540.0  # less than prepare gives a step: nobody else ends what Spleeter has started

    def __post_init__(self) -> None:
        self.folder = model_folder(self.model_path)
        self.interpreter = find_interpreter(self.python)
        if not self.config.startswith("spleeter:2stems"):
            self.config = str(_require_file(self.config, "config"))

    def separate(self, stereo: np.ndarray) -> np.ndarray:
        """Spleeter writes the stems of each file into a folder of its name."""
        pieces = list(cut(stereo.shape[1], PIECE, MARGIN))
        folder = model_folder(str(self.folder.parent))  # again: hours may lie between construction and call
        name = (folder / "checkpoint").read_text(errors="replace").partition('"')[2].partition('"')[0]
        if folder / name != folder / "model":  # Spleeter would take random weights
            raise UserError(f'{folder / "checkpoint"} names {name!r}: expected `model_checkpoint_path: "model"` in it')
        vocals = []
        with tempfile.TemporaryDirectory(prefix="spleeter-") as work:
            files = [Path(work, f"{piece.first}.wav") for piece in pieces]
            for file, piece in zip(files, pieces, strict=True):
                soundfile.write(file, stereo[:, piece.start : piece.stop].T, MODEL_RATE, subtype="FLOAT")
            options = ["-p", self.config, "-o", work, "-d", str(PIECE_SECONDS)]
            command = [self.interpreter, "-m", "spleeter", "separate", *options, *map(str, files)]
            environment = clean_environment() | {"MODEL_PATH": str(self.folder.parent)}
            report = run_limited(command, "spleeter", work, self.time_limit, environment)
            for file, piece in zip(files, pieces, strict=True):
                written, samples = file.with_suffix("") / "vocals.wav", piece.stop - piece.start
                if not written.is_file():  # it ends with exit code 0 also when it has written nothing
                    raise UserError(f"spleeter wrote no {written.name} ({report})")
                heard, rate = audio.read(written)
                if rate != MODEL_RATE or heard.shape != (2, samples):
                    found = f"{heard.shape} (channels, samples) at {rate} Hz"
                    raise UserError(f"spleeter answered with {found} to {samples} samples at {MODEL_RATE} Hz")
                vocals.append(piece.keep(heard))
        return np.concatenate(vocals, axis=1)


def model_folder(model_path: str | None) -> Path:
    """The folder of the 2stems model in `model_path`, else in $MODEL_PATH, else in ./pretrained_models.

    It is the same for Spleeter's own package and for ours. Raises UserError when a file is missing or empty.
    """
    folder = Path(model_path or os.environ.get("MODEL_PATH") or "pretrained_models").absolute() / MODEL
    if missing := [name for name in FILES if not (folder / name).is_file() or not (folder / name).stat().st_size]:
        raise UserError(
            f"{folder} lacks {', '.join(missing)}: unpack 2stems.tar.gz from the release v1.4.0 of deezer/spleeter "
            "on GitHub there, or give the folder that holds 2stems as model_path (or MODEL_PATH)"
        )
    return folder


def find_interpreter(python: str | None) -> str:
    """The interpreter that has spleeter. Raises UserError when there is none, or ffmpeg is missing, which it calls."""
    way_out = f"`{COMMAND} FOLDER` makes an environment for it"
    if not (name := python or os.environ.get(PYTHON)):
        raise UserError(f"neither python= nor {PYTHON} names an interpreter that has spleeter: {way_out}")
    path = _require_file(name, f"python (or {PYTHON})")
    for program in ("ffmpeg", "ffprobe"):
        if not shutil.which(program):
            raise UserError(f"spleeter needs {program}, which is not installed: install ffmpeg")
    try:
        found = subprocess.run([path, "-c", HAS_SPLEETER], env=clean_environment(), capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{path} does not run ({error}): expected a Python interpreter; {way_out}") from None
    if found.returncode:
        raise UserError(f"{path} does not have spleeter: {way_out}")
    return str(path)


def clean_environment() -> dict[str, str]:
    """Ours, without what would lead another interpreter to our packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _require_file(name: str, what: str) -> Path:
    path = Path(name).absolute()  # not resolved: an environment is known by the place of its link to Python
    if not path.is_file():
        raise UserError(f"{what} is {name}, where there is no file: give the path of one")
    return path
