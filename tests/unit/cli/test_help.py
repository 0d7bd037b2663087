"""What --help says: what the command is and costs, its choices, every setting with what it means, in the width there is."""

import subprocess
import sys

import pytest

from jukebox_pl import fit
from jukebox_pl.cli import command, help

COMMANDS = ("fit", "sample", "prepare", "evaluate", "convert", "app")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [40, 80])
def test_help_fits_the_terminal_and_names_what_every_command_takes(name, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    text = help.help_text(name)
    assert text.startswith("Command:  python -m jukebox_pl.")
    words = {word for line in text.splitlines() for word in line.split()}
    assert {"--print", "quiet=true", "json=true"} <= words
    long = [line for line in text.splitlines() if len(line) > width]
    assert all(" " not in line.strip() for line in long)  # a word alone cannot be folded


@pytest.mark.parametrize("name", ["sample", "evaluate"])
def test_every_setting_is_listed_as_it_is_given(name):
    text = help.help_text(name)
    names = [n for n in command.settings(command.compose_config(name, [])) if n.partition(".")[0] != "questions"]
    assert [n for n in names if f"\n  {n}=" not in text and n not in ("data", "params", "questions", "recogniser")] == []


def test_what_is_chosen_first_stands_first_and_a_choice_says_what_it_costs():
    text = help.help_text("fit", ["--help", "recipe=demo", "size=nowhere", "recipe=../fit"])
    assert text.index("\n  recipe=") < text.index("\n  size=") < text.index("\n  data=") < text.index("\n  trainer=")
    assert "recipe=demo\nCommand:  python -m jukebox_pl.fit recipe=demo" in text
    assert "6 to 7.5 minutes" in text
    assert "_dashboard" not in text


def test_nothing_is_trained_where_nothing_is_said(capsys):
    fit.cli_main([])
    assert capsys.readouterr().out.startswith("Command:  python -m jukebox_pl.fit recipe=NAME")


HEAVY = "import sys; sys.argv[1:] = ['--help']; import runpy\n"
HEAVY += "try:\n runpy.run_module('jukebox_pl.{}', run_name='__main__')\n"
HEAVY += "finally:\n assert not {{'torch', 'hydra', 'numpy', 'rich'}} & set(sys.modules), sorted(sys.modules)"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_comes_before_anything_heavy(name):
    ended = subprocess.run([sys.executable, "-c", HEAVY.format(name)], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Command:")


def test_a_reader_that_goes_is_no_error():
    ended = subprocess.run(
        f"{sys.executable} -m jukebox_pl.sample --help | head -1", shell=True, capture_output=True, text=True
    )
    assert ended.stderr == ""
    assert ended.stdout.count("\n") == 1
