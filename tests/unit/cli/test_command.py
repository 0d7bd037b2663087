"""What every command can do: print its settings, take old names of them, say a mistake in one line."""

import errno
import re

import pytest
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError

from jukebox_pl import errors, fit, sample
from jukebox_pl.cli import command
from jukebox_pl.errors import UserError


def test_print_shows_the_settings_as_composed_and_does_nothing(capsys):
    command.run(lambda config: pytest.fail("the command ran"), "sample", ["seconds=3", "--print", "lyrics=für [Anna]"])
    printed = capsys.readouterr()
    settings = yaml.safe_load(printed.out)
    assert (settings["seconds"], settings["lyrics"], settings["hop_fraction"]) == (3, "für [Anna]", [0.5, 0.5, 0.125])
    assert "für" in printed.out
    assert printed.err == ""


def test_print_resolves_what_it_can_and_leaves_the_rest_as_written(tmp_path, capsys):
    fit.cli_main(["--print", "recipe=vqvae", "data=shards", f"data.path={tmp_path}", "run_dir=runs/mine"])
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["data"]["path"] == str(tmp_path)
    leaves = command.settings(settings)
    assert not [name for name, value in leaves.items() if "${run_dir" in str(value)]
    assert not (tmp_path / "catalog.json").exists()
    config = OmegaConf.create(
        {"a": 1, "b": "${a}", "c": {"d": "${catalog:nowhere,artists}", "e": ["${b}", "${f}"]}, "g": "???"}
    )
    expected = {"a": 1, "b": 1, "c": {"d": "${catalog:nowhere,artists}", "e": [1, "${f}"]}, "g": "???"}
    assert command.resolved(config) == expected


def test_a_recogniser_may_be_named_by_its_folder(tmp_path):
    short = command.compose_config("evaluate", [f"recogniser={tmp_path}"])
    assert short == command.compose_config("evaluate", ["recogniser=transformers", f"recogniser.path={tmp_path}"])
    with pytest.raises(UserError, match="transformers"):  # the choices there are
        command.compose_config("evaluate", ["recogniser=nowhere"])


def test_print_tells_of_a_mistake_too(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.run(lambda config: None, "sample", ["--print", "sed=1"])
    assert "did you mean seed" in capsys.readouterr().err


NEW, OLD = {"size.vqvae.model.code_dim", "size.growth.dilation_growth"}, {"size.vqvae.model.emb"}


@pytest.mark.parametrize(
    ("word", "known", "current"),
    [
        ("size.vqvae.model.emb=8", NEW, "size.vqvae.model.code_dim=8"),
        ("size.growth.growth=3=2", NEW, "size.growth.dilation_growth=3=2"),
        ("size.vqvae.model.code_dim=8", NEW, "size.vqvae.model.code_dim=8"),
        ("size.vqvae.model.emb=8", OLD, "size.vqvae.model.emb=8"),
        ("size.vqvae.model.emb=8", NEW | OLD, "size.vqvae.model.emb=8"),
        ("size.prior.model.emb=8", NEW, "size.prior.model.emb=8"),
        ("size=tiny", NEW, "size=tiny"),
        ("stage.model.emb=8", {"stage.model.code_dim"}, "stage.model.emb=8"),
        ("+size.vqvae.model.code_dim=8", NEW, "size.vqvae.model.code_dim=8"),
        ("+size.of_ones_own=8", NEW, "+size.of_ones_own=8"),
    ],
)
def test_an_old_name_of_a_setting_means_what_it_meant(word, known, current):
    assert command.current_name(word, known) == current


def test_old_names_reach_the_config(tmp_path, monkeypatch):
    (tmp_path / "size").mkdir()
    (tmp_path / "size/tiny.yaml").write_text("vqvae: {model: {code_dim: 4, dilation_growth: 3}}")
    (tmp_path / "fit.yaml").write_text("defaults: [size: tiny, _self_]")
    monkeypatch.setattr(command, "recipes_folder", lambda: tmp_path)
    config = command.compose_config("fit", ["size.vqvae.model.emb=8", "size.vqvae.model.growth=1"])
    assert config.size.vqvae.model == {"code_dim": 8, "dilation_growth": 1}


UNQUOTED = {
    "a value with blanks": (["seconds=3", "artist=Ada", "Bell"], "'Bell' is no name=value: quote .* 'artist=Ada Bell'"),
    "three words": (["artist=Ada", "Bell", "Lee", "seed=1"], "such as 'artist=Ada Bell Lee'"),
    "dashes": (["--artist", "Ada", "Bell"], "--artist: settings are name=value, without dashes: 'artist=Ada Bell'"),
    "dashes and =": (["--run-dir=x"], "without dashes: run_dir=x"),
    "dashes alone": (["--stream"], "without dashes: stream=VALUE"),
    "one dash": (["-n", "3"], "without dashes: n=3"),
    "a bare path": (["/tmp"], "'/tmp' is no name=value: say what it is, such as NAME=/tmp"),
    "a path behind": (["seed=1", "runs/no such"], "such as 'NAME=runs/no such'"),
    "a tilde path": (["~/songs"], "'~/songs' is no name=value: say what it is"),
    "blanks around =": (["run_dir", "=", "x"], "'run_dir' is no name=value: no blanks around =, such as run_dir=x"),
    "a blank before =": (["run_dir", "=x"], "no blanks around =, such as run_dir=x"),
    "a blank behind =": (["run_dir=", "x"], "run_dir= x: no blank behind =, such as run_dir=x"),
    "= alone": (["=", "x"], "= x: no blank behind ="),
}


@pytest.mark.parametrize(("words", "told"), UNQUOTED.values(), ids=UNQUOTED)
def test_what_is_no_setting_is_answered_with_what_was_meant(words, told, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.run(lambda config: pytest.fail("the command ran"), "sample", words)
    line = capsys.readouterr().err
    assert re.search(told, line), line
    assert line.count("\n") == 1
    assert not re.search("Hydra|EQUAL|mismatched|overrides", line)


def test_what_is_meant_composes():
    assert command.as_typed("sample", ["artist=", "run_dir=x"]) == ["artist=", "run_dir=x"]
    assert command.as_typed("fit", ["~stages.codes", "+a.b=1", "++c=2"]) == ["~stages.codes", "+a.b=1", "++c=2"]


def test_a_tilde_is_the_users_folder_and_nothing_else(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    words = ["run_dir=~/runs/a b", "out=~", "artist=~Ada", "lyrics=la ~/x"]
    assert command.as_typed("sample", words) == ["run_dir=/home/ada/runs/a b", "out=/home/ada", *words[2:]]


def test_a_setting_has_other_words():
    config = command.compose_config("sample", command.as_typed("sample", ["genres=Waltz", "bundle=B"]))
    assert (config.genre, config.run_dir) == ("Waltz", "B")
    assert command.as_typed("fit", ["bundle=B"]) == ["init_from=B"]
    assert sample.names_in(["genres=Waltz", "seed=1"]) == {"genre", "seed"}


@pytest.mark.parametrize("wrong", ["data.sample_rat=1", "data.workerz=1", "sample_rate=11025", "data.songz=x"])
def test_a_name_that_is_offered_is_taken(wrong):
    fit_words = ["recipe=vqvae", "data=folder", "data.songs=SONGS"]
    with pytest.raises(UserError) as told:
        command.compose_config("fit", [*fit_words, wrong])
    offered = re.search(r"did you mean (.*)\?", str(told.value))[1].split(" or ")
    for name in offered:
        command.compose_config("fit", [*fit_words, f"{name}=null"])


def raised(error, cause=None):
    error.__cause__ = cause
    return error


MISTAKES = {
    "a user's": (UserError("no\nsongs"), "no songs"),
    "of a worker": (UserError("Traceback ...\njukebox_pl.errors.UserError: no songs"), "no songs"),
    "wrapped": (raised(RuntimeError("failed"), UserError("no songs")), "no songs"),
    "a full disk": (OSError(errno.ENOSPC, "No space left", "a.wav"), "a.wav: No space left; make room or"),
    "a bug": (KeyError("a"), None),
    "a bug of ours on a disk": (OSError(errno.EIO, "broken"), None),
}


@pytest.mark.parametrize("find", [errors.mistake_in, command.mistake_in])
@pytest.mark.parametrize(("error", "line"), MISTAKES.values(), ids=MISTAKES)
def test_whose_mistake_an_error_is(find, error, line):
    found = find(error)
    assert found is line or found.startswith(line)


def test_the_command_line_knows_the_mistakes_of_its_libraries():
    error = raised(RuntimeError("failed"), ConfigKeyError("Key 'sed' is not there"))
    assert errors.mistake_in(error) is None
    assert command.mistake_in(error) == "Key 'sed' is not there"
