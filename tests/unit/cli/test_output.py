"""What scripts get: one line on standard output with json=true, warnings and mistakes alone with quiet=true."""

import json
import subprocess
import sys
import warnings

import pytest

from jukebox_pl import sample
from jukebox_pl.cli import command
from jukebox_pl.errors import UserError


def talking(config):
    print("a table")
    print("a line", file=sys.stderr)
    print("warning: old", file=sys.stderr)
    warnings.warn("something is odd", stacklevel=1)
    return {"seed": config.seed, "page": "für.html"}


def test_json_is_the_only_line_of_standard_output(capsys):
    command.run(talking, "sample", ["json=true", "seed=3"])
    printed = capsys.readouterr()
    assert printed.out == '{"command": "sample", "seed": 3, "page": "für.html"}\n'
    assert "a table\na line\n" in printed.err


def test_quiet_lets_warnings_through_and_nothing_else(capsys):
    command.run(talking, "sample", ["quiet=true"])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line for line in printed.err.splitlines() if not line.startswith("warning: ")] == []
    assert "warning: old\n" in printed.err
    command.run(talking, "sample", ["quiet=True", "json=true"])
    assert json.loads(capsys.readouterr().out)["command"] == "sample"


def raising(error):
    def main(config):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [(UserError("no such file"), 2, "no such file"), (KeyboardInterrupt(), 130, command.STOPPED)],
)
def test_a_mistake_and_a_stop_are_lines_of_json_too(error, code, told, capsys):
    with pytest.raises(SystemExit, match=str(code)):
        command.run(raising(error), "sample", ["json=true"])
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"command": "sample", "error": told}
    assert told in printed.err


def test_json_has_no_numbers_that_are_none_and_tells_of_a_signal(capsys):
    command.run(lambda config: {"loss": float("nan")}, "sample", ["json=true"])
    assert json.loads(capsys.readouterr().out) == {"command": "sample", "loss": None}
    with pytest.raises(SystemExit, match="143"):
        command.run(raising(SystemExit(143)), "sample", ["json=true"])
    assert "exit code 143" in json.loads(capsys.readouterr().out)["error"]


def test_a_bug_of_ours_is_told_and_stays_a_traceback(capsys):
    with pytest.raises(ZeroDivisionError):
        command.run(raising(ZeroDivisionError("by\nzero")), "sample", ["json=true", "quiet=true"])
    assert json.loads(capsys.readouterr().out)["error"] == "ZeroDivisionError: by\\nzero"


@pytest.mark.parametrize("words", [["seed=x", "json=true"], ["json=true", "no_such=1"], ["--json=true", "json=true"]])
def test_also_what_is_wrong_with_the_words(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.run(talking, "sample", words)
    assert json.loads(capsys.readouterr().out)["error"]


def test_how_to_speak_is_true_or_false_and_no_setting_of_a_song(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.run(talking, "sample", ["quiet=yes"])
    assert capsys.readouterr().err == "error: quiet=yes: expected quiet=true or quiet=false\n"
    assert sample.names_in(["quiet=true", "json=true", "seed=1"]) == {"seed"}


LONG = """
from jukebox_pl.cli import command
command.run(lambda config: [print("line", number, flush=True) for number in range(100_000)] and None, "sample", [])
"""


def test_a_reader_that_goes_ends_the_command_without_a_word():
    pipe = f"{sys.executable} -c '{LONG}' | head -1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("line 0\n141\n", "")
