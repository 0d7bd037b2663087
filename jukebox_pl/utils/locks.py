"""One process at a time in a folder, and what a killed one has left there."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jukebox_pl.errors import UserError

LOCK_FILE = ".lock"
PART = ".part"  # ends the name of what is not yet whole
LOOKS = 3  # at a lock that is held: `is_locked` of another process holds it for a moment
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # of a file system that keeps none: nothing is guarded there


@contextmanager
def locked(folder: Path, setting: str) -> Iterator[bool]:
    """Holds `folder`, which is made where it is missing; the kernel frees it when the process dies, however it does.
    Yields whether one before was killed.

    Raises UserError, in which the folder is what `setting` names, when another process holds it or it cannot be made or
    written. On NFS it holds between machines as far as the server keeps locks.
    """
    path = folder / LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file, was_killed = hold(path)
    except BlockingIOError:
        holder = path.read_text(errors="replace") if path.exists() else ""
        raise UserError(
            f"{setting}={folder} is in use by {holder or 'another process'}: wait until it ends, or choose another {setting}"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = error.strerror if isinstance(error, OSError) else error
        shown = name if len(name := str(folder)) < 200 else f"{name[:80]}...{name[-20:]}"
        raise UserError(f"{setting}={shown} cannot be written ({reason}): choose another folder") from None
    try:
        yield was_killed
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held: who opened it before looks again
        os.close(file)


def hold(path: Path) -> tuple[int, bool]:
    """A descriptor that holds the lock file, and whether it was there. Raises BlockingIOError when another process does."""
    looks = 0
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock, which processes forked from here hold on to
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                was_killed = os.fstat(file).st_size > 0
                os.ftruncate(file, 0)
                os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return file, was_killed
        except OSError as error:
            if error.errno in NO_LOCKS:
                return file, False
            os.close(file)
            if error.errno not in (errno.EACCES, errno.EAGAIN):  # POSIX allows either
                raise
            if (looks := looks + 1) == LOOKS:
                raise BlockingIOError(*error.args) from None
            time.sleep(0.05)
            continue
        os.close(file)  # the one before has removed it since


def sweep(folder: Path) -> None:
    """Removes what killed processes have left unfinished in a folder that no other process writes to."""
    for path in [*folder.rglob(f"*{PART}")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_locked(folder: Path, unless_known: bool = False) -> bool:
    """Whether another process holds `folder`, here or as far as the file system knows: `unless_known` where it keeps no
    locks. Not to be asked by one that holds it: that would free it."""
    try:
        with open(folder / LOCK_FILE, "rb+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno not in NO_LOCKS or unless_known
    return False
