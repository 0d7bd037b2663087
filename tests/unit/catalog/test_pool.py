"""Every job is answered for, also those that take their process with them, and no process outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jukebox_pl.catalog.pool import run_all
from jukebox_pl.errors import UserError


def die_on_three(number: int) -> None:
    if number == 3:
        os._exit(1)


def refuse(number: int) -> None:
    raise UserError(f"no room for {number}")


def sleep_and_tell(file: Path) -> None:
    file.write_text(str(os.getpid()))
    time.sleep(60)


def test_a_job_that_kills_its_process_stops_no_other():
    answers = dict(run_all(die_on_three, range(6), workers=2))
    assert answers == {number: number != 3 for number in range(6)}


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_job_raises_is_raised(workers):
    with pytest.raises(UserError, match="no room for 0"):
        list(run_all(refuse, range(4), workers))


def test_processes_that_cannot_start_are_no_fault_of_a_job(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import time\nfrom jukebox_pl.catalog.pool import run_all\nprint(list(run_all(time.sleep, [0, 0], workers=1)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert "UserError: worker processes do not start" in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_end_when_their_parent_is_killed(tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]
    parent = multiprocessing.get_context("fork").Process(target=lambda: list(run_all(sleep_and_tell, files, 2)))
    parent.start()
    wait_until(lambda: all(file.is_file() and file.read_text() for file in files))
    os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not any(alive(file.read_text()) for file in files))


def wait_until(holds, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
