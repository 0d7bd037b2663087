"""`batch_size=auto`: what fits is taken, the whole step stays, and a resume has the same numbers."""

import re
import threading

import pytest

from jukebox_pl.cli.command import compose_config
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline import batches, stage_folder
from jukebox_pl.pipeline.batches import as_first_rank, parts_of
from jukebox_pl.pipeline.stage_folder import StageFolder
from jukebox_pl.utils.files import read_json


@pytest.fixture
def vqvae(fit, demo_shards, tmp_path, capsys):
    """What a run of so many steps with these words says."""

    def train(*words):
        usual = "recipe=vqvae", f"data.path={demo_shards}", f"run_dir={tmp_path / 'run'}", "size.vqvae.batch_size=auto"
        fit(*usual, "max_steps=1", *words)
        return capsys.readouterr().err

    return train


def noted(run_dir):
    config = read_json(run_dir / "vqvae/config.json", "")
    return config["data"]["batch_size"], config["trainer"].get("accumulate_grad_batches")


@pytest.mark.parametrize(("most", "expected"), [(16, (16, None)), (99, (16, None)), (15, (8, 2)), (5, (4, 4)), (1, (1, 16))])
def test_a_step_is_parted_equally(most, expected):
    assert parts_of(16, most) == expected


@pytest.mark.parametrize("windows", range(1, 40))
def test_parts_are_as_few_as_give_the_whole_or_nearly(windows):
    for most in range(1, windows + 3):
        chosen = parts_of(windows, most)
        assert 1 <= chosen.size <= most
        assert abs(chosen.windows - windows) <= (chosen.accumulated or 1) / 2
        assert chosen.windows == windows or windows % -(-windows // most)


def test_the_recipes_batch_is_kept_in_parts_that_fit_and_gone_on_with(vqvae, tmp_path):
    """A tiny VQ-VAE takes 3 MB and some for each clip; other memory at the second time changes nothing."""
    printed = vqvae("plan.memory=0.008")
    found = re.search(r"vqvae: batch_size=auto is (\d) of 4, (\d) of them a step: \S+ MB of 8 MB that are free", printed)
    size, accumulated = map(int, found.groups())
    assert (size * accumulated, size < 4) == (4, True)
    assert noted(tmp_path / "run") == (size, accumulated)
    again = vqvae("plan.memory=80", "max_steps=2")
    assert f"vqvae: batch_size=auto is {size} of 4, {accumulated} of them a step: as it has begun" in again
    assert "[2/2] vqvae: finished" in again
    assert noted(tmp_path / "run") == (size, accumulated)


def test_where_there_is_room_it_is_what_the_recipe_says(vqvae, tmp_path):
    assert "vqvae: batch_size=auto is 4: " in vqvae()
    assert noted(tmp_path / "run") == (4, None)


def test_another_step_may_be_asked_for_and_a_given_accumulation_counts(vqvae, tmp_path):
    words = "size.vqvae.batch_size=auto:3", "+trainer.accumulate_grad_batches=2", "plan.memory=80"
    assert "vqvae: batch_size=auto is 6: " in vqvae(*words)
    assert noted(tmp_path / "run") == (6, None)


def test_what_is_no_number_is_one_line(vqvae, fit, demo_shards, tmp_path, capsys):
    for word in ("size.vqvae.batch_size=auto:0", "stages.vqvae.data.batch_size=auto:many", "size.vqvae.batch_size=few"):
        with pytest.raises(SystemExit, match="2"):
            vqvae(word)
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: ")
        assert "expected a" in line


def test_a_network_that_nobody_can_count_needs_a_number(vqvae, monkeypatch, capsys):
    def no_batch(*_, **__):
        raise TypeError("no batch is known for a Network")

    monkeypatch.setattr(batches, "plan_stage", no_batch)
    with pytest.raises(SystemExit, match="2"):
        vqvae()
    assert "batch_size=auto cannot be told (no batch is known for a Network): give a number" in capsys.readouterr().err


def test_other_ranks_wait_for_what_the_first_one_notes(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_folder, "SECONDS_BETWEEN_LOOKS", 0.01)
    folder, trainer = StageFolder(tmp_path, "vqvae"), {"devices": 2}
    first = threading.Timer(
        0.1, folder.note, [{"data": {"batch_size": 2}, "trainer": trainer | {"accumulate_grad_batches": 8}}]
    )
    first.start()
    found = as_first_rank(folder, {"data": {"batch_size": "auto:16", "clip": 1}, "trainer": trainer})
    first.join()
    assert found == {
        "data": {"batch_size": 2, "clip": 1},
        "trainer": {"devices": 2, "accumulate_grad_batches": 8},
    }
    assert as_first_rank(folder, {"data": {"batch_size": 3}}) == {"data": {"batch_size": 3}}


def test_other_ranks_end_with_the_first_one(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_folder, "SECONDS_BETWEEN_LOOKS", 0)
    monkeypatch.setattr(stage_folder.os, "getppid", iter([1, 2]).__next__)
    with pytest.raises(UserError, match="stage vqvae was stopped"):
        as_first_rank(StageFolder(tmp_path, "vqvae"), {"data": {"batch_size": "auto:16"}})


@pytest.mark.parametrize(
    ("word", "stage", "expected"),
    [
        ("size.top_prior.batch_size=auto", "lyrics_prior", "auto:16"),
        ("stages.upsampler_1.data.batch_size=auto", "upsampler_1", "auto:16"),
        ("stages.vqvae.data.batch_size=auto:64", "vqvae", "auto:64"),
    ],
)
def test_the_word_stands_for_the_number_of_the_recipe(word, stage, expected):
    config = compose_config("fit", ["recipe=hierarchy", "size=tiny", "data.path=x", word])
    assert config.stages[stage].data.batch_size == expected
