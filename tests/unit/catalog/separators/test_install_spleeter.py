import stat
from pathlib import Path

import pytest

from jukebox_pl.catalog.separators.install_spleeter import REQUIREMENT, main

ROOT = Path(__file__).parents[4]


@pytest.fixture
def pythons(tmp_path, monkeypatch):
    """A path on which `python3.10` is a script that notes how it is called and makes an environment of itself."""
    folder, log = tmp_path / "path", tmp_path / "log"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    write_script(folder / "python3.11", "exit 127")  # a name that leads nowhere
    python = f'echo "$@" >> {log}\ncase "$2" in venv) /bin/mkdir -p $3/bin; /bin/cp $0 $3/bin/python; : > $3/pyvenv.cfg;; '
    write_script(folder / "python3.10", python + "spleeter.fails) exit 1;; esac")
    return log


def write_script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_makes_an_environment_with_the_newest_python_that_runs(pythons, tmp_path, capfd):
    assert main([str(tmp_path / "env")]) == 0
    assert f"JUKEBOX_SPLEETER_PYTHON={tmp_path}/env/bin/python" in capfd.readouterr().out
    steps = [line for line in pythons.read_text().splitlines() if line != "-c "]
    assert steps == [f"-m venv {tmp_path}/env", f"-m pip install {REQUIREMENT}", "-c import spleeter.separator"]


def test_goes_on_in_its_own_folder_and_leaves_others_alone(pythons, tmp_path, capfd):
    assert main([str(tmp_path / "env")]) == main([str(tmp_path / "env")]) == 0
    assert main([str(tmp_path)]) == 2
    assert f"error: {tmp_path} holds something else" in capfd.readouterr().err


def test_a_step_that_fails_and_a_python_that_is_missing_are_told(pythons, tmp_path, capfd):
    write_script(tmp_path / "path" / "python3.10", '[ "$1" = -c ] || exit 5')
    assert main([str(tmp_path / "env")]) == 2
    assert "error: making the environment failed with exit code 5" in capfd.readouterr().err
    (tmp_path / "path" / "python3.10").unlink()
    assert main([str(tmp_path / "env")]) == 2
    assert "error: spleeter needs Python 3.8 to 3.11" in capfd.readouterr().err


def test_the_requirements_file_asks_for_the_same():
    lines = (ROOT / "requirements-spleeter.txt").read_text().splitlines()
    assert [line.partition(";")[0].strip() for line in lines if not line.startswith("#")] == [REQUIREMENT]
