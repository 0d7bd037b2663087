"""Other programs, run on one song: no shell sees the command, and nothing of theirs stays when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from jukebox_pl.errors import UserError


def run_limited(
    command: Sequence[str], name: str, folder: str, seconds: float, environment: Mapping[str, str] | None = None
) -> str:
    """The last line on the standard error of a command that ends well; all it has started ends with it.

    Raises UserError, in which the program is called `name`, with that line when it does not end well, when it does not
    start, or not end within `seconds`.
    """
    quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    try:
        process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **quiet)
    except OSError as error:
        raise UserError(f"{name} does not start: {error}") from error
    with process:
        try:
            errors = process.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            raise UserError(f"{name} did not end within time_limit={seconds:g} seconds: allow more") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    report = (errors.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
    if process.returncode:
        raise UserError(f"{name} ended with exit code {process.returncode} ({report})")
    return report
