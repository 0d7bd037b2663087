import os
import sys
import time
from pathlib import Path

import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.utils.subprocesses import run_limited


def test_the_last_line_of_its_complaints_comes_back(tmp_path):
    code = "import os, sys; print('first', file=sys.stderr); print(os.getcwd(), os.environ['WHO'], file=sys.stderr)"
    environment = dict(os.environ) | {"WHO": "me"}
    assert run_limited([sys.executable, "-c", code], "it", str(tmp_path), 20, environment) == f"{tmp_path.resolve()} me"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('no model')"], r"align ended with exit code 1 \(no model\)"),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], r"align ended with exit code -9 \(it said nothing\)"),
        (["/no/such/program"], "align does not start: .*No such file"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(tmp_path, command, message):
    with pytest.raises(UserError, match=message) as raised:
        run_limited(command, "align", str(tmp_path), 20)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("end", ["wait", "exit"])
def test_all_it_has_started_ends_with_it(tmp_path, end):
    note = tmp_path / "pid"
    command = ["sh", "-c", f"sleep 60 >/dev/null 2>&1 & echo $! > {note}; {end}"]
    if end == "wait":
        with pytest.raises(UserError, match="align did not end within time_limit=1 seconds"):
            run_limited(command, "align", str(tmp_path), 1)
    else:
        run_limited(command, "align", str(tmp_path), 20)
    assert has_ended(int(note.read_text()))


def has_ended(pid):
    """Or ends within seconds; one that nobody has asked about since is a zombie."""
    status = Path(f"/proc/{pid}/stat")
    for _ in range(50):
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False
