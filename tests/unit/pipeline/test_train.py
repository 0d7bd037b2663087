"""A stage that is stopped, at whatever moment: the same command ends with the same weights, numbers and rows."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jukebox_pl.pipeline import train
from jukebox_pl.pipeline.stage_folder import RESULT, StageFolder
from jukebox_pl.training.callbacks.best import BestWeights
from jukebox_pl.training.checkpoint_io import last_path
from jukebox_pl.training.loggers.files import read_metrics

# As `python -m jukebox_pl.fit`, killed as soon as the checkpoint of a step is in place.
KILLED = """
import os, signal, sys
import pytorch_lightning as pl
from jukebox_pl import fit

save = pl.Trainer.save_checkpoint

def save_and_die(trainer, *args, **kwargs):
    save(trainer, *args, **kwargs)
    if trainer.global_step == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

pl.Trainer.save_checkpoint = save_and_die
fit.cli_main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def words(demo_shards):
    return "recipe=vqvae", f"data.path={demo_shards}"


@pytest.fixture(scope="module")
def whole(fit, words, tmp_path_factory):
    """A run that nothing stopped: four steps, a validation and a checkpoint after every two."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    fit(*words, f"run_dir={run_dir}", "max_steps=4")
    return run_dir


def rows(run_dir: Path):
    """What was logged, without how fast it went, and without the epoch, which Lightning ends with the last step."""
    columns, found = read_metrics(run_dir / "vqvae" / "metrics.csv")
    kept = [name for name in columns if name not in ("epoch", "step") and not name.startswith("speed/")]
    shown = [(row["step"], {name: row[name] for name in kept if row[name]}) for row in found]
    return [(step, logged) for step, logged in shown if logged]


def weights(run_dir: Path):
    return (run_dir / "vqvae/model/model.safetensors").read_bytes()


def test_a_stage_that_is_killed_before_its_result_saves_the_averaged_weights(whole, fit, words, tmp_path):
    run_dir = Path(shutil.copytree(whole, tmp_path / "run"))
    (run_dir / "vqvae" / RESULT).unlink()
    shutil.rmtree(run_dir / "vqvae/model")
    fit(*words, f"run_dir={run_dir}", "max_steps=4")
    assert weights(run_dir) == weights(whole)
    assert StageFolder(run_dir, "vqvae").result() == StageFolder(whole, "vqvae").result()
    assert rows(run_dir) == rows(whole)


def test_the_model_is_the_average_of_the_checkpoint(whole):
    checkpoint = torch.load(last_path(whole / "vqvae"))
    saved = load_file(whole / "vqvae/model/model.safetensors")
    for name, tensor in saved.items():
        assert tensor.equal(checkpoint["state_dict"][f"model.{name}"])
    assert any(not checkpoint["current_model_state"][f"model.{name}"].equal(tensor) for name, tensor in saved.items())


@pytest.mark.parametrize("step", [2, 4])
def test_a_process_killed_after_its_checkpoint_loses_no_row(whole, minuscule, fit, words, tmp_path, step):
    settings = *words, f"run_dir={tmp_path / 'run'}", "max_steps=4"
    command = [sys.executable, "-c", KILLED, str(step), *minuscule, *settings]
    root = Path(__file__).parents[3]
    killed = subprocess.run(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    fit(*settings)
    assert rows(tmp_path / "run") == rows(whole)
    assert weights(tmp_path / "run") == weights(whole)


def test_a_stage_writes_its_checkpoints_whole(fit, words, tmp_path, monkeypatch):
    written, save = [], train.AtomicCheckpointIO.save_checkpoint

    def record(self, checkpoint, path, storage_options=None):
        written.append(Path(path))
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(train.AtomicCheckpointIO, "save_checkpoint", record)
    fit(*words, f"run_dir={tmp_path / 'run'}", "max_steps=2")
    assert written == [last_path(tmp_path / "run/vqvae").with_name("next.ckpt.part")]
    names = {path.name for path in last_path(tmp_path / "run/vqvae").parent.iterdir()}
    assert names == {"last.ckpt", "best.safetensors"}


def test_another_interval_of_validations_may_be_chosen_when_going_on(whole, fit, words, tmp_path):
    settings = *words, f"run_dir={tmp_path / 'run'}"
    fit(*settings, "max_steps=3")
    fit(*settings, "max_steps=4", "stages.vqvae.every_steps=3")
    trained, expected = ([row for row in rows(run) if "train/loss" in row[1]] for run in (tmp_path / "run", whole))
    assert [step for step, _ in trained] == ["0", "1", "2", "3"]
    assert trained == expected
    assert weights(tmp_path / "run") == weights(whole)


@pytest.mark.slow
@pytest.mark.parametrize("start", [1, 2])
def test_codebooks_start_at_their_step_whether_or_not_the_stage_was_stopped_before(start, whole, fit, words, tmp_path):
    words = *words, f"size.vqvae.quantize_from={start}"
    fit(*words, f"run_dir={tmp_path / 'never'}", "max_steps=4")
    fit(*words, f"run_dir={tmp_path / 'run'}", "max_steps=3")
    fit(*words, f"run_dir={tmp_path / 'run'}", "max_steps=4")
    assert weights(tmp_path / "run") == weights(tmp_path / "never") != weights(whole)
    assert {step for step, row in rows(tmp_path / "never") if "train/level_0/codebook_usage" in row} == {
        str(step) for step in range(start, 4)
    }


def test_a_stage_that_ends_before_anything_is_quantized_is_refused(fit, words, tmp_path, capsys):
    with pytest.raises(SystemExit):
        fit(*words, f"run_dir={tmp_path / 'run'}", "max_steps=2", "size.vqvae.quantize_from=2")
    assert "quantize_from=2 of 2 steps: expected a step before the last" in capsys.readouterr().err


def test_media_of_a_stage_lie_beside_its_numbers(whole):
    names = {path.name for path in (whole / "vqvae/media").iterdir()}
    assert {"original_step_0000002.wav", "level_0_step_0000004.wav", "reconstructions_step_0000002.png"} <= names


@pytest.fixture
def worse(monkeypatch):
    """Every validation in training finds a higher number than the one before: the first one is the best."""
    passed = iter(range(1, 100))
    monkeypatch.setattr(BestWeights, "read", lambda best, trainer: float(next(passed)))


def test_a_stage_exports_its_best_weights_and_says_of_which_step(fit, words, tmp_path, worse):
    run_dir = tmp_path / "run"
    fit(*words, f"run_dir={run_dir}", "max_steps=6")
    best = load_file(run_dir / "vqvae/checkpoints/best.safetensors")
    assert all(tensor.equal(best[name]) for name, tensor in load_file(run_dir / "vqvae/model/model.safetensors").items())
    result = StageFolder(run_dir, "vqvae").result()
    assert "at step 2, the best of 6" in result.summary
    assert result.steps == 6
    assert rows(run_dir)[-1][0] == "6"


def test_without_the_best_the_last_weights_are_exported(fit, words, tmp_path, worse):
    run_dir = tmp_path / "run"
    fit(*words, f"run_dir={run_dir}", "max_steps=4", "callbacks.best=null")
    assert "at step 4" in StageFolder(run_dir, "vqvae").result().summary
    assert not (run_dir / "vqvae/checkpoints/best.safetensors").exists()


def test_a_stage_that_gets_no_better_ends_and_is_complete(fit, words, tmp_path, capsys):
    given = *words, f"run_dir={tmp_path / 'run'}", "max_steps=40", "callbacks.early_stop.patience=1"
    fit(*given, "+callbacks.early_stop.min_delta=1e9")  # no number is that much lower than the first
    result = StageFolder(tmp_path / "run", "vqvae").result()
    assert result.steps == 4
    assert "val/loss was not lower for 1 validations: ended at step 4" in capsys.readouterr().err
    fit(*given, "+callbacks.early_stop.min_delta=1e9")
    assert "vqvae: done before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("stages.vqvae.monitor=val/none", "monitor=val/none is never logged: expected one of val/"),
        ("callbacks.early_stop.patience=0", "patience=0: expected at least 1 validation"),
        ("callbacks.best.monitor=val/none", "monitor=val/none is never logged: expected one of val/"),
    ],
)
def test_a_number_that_nobody_logs_and_no_patience_are_one_line(fit, words, tmp_path, capsys, wrong, message):
    with pytest.raises(SystemExit):
        fit(*words, f"run_dir={tmp_path / 'run'}", "max_steps=4", wrong)
    assert f"error: {message}" in capsys.readouterr().err.splitlines()[-1]
