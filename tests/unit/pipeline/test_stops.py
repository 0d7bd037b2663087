"""A training that is told to stop, at every kind of moment: it ends with a checkpoint of the step, and goes on as if it
never had: the same weights, numbers and rows."""

import signal
from pathlib import Path

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.pipeline import run
from jukebox_pl.training.callbacks.resuming import StopBehindStep
from jukebox_pl.training.checkpoint_io import AtomicCheckpointIO, last_path
from jukebox_pl.training.loggers.files import read_metrics

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


def rows(run_dir: Path):
    """What was logged, without how fast it went, and without the epoch, which Lightning ends with the last step."""
    columns, found = read_metrics(run_dir / STAGE / "metrics.csv")
    kept = [name for name in columns if name not in ("epoch", "step") and not name.startswith("speed/")]
    shown = [(row["step"], {name: row[name] for name in kept if row[name]}) for row in found]
    return [(step, logged) for step, logged in shown if logged]


def weights(run_dir: Path):
    return (run_dir / STAGE / "model/model.safetensors").read_bytes()


def steps_saved(run_dir: Path):
    path = last_path(run_dir / STAGE)
    return torch.load(path, weights_only=True)["global_step"] if path.exists() else 0


@pytest.fixture
def tell(monkeypatch):
    """Sends a signal to this process when `place.name` is entered, or at its start as the hook of a callback, when `when`
    of its first argument is true."""

    def tell(place, name, when=lambda *_: True, signum=signal.SIGTERM):
        usual = getattr(place, name)

        def told(*args, **kwargs):
            if when(*args):
                signal.raise_signal(signum)
            return usual(*args, **kwargs)

        monkeypatch.setattr(place, name, told)

    return tell


def hook(step, index=None, fitting=True):
    """When a callback's hook is called at a step (that many have ended), with batch `index`."""
    return lambda _, trainer, *args: (
        trainer.global_step == step
        and (trainer.state.fn == "fit") == fitting
        and (index is None or args[-1] == index or args[-2] == index)
    )


# Where it is told, and of which step there is a checkpoint then.
MOMENTS = {
    "in the first step": ((StopBehindStep, "on_train_batch_start", hook(0)), 1),
    "in a step that a validation follows": ((StopBehindStep, "on_train_batch_start", hook(1)), 2),
    "in a step between validations": ((StopBehindStep, "on_train_batch_start", hook(2)), 3),
    "in the last step": ((StopBehindStep, "on_train_batch_start", hook(4)), 5),
    "in a validation": ((StopBehindStep, "on_validation_batch_start", hook(2, 0)), 2),
    "at the end of a validation": ((StopBehindStep, "on_validation_batch_start", hook(4, 1)), 4),
    "measuring before": ((StopBehindStep, "on_validation_batch_start", hook(0, fitting=False)), 0),
    "measuring after": ((StopBehindStep, "on_validation_batch_start", hook(5, fitting=False)), 5),
    "saving": ((AtomicCheckpointIO, "save_checkpoint", lambda _, checkpoint, *__: checkpoint["global_step"] == 2), 3),
    "exporting": ((checkpoints, "save_state"), 5),
    "between stages": ((run, "run_stage", lambda folder, *_: folder.name == STAGE), 0),
}


@pytest.mark.parametrize(("moment", "saved"), MOMENTS.values(), ids=MOMENTS)
def test_it_ends_behind_the_step_with_a_checkpoint_and_goes_on_as_if_it_never_had(
    whole, fit, words, tmp_path, tell, monkeypatch, capfd, moment, saved
):
    settings = *words, f"run_dir={tmp_path / 'run'}"
    tell(*moment)
    with pytest.raises(SystemExit) as stopped:
        fit(*settings)
    told = capfd.readouterr().err.splitlines()[-1]
    assert stopped.value.code == TERMINATED
    assert told.startswith("stopped by SIGTERM")
    assert told.endswith("the same command goes on from here")
    assert ", saved" not in told or f"at step {saved} of vqvae, saved" in told
    assert steps_saved(tmp_path / "run") == saved
    assert not (tmp_path / "run" / STAGE / "result.json").exists()
    monkeypatch.undo()
    fit(*settings)
    assert rows(tmp_path / "run") == rows(whole)
    assert weights(tmp_path / "run") == weights(whole)
