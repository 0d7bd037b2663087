import itertools
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.pipeline import stage_folder
from jukebox_pl.pipeline.stage_folder import RESULT, StageFolder, StageResult
from jukebox_pl.utils.files import write_json


def test_a_result_is_read_as_written(tmp_path):
    folder = StageFolder(tmp_path, "vqvae")
    assert folder.result() is None
    folder.finish(StageResult("abc", {"loss": 1.5}, 10))
    assert folder.result() == StageResult("abc", {"loss": 1.5}, 10)


def test_other_settings_are_refused_with_what_differs(tmp_path):
    folder = StageFolder(tmp_path, "vqvae")
    folder.require_same({"model": {"width": 32, "downs": [3, 2]}, "lr": 1e-3}, {})
    folder.require_same({"model": {"width": 16, "downs": (3, 2)}, "lr": 1e-3}, {})  # nothing is made yet
    folder.require_same({"model": {"width": 32, "downs": (3, 2)}, "lr": 1e-3}, {})
    write_json(folder.path / "before.json", 1.0)
    with pytest.raises(UserError, match=r"model.width: 32 -> 64.*another run_dir, or delete .*vqvae"):
        folder.require_same({"model": {"width": 64, "downs": [3, 2]}, "lr": 1e-3}, {})


def test_what_may_change_now_may_have_been_noted_before(tmp_path):
    folder = StageFolder(tmp_path, "vqvae")
    folder.require_same({"module": {"optim": {"lr": 1e-3, "clip": 1.0}}, "songs": "a"}, {})
    write_json(folder.path / "before.json", 1.0)
    folder.require_same({"module": {"optim": {"clip": 1.0}}}, {})


def test_a_missing_stage_names_the_recipe_that_makes_it(tmp_path):
    with pytest.raises(UserError, match=r"stage top_prior needs codes.*leave stage codes in, or run a recipe"):
        StageFolder(tmp_path, "codes").require_result("top_prior")


def test_a_folder_of_version_0_1_0_is_read_under_todays_names(tmp_path):
    folder = StageFolder(tmp_path, "vqvae")
    old = {"_target_": "jukebox_pl.stages.training.TrainStage", "monitor": "held_out/loss", "model": {"emb": 8}}
    write_json(folder.path / "asked.json", old)
    write_json(folder.path / "done.json", {"fingerprint": "abc", "summary": {"held_out/loss at step 0": 2.0}, "steps": 10})
    now = {"_target_": "jukebox_pl.pipeline.train.TrainStage", "monitor": "val/loss", "model": {"code_dim": 8}}
    folder.require_same(now | {"trainer": {"precision": "32-true"}}, {})  # which was not noted then
    with pytest.raises(UserError, match="monitor: val/loss -> val/bpd"):
        folder.require_same(now | {"monitor": "val/bpd"}, {})
    result = folder.result()
    assert result == StageResult("abc", {"val/loss at step 0": 2.0}, 10)
    assert result.is_complete_for(10)
    assert not result.is_complete_for(11)


def test_a_stage_that_needed_fewer_steps_than_it_might_take_is_complete():
    stopped_early = StageResult("abc", steps=600, max_steps=1000)
    assert stopped_early.is_complete_for(1000)
    assert not stopped_early.is_complete_for(1001)


def test_a_result_that_is_made_again_is_another_though_the_clock_was_set_back(tmp_path, monkeypatch):
    folder = StageFolder(tmp_path, "catalog")
    folder.finish(StageResult("abc"))
    before = folder.finished_at()

    def made_again(_):
        folder.finish(StageResult("def"))
        os.utime(folder.path / RESULT, ns=(0, before - 10**12))

    monkeypatch.setattr(stage_folder.time, "sleep", made_again)
    assert folder.wait_for_result(but=before) == StageResult("def")


@pytest.fixture
def held(tmp_path):
    """The folder of a run in which the first rank, another process, is at work until `kill` is called."""
    command = "import sys, signal\nfrom pathlib import Path\nfrom jukebox_pl.utils.locks import locked\n"
    command += "with locked(Path(sys.argv[1]), 'run_dir'):\n    print(flush=True)\n    signal.pause()"
    first = subprocess.Popen([sys.executable, "-c", command, tmp_path], stdout=subprocess.PIPE)
    first.stdout.readline()
    yield tmp_path, first
    first.kill()
    first.communicate()


def test_other_ranks_wait_as_long_as_the_first_one_lives(held, monkeypatch):
    run_dir, first = held
    now = itertools.count(step=50.0)
    monkeypatch.setattr(stage_folder, "time", SimpleNamespace(sleep=lambda _: None, monotonic=now.__next__))
    StageFolder(run_dir, "codes").require_first_rank()
    looks = iter([None] * 5 + ["whole"])
    assert StageFolder(run_dir, "codes").wait_for(lambda: next(looks)) == "whole"
    first.kill()
    first.wait()
    with pytest.raises(UserError, match=r"stage codes: the first process of this run is not at work in /.*: it has ended"):
        StageFolder(run_dir, "codes").wait_for_result()
    with pytest.raises(UserError, match="with a run_dir that all machines share"):
        StageFolder(run_dir / "of another machine", "codes").require_first_rank()
