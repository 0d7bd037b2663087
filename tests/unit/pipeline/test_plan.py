"""A plan tells what it can, divides by nothing, and refuses what does not fit with what does."""

import re

import pytest
import torch

from datamodules.demo import write_demo_catalog
from jukebox_pl import fit as fit_command
from jukebox_pl.catalog.prepare import prepare
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.pipeline import plan
from jukebox_pl.pipeline.plan import count
from jukebox_pl.report.runs import read_plan


def shards(folder, songs, seconds=4.0):
    made = write_demo_catalog(folder / "songs", songs=songs, seconds=seconds)
    prepare(PrepareSettings(made, folder / "shards", sample_rate=11025, workers=0))
    return folder / "shards"


def told(fit, capsys, *words):
    fit("recipe=top_prior", "plan=only", *words)
    return capsys.readouterr().err


def test_without_a_catalog_memory_and_parameters_are_told(fit, tmp_path, capsys):
    text = told(fit, capsys, f"run_dir={tmp_path / 'run'}")
    assert "no catalog yet at SHARDS" in text
    assert re.search(r"time +\d+:\d\d:\d\d +\d+:\d\d:\d\d", text)  # of both stages, by steps that were taken
    assert re.search(r"memory +\d+(\.\d+)? [kM]B", text)
    assert "parameters" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("songs", [1, 2])
def test_a_catalog_of_few_songs_is_told_what_it_lacks(fit, tmp_path, capsys, songs):
    text = told(fit, capsys, f"data.path={shards(tmp_path, songs)}", f"run_dir={tmp_path / 'run'}")
    assert "to train on" in text
    assert "top_prior: more parameters than codes" in text
    assert "passes" in text
    assert ("no song is held out" in text) == (songs == 1)


def test_songs_shorter_than_a_window_are_told(fit, tmp_path, capsys):
    words = f"data.path={shards(tmp_path, 2)}", f"run_dir={tmp_path / 'run'}", "size.top_prior.transformer.ctx=1024"
    assert "no song is as long as one window of top_prior" in told(fit, capsys, *words)


def test_what_does_not_fit_is_refused_with_the_batch_that_does(fit, demo_shards, tmp_path, capsys):
    words = "recipe=top_prior", f"data.path={demo_shards}", f"run_dir={tmp_path / 'run'}", "plan.memory=0.1"
    batch = "size.top_prior.batch_size=1024"
    with pytest.raises(SystemExit):
        fit(*words, batch)
    line = capsys.readouterr().err.splitlines()[-1]
    assert "stage top_prior needs about" in line
    assert "plan=ignore" in line
    given = [word for word in line.replace(";", " ").split() if word.startswith(("stages.", "+trainer."))]
    assert given
    fit(*words, batch, *given, "plan.only=true")


@pytest.mark.parametrize("wrong", ["plan.memory=0", "plan.devices=-8", "plan.tflops=many"])
def test_a_machine_that_cannot_be_is_one_line(fit, demo_shards, tmp_path, capsys, wrong):
    with pytest.raises(SystemExit):
        fit("recipe=vqvae", f"data.path={demo_shards}", f"run_dir={tmp_path / 'run'}", wrong)
    assert f"error: {wrong}: expected a number above zero" in capsys.readouterr().err


def test_nothing_smaller_is_told_as_such(fit, demo_shards, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fit_command, "sizes", dict)
    with pytest.raises(SystemExit):
        fit("recipe=vqvae", f"data.path={demo_shards}", f"run_dir={tmp_path / 'run'}", "plan.memory=0.000001")
    assert "no size fits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gain", "words", "is_told"),
    [
        (7.4, "", True),
        (1.9, "", False),
        (7.4, "size.top_prior.transformer.width=256", False),
        (7.4, "trainer.precision=bf16-mixed", False),
        (7.4, "plan.tflops=1", False),
    ],
)
def test_a_cpu_with_units_for_bfloat16_is_told_of(fit, tmp_path, capsys, monkeypatch, gain, words, is_told):
    monkeypatch.setattr(plan, "bfloat16_gain", lambda: gain)
    monkeypatch.setattr(plan, "SLOWEST", 0)  # no step is tried
    run, wide = tmp_path / "run", "size.top_prior.transformer.width=512"
    text = told(fit, capsys, f"run_dir={run}", "trainer.accelerator=cpu", wide, *words.split())
    assert ("top_prior: this CPU multiplies matrices 7 times as fast in bfloat16, so trainer.precision" in text) == is_told
    assert ("less time, though not for the VQ-VAE" in text) == is_told
    (run / "vqvae").mkdir(parents=True)
    (run / "vqvae/config.json").write_text("{}")
    assert "bfloat16" not in told(fit, capsys, f"run_dir={run}", "trainer.accelerator=cpu", wide, *words.split())


@pytest.mark.parametrize(("number", "words"), [(0, "0"), (999, "999"), (1234, "1.23 k"), (5.04e9, "5.04 G")])
def test_numbers_as_people_say_them(number, words):
    assert count(number) == words


def test_another_machine_is_told_of_by_what_it_reaches(fit, tmp_path, capsys):
    words = "plan.devices=2", "plan.memory=1", "plan.tflops=0.0001", "trainer=ddp", "trainer.precision=bf16-mixed"
    text = told(fit, capsys, f"run_dir={tmp_path / 'run'}", *words)
    steps, work, time = (re.search(rf"{row} +(\S+)", text)[1] for row in ("steps", "work a step", "time"))
    assert f"{work} MFLOP" in text
    hours, minutes, seconds = map(int, time.split(":"))
    assert 3600 * hours + 60 * minutes + seconds == pytest.approx(int(steps) * float(work) * 1e6 / 1e8, rel=0.05)


def test_what_was_planned_is_noted_for_the_page_of_the_run(finished):
    promises = read_plan(finished).stages
    assert {"vqvae", "lyrics_prior", "upsampler_1", "upsampler_0"} <= promises.keys()
    assert {promise.steps for promise in promises.values()} == {4}
    assert (finished / "index.html").read_text().count("<td>promised</td>") == len(promises)


def test_what_is_trained_is_not_planned_again(fit, finished, capsys):
    fit("recipe=demo", f"run_dir={finished}", "max_steps=4", "data=demo", "data.source.songs=6", "plan=only")
    assert "nothing is left to train" in capsys.readouterr().err


def test_a_stage_that_cannot_be_told_trains_all_the_same(fit, demo_shards, tmp_path, capsys, monkeypatch):
    def no_batch(*_):
        raise TypeError("no batch is known for a Network")

    monkeypatch.setattr(plan, "cost_of", no_batch)
    fit("recipe=vqvae", f"data.path={demo_shards}", f"run_dir={tmp_path / 'run'}", "max_steps=2")
    assert "plan: vqvae cannot be told (TypeError: no batch is known for a Network)" in capsys.readouterr().err
    assert (tmp_path / "run/vqvae/result.json").exists()


class Frozen:
    """A Tuning that trains the embedding alone."""

    dtype = torch.bfloat16

    def prepare(self, prior):
        prior.requires_grad_(False).embed.requires_grad_(True)


def test_a_fine_tune_is_told_by_what_it_trains():
    transformer = {"_target_": "jukebox_pl.nn.transformer.Transformer", "width": 16, "heads": 2, "pattern": "RCP"}
    network = {"_target_": "jukebox_pl.models.prior.Prior", "bins": 8, "transformer": transformer | {"ctx": 16, "block": 4}}
    module = {"_target_": "jukebox_pl.training.modules.prior.PriorModule"}
    part, whole = (plan.cost_of(network, module, {"batch_size": 2, "ctx": 16}, "32-true", tune) for tune in (Frozen(), None))
    assert part.trained == 8 * 16
    assert part.gradients == 4 * part.trained
    assert part.parameters == whole.parameters == whole.trained
    assert whole.weights / 2 < part.weights < whole.weights
