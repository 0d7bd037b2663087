"""Every job is answered for, also those that take their process with them, and no process outlives its parent."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jukebox_pl.catalog.engines import LocalEngine, RayEngine
from jukebox_pl.errors import UserError

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
ENGINES = [
    pytest.param(LocalEngine(workers=2, step_seconds=1.0), id="local"),
    pytest.param(RayEngine(step_seconds=1.0), id="ray", marks=[needs_ray, pytest.mark.slow]),
]


@pytest.fixture(scope="module", autouse=True)
def no_cluster_left():
    yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


def misbehave(number: int) -> None:
    if number == 3:
        os._exit(1)
    if number == 4:
        time.sleep(60)
    if number == 5:
        re.match(r"(a+)+$", "a" * 60 + "b")  # for years, and no other thread of Python runs meanwhile


def die_once(file: Path) -> None:
    """As of a process that the system ended for want of memory."""
    if not file.exists():
        file.touch()
        os._exit(1)


def refuse(number: int) -> None:
    raise UserError(f"no room for {number}")


def sleep_and_tell(file: Path) -> None:
    file.write_text(str(os.getpid()))
    time.sleep(60)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_job_that_dies_or_hangs_stops_no_other(engine):
    answers = list(engine.run_all(misbehave, range(8)))
    assert dict(answers) == {number: number not in (3, 4, 5) for number in range(8)}
    assert len(answers) == 8


@pytest.mark.parametrize("engine", ENGINES)
def test_a_job_whose_process_died_once_is_done_again(engine, tmp_path):
    files = [tmp_path / name for name in "abc"]
    assert dict(engine.run_all(die_once, files)) == dict.fromkeys(files, True)


@pytest.mark.parametrize("engine", [LocalEngine(workers=0), *ENGINES])
def test_what_a_job_raises_is_raised(engine):
    with pytest.raises(UserError, match="no room for"):
        list(engine.run_all(refuse, range(4)))


def test_jobs_are_taken_as_they_are_needed():
    taken = []
    jobs = (taken.append(number) or number for number in range(100))
    answers = LocalEngine(workers=1).run_all(abs, jobs)
    assert next(answers) == (0, True)
    answers.close()
    assert taken == [0]


def test_an_idle_process_that_dies_costs_no_job(tmp_path):
    engine = LocalEngine(workers=1)
    answers = engine.run_all(write_pid, [tmp_path / "a", tmp_path / "b"])
    assert next(answers) == (tmp_path / "a", True)
    os.kill(int((tmp_path / "a").read_text()), signal.SIGKILL)
    time.sleep(0.2)
    assert list(answers) == [(tmp_path / "b", True)]


def write_pid(file: Path) -> None:
    file.write_text(str(os.getpid()))


def test_processes_that_cannot_start_are_no_fault_of_a_job(tmp_path):
    script = tmp_path / "unguarded.py"
    call = "print(list(LocalEngine(workers=1).run_all(time.sleep, [0, 0])))"
    script.write_text(f"import time\nfrom jukebox_pl.catalog.engines import LocalEngine\n{call}\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert "UserError: worker processes do not start" in done.stderr
    assert done.stdout == ""


@needs_ray
@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1"])
def test_no_ray_cluster_is_one_line(address):
    ray = pytest.importorskip("ray")
    ray.shutdown()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(UserError, match=rf"no Ray cluster at engine\.address={address} \(.*\): start one, or use local"):
        list(RayEngine(address=address).run_all(abs, [1]))
    assert signal.getsignal(signal.SIGTERM) is before  # Ray answers it otherwise


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_end_when_their_parent_is_killed(tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]
    run = LocalEngine(workers=2).run_all
    parent = multiprocessing.get_context("fork").Process(target=lambda: list(run(sleep_and_tell, files)))
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
