"""Where Spleeter's weights lie, the same for its own package and for ours: MODEL_PATH/2stems/."""

from __future__ import annotations

import os
from pathlib import Path

from jukebox_pl.errors import UserError

MODEL = "2stems"
FILES = ("checkpoint", "model.index", "model.data-00000-of-00001")


def model_folder(model_path: str | None) -> Path:
    """The folder of the 2stems model in `model_path`, else in $MODEL_PATH, else in ./pretrained_models.

    Raises UserError when a file is missing or empty.
    """
    root = Path(model_path or os.environ.get("MODEL_PATH") or "pretrained_models").absolute()
    missing = [name for name in FILES if not _has_bytes(root / MODEL / name)]
    if missing:
        raise UserError(
            f"{root / MODEL} lacks {', '.join(missing)}: unpack 2stems.tar.gz from the release v1.4.0 of deezer/spleeter "
            "on GitHub there, or give the folder that holds 2stems as model_path (or MODEL_PATH)"
        )
    return root / MODEL


def _has_bytes(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
