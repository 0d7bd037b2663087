"""One run for every combination of values."""

import subprocess
from types import SimpleNamespace

import pytest

from jukebox_pl.cli import command, multirun


@pytest.fixture
def started(monkeypatch):
    """What is started, as words; `codes` are the exit codes by a word that is among them."""
    seen = SimpleNamespace(words=[], codes={})

    def run(words, check):
        seen.words.append(words[3:])
        return SimpleNamespace(returncode=next((code for word, code in seen.codes.items() if word in words), 0))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    return seen


def fit(*words):
    command.run(lambda config: pytest.fail("nothing is trained here"), "fit", list(words))


def test_every_combination_has_a_run_of_its_own(started):
    fit("-m", "size.top_prior.optim.lr=1e-3,3e-3", "seed=range(0,2)", "recipe=top_prior", "run_dir=/runs/a")
    rates = [f"size.top_prior.optim.lr={rate}" for rate in ("0.001", "0.003")]
    expected = [(rate, f"seed={seed}") for rate in rates for seed in (0, 1)]
    assert started.words == [["recipe=top_prior", *both, f"run_dir=/runs/a/{','.join(both)}"] for both in expected]


def test_without_a_folder_each_is_a_folder_in_the_usual_one(started):
    fit("--multirun", "size=tiny,small")
    assert started.words[1] == ["size=small", "run_dir=runs/${name}/size=small"]
    config = command.compose_config("fit", ["data.path=x", "run_dir=runs/${name}/size=small"])
    assert config.run_dir == "runs/demo/size=small"


def test_a_mistake_in_one_leaves_the_others_and_a_stop_ends_all(started, capsys):
    started.codes = {"seed=1": 2}
    with pytest.raises(SystemExit) as ended:
        fit("-m", "seed=0,1,2")
    assert (ended.value.code, len(started.words)) == (2, 3)
    assert "error: 1 of 3 runs were not finished, seed=1" in capsys.readouterr().err
    started.codes = {"seed=1": 130}
    with pytest.raises(SystemExit) as ended:
        fit("-m", "seed=0,1,2")
    assert (ended.value.code, len(started.words)) == (130, 5)


def test_what_cannot_be_is_one_line(started, capsys, monkeypatch):
    for words, expected in ((["seed=1", "data.songs=[a,b]"], "expected a setting with several values"), ([], "expected")):
        with pytest.raises(SystemExit, match="2"):
            fit("-m", *words)
        assert expected in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="2"):
        fit("-m", "seed=0,1")
    assert "not under torchrun" in capsys.readouterr().err
    assert not started.words


def test_a_list_of_values_is_none_for_one_run():
    assert [multirun.swept(word) for word in ("a=1", "a=[1,2]", "a='1,2'", "a", "a=")] == [[]] * 5


@pytest.mark.slow
def test_a_sweep_is_made_in_processes_of_its_own(start_fit, demo_shards, tmp_path):
    words = "-m", "recipe=vqvae", f"data.path={demo_shards}", "max_steps=1", f"run_dir={tmp_path}/sweep", "seed=0,1"
    process = start_fit(*words)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    assert "(2/2) seed=1" in stderr
    models = [(tmp_path / f"sweep/seed={seed}/vqvae/model/model.safetensors").read_bytes() for seed in (0, 1)]
    assert models[0] != models[1]
