"""A training that is told to stop, at every kind of moment, or meets a fault: it goes on as if it never had, with the same
weights, numbers and rows."""

import errno
import itertools
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.pipeline import run
from jukebox_pl.training.callbacks.resuming import StopAfterStep
from jukebox_pl.training.checkpoint_io import AtomicCheckpointIO, last_path
from jukebox_pl.training.loggers.files import read_metrics
from jukebox_pl.training.modules.vqvae import VQVAEModule

STAGE = "vqvae"
TERMINATED = 143


@pytest.fixture(scope="module")
def words(demo_shards):
    return "recipe=vqvae", f"data.path={demo_shards}", "max_steps=5"


@pytest.fixture(scope="module")
def whole(fit, words, tmp_path_factory):
    """A run that nothing stopped: five steps, a validation after every two."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    fit(*words, f"run_dir={run_dir}")
    return run_dir


def rows(run_dir: Path, stage: str = STAGE):
    """What was logged, without how fast it went, and without the epoch, which Lightning ends with the last step."""
    columns, found = read_metrics(run_dir / stage / "metrics.csv")
    kept = [name for name in columns if name not in ("epoch", "step") and not name.startswith("speed/")]
    shown = [(row["step"], {name: row[name] for name in kept if row[name]}) for row in found]
    return [(step, logged) for step, logged in shown if logged]


def weights(run_dir: Path, stage: str = STAGE):
    return (run_dir / stage / "model/model.safetensors").read_bytes()


def steps_saved(run_dir: Path, stage: str = STAGE):
    path = last_path(run_dir / stage)
    return torch.load(path, weights_only=True)["global_step"] if path.exists() else 0


def hook(step, index=None, fitting=True):
    """When a callback's hook is called at a step (that many have ended), with batch `index`."""
    return lambda _, trainer, *args: (
        trainer.global_step == step
        and (trainer.state.fn == "fit") == fitting
        and (index is None or args[-1] == index or args[-2] == index)
    )


# Where it is told, and of which step there is a checkpoint then.
MOMENTS = {
    "in the first step": ((StopAfterStep, "on_train_batch_start", hook(0)), 1),
    "in a step that a validation follows": ((StopAfterStep, "on_train_batch_start", hook(1)), 2),
    "in a step between validations": ((StopAfterStep, "on_train_batch_start", hook(2)), 3),
    "in the last step": ((StopAfterStep, "on_train_batch_start", hook(4)), 5),
    "in a validation": ((StopAfterStep, "on_validation_batch_start", hook(2, 0)), 2),
    "at the end of a validation": ((StopAfterStep, "on_validation_batch_start", hook(4, 1)), 4),
    "measuring before": ((StopAfterStep, "on_validation_batch_start", hook(0, fitting=False)), 0),
    "measuring after": ((StopAfterStep, "on_validation_batch_start", hook(5, fitting=False)), 5),
    "saving": ((AtomicCheckpointIO, "save_checkpoint", lambda _, checkpoint, *__: checkpoint["global_step"] == 2), 3),
    "exporting": ((checkpoints, "save_state"), 5),
    "between stages": ((run, "run_stage", lambda folder, *_: folder.name == STAGE), 0),
}


@pytest.mark.parametrize(("moment", "saved"), MOMENTS.values(), ids=MOMENTS)
def test_it_ends_after_the_step_with_a_checkpoint_and_goes_on_as_if_it_never_had(
    whole, fit, words, tmp_path, tell, monkeypatch, capfd, moment, saved
):
    settings = *words, f"run_dir={tmp_path / 'run'}"
    tell(*moment)
    with pytest.raises(SystemExit) as stopped:
        fit(*settings)
    stderr = capfd.readouterr().err.splitlines()[-1]
    assert stopped.value.code == TERMINATED
    assert stderr.startswith("stopped by SIGTERM")
    assert stderr.endswith("the same command goes on from here")
    assert ", saved" not in stderr or f"at step {saved} of vqvae, saved" in stderr
    assert steps_saved(tmp_path / "run") == saved
    assert not (tmp_path / "run" / STAGE / "result.json").exists()
    monkeypatch.undo()
    fit(*settings)
    assert rows(tmp_path / "run") == rows(whole)
    assert weights(tmp_path / "run") == weights(whole)


@pytest.fixture(scope="module")
def in_parts(words):
    return *words, "+trainer.accumulate_grad_batches=2"


@pytest.fixture(scope="module")
def whole_in_parts(fit, in_parts, tmp_path_factory):
    """A run that nothing stopped, of five steps of two batches each."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    fit(*in_parts, f"run_dir={run_dir}")
    return run_dir


@pytest.mark.parametrize("batch", [4, 5])
def test_in_the_middle_of_a_step_of_several_batches_all_of_them_are_taken(
    whole_in_parts, fit, in_parts, tmp_path, tell, monkeypatch, capfd, batch
):
    settings = *in_parts, f"run_dir={tmp_path / 'run'}"
    tell(StopAfterStep, "on_train_batch_start", hook(2, batch))
    with pytest.raises(SystemExit) as stopped:
        fit(*settings)
    assert stopped.value.code == TERMINATED
    assert "stopped by SIGTERM at step 3 of vqvae, saved" in capfd.readouterr().err
    assert steps_saved(tmp_path / "run") == 3
    monkeypatch.undo()
    fit(*settings)
    assert rows(tmp_path / "run") == rows(whole_in_parts)
    assert weights(tmp_path / "run") == weights(whole_in_parts)


def test_killed_in_the_middle_of_a_step_it_is_taken_again_whole(whole_in_parts, fit, in_parts, tmp_path, monkeypatch):
    settings = *in_parts, f"run_dir={tmp_path / 'run'}", "callbacks.checkpoints.minutes=0"

    def killed(self, trainer, module, batch, index):
        if index == 7:
            raise SystemExit(9)

    monkeypatch.setattr(StopAfterStep, "on_train_batch_start", killed)
    with pytest.raises(SystemExit, match="9"):
        fit(*settings)
    assert steps_saved(tmp_path / "run") == 3
    monkeypatch.undo()
    fit(*settings)
    assert weights(tmp_path / "run") == weights(whole_in_parts)


@pytest.mark.slow
def test_ctrl_c_reaches_every_process_of_a_terminal_and_the_readers_end_with_the_command(demo_shards, start_fit, tmp_path):
    """Told in a validation or in a step, as it happens."""
    words = "recipe=vqvae", f"data.path={demo_shards}", f"run_dir={tmp_path / 'run'}", "max_steps=100000"
    process = start_fit(*words, "data.workers=2", start_new_session=True)
    while not last_path(tmp_path / "run" / STAGE).exists():
        assert process.poll() is None, process.stderr.read()
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=300)  # until the last of them closes its standard error
    assert process.returncode == 130
    assert re.search(r"stopped by Ctrl-C at step \d+ of vqvae, saved; the same command goes on from here\n\Z", stderr), (
        stderr
    )


def test_another_number_of_data_workers_goes_on_at_the_step_and_is_told_of(whole, fit, words, tmp_path, capsys):
    settings = *words, f"run_dir={tmp_path / 'run'}"
    fit(*settings, "stages.vqvae.max_steps=3", "data.workers=1")
    assert rows(tmp_path / "run")[:-1] == rows(whole)[: len(rows(tmp_path / "run")) - 1]  # one reads as none does
    fit(*settings, "data.workers=2")
    line = "vqvae goes on with data workers 1 -> 2: losses from here on are not, to the last bit, those of a run that"
    assert line in capsys.readouterr().err
    assert [step for step, row in rows(tmp_path / "run") if "train/loss" in row] == ["0", "1", "2", "3", "4"]


def spoil(monkeypatch, at, fault):
    """`fault` of the loss of a step."""
    usual = VQVAEModule.training_step

    def step(self, batch, index):
        loss = usual(self, batch, index)
        return fault(loss) if self.global_step in at else loss

    monkeypatch.setattr(VQVAEModule, "training_step", step)


def mistake(fit, capsys, *words) -> str:
    with pytest.raises(SystemExit) as stopped:
        fit(*words)
    stderr = capsys.readouterr().err
    assert (stopped.value.code, "Traceback" in stderr) == (2, False), stderr
    return stderr.splitlines()[-1]


def test_a_loss_that_is_none_names_its_songs_and_leaves_the_last_checkpoint(
    whole, fit, words, tmp_path, monkeypatch, capsys
):
    """Found at a log step after the one that it was at."""
    settings = *words, f"run_dir={tmp_path / 'run'}", "trainer.log_every_n_steps=5"
    spoil(monkeypatch, {2}, lambda loss: loss * float("nan"))
    line = mistake(fit, capsys, *settings)
    assert re.search(r"the loss of batch 2 of vqvae is not finite. Its songs, which are in .*vqvae/not_finite.pt: ", line)
    assert "such as size.vqvae.optim.lr=0.002: it goes on from the last checkpoint" in line
    kept = torch.load(tmp_path / "run" / STAGE / "not_finite.pt", weights_only=True)
    assert len(kept["songs"]) == len(kept["batch"]["audio"]) == 2
    catalog = Catalog.load(words[1].partition("=")[2])
    titles = {song["id"]: song["title"] for song in catalog.songs("train")}
    assert all(titles[id] in line for id in kept["songs"])
    assert steps_saved(tmp_path / "run") == 2
    monkeypatch.undo()
    fit(*settings)
    assert weights(tmp_path / "run") == weights(whole)


def test_steps_that_are_none_are_left_out_by_choice_and_counted(fit, words, tmp_path, monkeypatch, capsys):
    settings = *words, f"run_dir={tmp_path / 'run'}", "+size.vqvae.optim.skip=1"
    spoil(monkeypatch, {1, 3}, lambda loss: loss * float("inf"))
    assert "2 steps had gradients that are not finite, and optim.skip=1" in mistake(fit, capsys, *settings)
    assert steps_saved(tmp_path / "run") == 2
    fit(*words, f"run_dir={tmp_path / 'run'}", "+size.vqvae.optim.skip=2")
    counted = [(step, row["train/left_out"]) for step, row in rows(tmp_path / "run") if "train/left_out" in row]
    assert counted == [("0", "0.0"), ("1", "1.0"), ("2", "0.0"), ("3", "1.0"), ("4", "1.0")]  # of each command


def test_a_gradient_that_is_none_ends_before_anything_of_it_is_saved(fit, words, tmp_path, monkeypatch, capsys):
    """The loss was sound, the songs are not to blame."""
    spoil(monkeypatch, {2}, lambda loss: loss.register_hook(lambda gradient: gradient * float("inf")) and loss)
    line = mistake(fit, capsys, *words, f"run_dir={tmp_path / 'run'}", "trainer.log_every_n_steps=5")
    assert "the gradient at step " in line
    assert steps_saved(tmp_path / "run") == 2


def test_a_checkpoint_that_is_not_finite_is_blamed_itself_and_deleted_it_goes_on(whole, fit, words, tmp_path, capsys):
    settings = *words, f"run_dir={shutil.copytree(whole, tmp_path / 'run')}", "max_steps=6"
    path = last_path(tmp_path / "run" / STAGE)
    checkpoint = torch.load(path, weights_only=True)
    name = next(iter(checkpoint["state_dict"]))
    checkpoint["state_dict"][name].fill_(float("nan"))
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    assert f"{path}: {name} is not finite; delete it: the same command goes on" in mistake(fit, capsys, *settings)
    path.unlink()
    fit(*settings)
    assert steps_saved(tmp_path / "run") == 6


def test_a_full_disk_leaves_the_checkpoint_before_and_room_lets_it_go_on(whole, fit, words, tmp_path, monkeypatch, capsys):
    settings = *words, f"run_dir={tmp_path / 'run'}"
    save = torch.save

    def full(checkpoint, file, *args):
        if checkpoint["global_step"] == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(checkpoint, file, *args)

    monkeypatch.setattr(torch, "save", full)
    line = mistake(fit, capsys, *settings)
    assert line.endswith("No space left on device; make room or choose another folder, and run it again")
    assert steps_saved(tmp_path / "run") == 2
    kept = {path.name for path in last_path(tmp_path / "run" / STAGE).parent.iterdir()}
    assert kept == {"best.safetensors", "last.ckpt"}
    monkeypatch.undo()
    fit(*settings)
    assert rows(tmp_path / "run") == rows(whole)
    assert weights(tmp_path / "run") == weights(whole)


def test_a_shard_that_vanishes_is_named_and_put_back_it_goes_on(whole, fit, words, demo_shards, tmp_path, capsys):
    shards = Path(shutil.copytree(demo_shards, tmp_path / "shards"))
    settings = words[0], f"data.path={shards}", f"run_dir={tmp_path / 'run'}"
    fit(*settings, "max_steps=3")
    shard, away = Catalog.load(shards).shards("train")[0], tmp_path / "away.tar"
    shard.rename(away)
    line = mistake(fit, capsys, *settings, "max_steps=5")
    assert line.startswith(f"error: {shard} is missing, {shards} is incomplete: put it back")
    away.rename(shard)
    fit(*settings, "max_steps=5")
    assert weights(tmp_path / "run") == weights(whole)


def test_a_shard_that_vanishes_while_songs_are_read_from_it_is_named_and_put_back_it_goes_on(
    fit, words, demo_shards, tmp_path, monkeypatch, capsys
):
    """Its songs are cut from it every time they are chosen: in the middle of an epoch."""
    shards = Path(shutil.copytree(demo_shards, tmp_path / "shards"))
    settings = words[0], f"data.path={shards}", f"run_dir={tmp_path / 'run'}", "max_steps=30", "callbacks.copies=null"
    away = [(shard, tmp_path / shard.name) for shard in Catalog.load(shards).shards("train")]

    def take_away(self, trainer, *_):
        if trainer.global_step == 3:
            for shard, aside in away:
                shard.rename(aside)

    monkeypatch.setattr(StopAfterStep, "on_train_batch_start", take_away)
    assert re.search(r"error: \S+tar is missing, .* is incomplete: put it back", mistake(fit, capsys, *settings))
    monkeypatch.undo()
    for shard, aside in away:
        aside.rename(shard)
    begun = steps_saved(tmp_path / "run")
    assert begun >= 2
    fit(*settings, f"stages.vqvae.max_steps={begun + 1}")
    assert steps_saved(tmp_path / "run") == begun + 1


def test_a_clock_that_jumps_changes_nothing(whole, fit, words, tmp_path, monkeypatch):
    """Back and forth by years at every look; and the checkpoint before is called the newer one."""
    now, jumps = time.time(), itertools.cycle((-4e8, 4e8))
    settings = *words, f"run_dir={tmp_path / 'run'}", "max_minutes=60"
    monkeypatch.setattr(time, "time", lambda: now + next(jumps))
    fit(*settings, "stages.vqvae.max_steps=3")
    os.utime(last_path(tmp_path / "run" / STAGE), (0, 0))
    fit(*settings)
    assert rows(tmp_path / "run") == rows(whole)
    assert weights(tmp_path / "run") == weights(whole)


def test_a_run_may_lie_anywhere_and_be_gone_on_with_from_anywhere(whole, fit, words, tmp_path, monkeypatch):
    """A name that no shell likes, a link, another working directory; and steps that are kept for good."""
    place = tmp_path / "my runs/#1 'ü' \N{MUSICAL NOTE}, {a: b}"
    place.mkdir(parents=True)
    (tmp_path / "link").symlink_to(place)
    monkeypatch.chdir(place.parent)
    fit(*words, f"run_dir={place.name}", "stages.vqvae.max_steps=3", "callbacks.checkpoints.every=1")
    monkeypatch.chdir(tmp_path)
    fit(*words, f"run_dir={tmp_path / 'link'}", "callbacks.checkpoints.every=5")
    assert rows(place) == rows(whole)
    assert weights(place) == weights(whole)
    kept = {path.name for path in (place / STAGE / "checkpoints").iterdir()}
    assert kept == {"best.safetensors", "last.ckpt", "previous.ckpt", *(f"step_{step:07d}.ckpt" for step in (2, 3, 5))}


def test_a_checkpoint_by_the_clock_is_one_to_go_on_from(whole, fit, words, tmp_path, tell, monkeypatch):
    """Killed at the step after it; a step before the last is no validation's."""
    settings = *words, f"run_dir={tmp_path / 'run'}", "stages.vqvae.every_steps=4", "callbacks.checkpoints.minutes=0"

    def killed(self, trainer, *_):
        if trainer.global_step == 3:
            raise SystemExit(9)

    monkeypatch.setattr(StopAfterStep, "on_train_batch_start", killed)
    with pytest.raises(SystemExit):
        fit(*settings)
    assert steps_saved(tmp_path / "run") == 3
    monkeypatch.undo()
    fit(*settings)
    assert weights(tmp_path / "run") == weights(whole)
    trained = [[step for step, row in rows(run_dir) if "train/loss" in row] for run_dir in (tmp_path / "run", whole)]
    assert trained[0] == trained[1]
