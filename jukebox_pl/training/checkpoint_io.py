"""Checkpoints that are whole at any moment: written beside in the same folder, synced, renamed."""

from __future__ import annotations

import os
import re
import shutil
import zlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn

from jukebox_pl.errors import UserError
from jukebox_pl.utils.locks import PART

GIVE_UP = "delete it: the same command goes on from the checkpoint before, or from step 0 where there is none"
NEXT, PREVIOUS = f"next.ckpt{PART}", "previous.ckpt"
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
        sync(path.parent)

    def load_checkpoint(self, path: Any, *arguments: Any, **settings: Any) -> dict[str, Any]:
        """Raises UserError for a file that holds more than tensors and plain values, of which nothing is run."""
        try:
            return super().load_checkpoint(path, *arguments, **settings)
        except UnpicklingError as error:
            raise UserError(f"{path} holds what is no tensor and no plain value ({unsafe(error)}); {GIVE_UP}") from None


def unsafe(error: UnpicklingError) -> str:
    """What was found, of torch's paragraphs."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found[1] if found else "damaged"


def last_path(folder: Path) -> Path:
    """Where the checkpoint of the stage in `folder` is."""
    return folder / "checkpoints" / "last.ckpt"


def rotate(last: Path, keep_previous: bool = True) -> None:
    """Puts the checkpoint that was written beside in the place of `last`, which becomes previous.ckpt. At no moment is there
    none; of one that is a folder, there is for a moment only the previous one."""
    written, previous = last.with_name(NEXT), last.with_name(PREVIOUS)
    folders = any(path.is_dir() for path in (written, last, previous))  # which take the place of nothing
    if folders or not keep_previous:
        remove(previous)
    if folders and last.exists():
        os.replace(last, previous) if keep_previous else remove(last)
    elif last.exists() and keep_previous:
        keep_copy(last, previous)
    os.replace(written, last)
    sync(last.parent)


def remove(path: Path) -> None:
    """Another process may be as quick."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """New names, too, have to survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_copy(checkpoint: Path, to: Path) -> None:
    """The same checkpoint under another name, without room of its own where the disk has links."""
    beside = to.with_name(to.name + PART)
    if checkpoint.is_dir():
        remove(to)
        shutil.copytree(checkpoint, beside, copy_function=link_file)
    else:
        link_file(checkpoint, beside)
    os.replace(beside, to)
    remove(beside)  # of two links to one file, replacing removes neither


def link_file(file: str | Path, to: str | Path) -> None:
    try:
        os.link(file, to)
    except OSError:
        shutil.copyfile(file, to)


def newest_whole(folder: Path, reads_sharded: bool) -> Path | None:
    """The checkpoint to go on from in a stage's folder, None where there is none: last.ckpt, or the one before where that is
    broken, which is said and set aside. What a killed process left beside goes.

    Raises UserError when all are broken, or it is a folder and the strategy does not read those (`reads_sharded`).
    """
    last = last_path(folder)
    for part in last.parent.glob(f"*{PART}"):
        remove(part)
    there = [path for path in (last, last.with_name(PREVIOUS)) if path.exists()]
    broken = [path for path in there if not is_whole(path)]
    whole = [path for path in there if path not in broken]
    named = " and ".join(map(str, broken or there))
    way_out = f"delete {named if len(broken or there) > 1 else 'it'}, and stage {folder.name} is trained from step 0"
    if not whole:
        if broken:
            raise UserError(f"{named} {'are' if len(broken) > 1 else 'is'} cut short or no checkpoint; {way_out}")
        return None
    if whole[0].is_dir() and not reads_sharded:
        raise UserError(f"{whole[0]} is spread over files of several devices: go on with trainer=fsdp, or {way_out}")
    if broken and broken[0] == last:
        rank_zero_warn(f"{last} is cut short or no checkpoint: goes on from {whole[0].name}, the one before")
        set_aside(last)
    return whole[0]


@rank_zero_only
def set_aside(last: Path) -> None:
    """Else it would be the next one before."""
    aside = last.with_name("broken.ckpt")
    remove(aside)
    os.replace(last, aside)


def is_whole(path: Path) -> bool:
    """Whether a checkpoint has its end, and every part of it the checksum that was written."""
    if path.is_dir():
        return all((path / name).exists() for name in SHARDED)
    try:
        with ZipFile(path) as parts:
            return parts.testzip() is None
    except (BadZipFile, OSError, zlib.error):
        return False
