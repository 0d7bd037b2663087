"""Checkpoints that are whole at any moment: written beside in the same folder, synced, renamed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from jukebox_pl.errors import UserError

PART = ".part"
# What a checkpoint consists of that is a folder, written by all devices (torch.distributed.checkpoint and Lightning).
SHARDED = (".metadata", "meta.pt")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's own writes into TMPDIR and moves; from another file system that is a copy over the good checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Raises OSError naming `path` when it cannot be written; what was there before stays whole."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + PART)
        try:
            with open(beside, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException as error:
            beside.unlink(missing_ok=True)
            # The zip writer, closing on the way out, hides why with an error of its own.
            cause = error.__context__ if isinstance(error, RuntimeError) else error
            if isinstance(cause, OSError):
                cause.filename = str(path)
                raise cause from None
            raise
        folder = os.open(path.parent, os.O_RDONLY)  # the new name, too, has to survive a power cut
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def require_whole(path: Path, reads_sharded: bool) -> Path | None:
    """The checkpoint at `path` of a stage's folder, None where there is none. What a killed process left beside goes.

    Raises UserError when it was cut short, or is a folder and the strategy does not read those (`reads_sharded`).
    """
    for part in path.parent.glob(f"*{PART}"):
        part.unlink(missing_ok=True)  # another rank may be as quick
    way_out = f"delete it, and stage {path.parents[1].name} is trained from step 0"
    if path.is_dir():
        if not all((path / name).exists() for name in SHARDED):
            raise UserError(f"{path} is cut short or no checkpoint; {way_out}")
        if not reads_sharded:
            raise UserError(f"{path} is spread over files of several devices: go on with trainer=fsdp, or {way_out}")
    elif not path.exists():
        return None
    elif not is_zipfile(path):  # the directory of a zip is its end
        raise UserError(f"{path} is cut short or no checkpoint; {way_out}")
    return path
