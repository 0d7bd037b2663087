"""A run that goes on on another device, and runs in numbers of 16 bits: stopped or not, they end alike."""

import json
import math
import shutil
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from unit.pipeline.test_stops import TERMINATED, hook, rows, spoil, steps_saved, weights

from jukebox_pl.cli.command import recipes_folder
from jukebox_pl.training.callbacks.best import EarlyStop
from jukebox_pl.training.callbacks.resuming import StopAfterStep
from jukebox_pl.training.checkpoint_io import last_path

FP16 = OmegaConf.load(recipes_folder() / "trainer/fp16.yaml")
SCALER, SCALE = FP16.plugins[0].scaler, 16.0


@pytest.fixture(scope="module")
def words(demo_shards):
    return "recipe=vqvae", f"data.path={demo_shards}", "max_steps=5"


@pytest.fixture(scope="module")
def half():
    """The loss scale of trainer=fp16, as its settings say it, on a CPU; small enough that nothing overflows by itself."""
    plugins = json.dumps(OmegaConf.to_container(FP16.plugins)).replace('"', "").replace("cuda", "cpu")
    plugins = plugins.replace(f"init_scale: {SCALER.init_scale}", f"init_scale: {SCALE}")
    return "trainer=fp16", "trainer.accelerator=cpu", f"trainer.plugins={plugins}"


@pytest.fixture
def stop_at(fit, tell, monkeypatch):
    """Runs a command that is told to stop in a step."""

    def stop_at(step, *words):
        tell(StopAfterStep, "on_train_batch_start", hook(step - 1))
        with pytest.raises(SystemExit) as stopped:
            fit(*words)
        assert stopped.value.code == TERMINATED
        monkeypatch.undo()

    return stop_at


def tensors(value, name=""):
    """Every tensor of a checkpoint, by where it stands."""
    if isinstance(value, torch.Tensor):
        yield name, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in parts:
        yield from tensors(part, f"{name}.{key}")


def move_to_gpu(path, monkeypatch):
    """Makes a checkpoint what a GPU would have left: its file says of all numbers that they lie there."""
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["surroundings"]["device"] = "cuda"
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
        torch.save(checkpoint, path)
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def whole(fit, words, tmp_path_factory):
    """A run that nothing stopped, on a CPU."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    fit(*words, f"run_dir={run_dir}")
    return run_dir


@pytest.mark.parametrize("broken", [(), ("last.ckpt",)], ids=["last", "previous"])
def test_what_a_gpu_has_left_goes_on_on_a_cpu(whole, fit, words, stop_at, tmp_path, monkeypatch, capsys, broken):
    settings = *words, f"run_dir={tmp_path / 'run'}"
    stop_at(3, *settings)
    folder = last_path(tmp_path / "run/vqvae").parent
    for path in (folder / "last.ckpt", folder / "previous.ckpt"):
        move_to_gpu(path, monkeypatch)
    for name in broken:
        (folder / name).write_bytes(b"cut short")
    capsys.readouterr()
    fit(*settings)
    lines = [line for line in capsys.readouterr().err.splitlines() if "goes on with" in line]
    what = "losses from here on are not, to the last bit, those of a run that was never stopped"
    assert lines == [f"vqvae goes on with device cuda -> cpu: {what}"]
    assert rows(tmp_path / "run") == rows(whole)  # here they are: it is the CPU's work that was called a GPU's
    assert weights(tmp_path / "run") == weights(whole)


def test_what_is_no_weight_is_bound_to_no_device(whole):
    """Of a checkpoint in shards it is a file that is read with no other place for its tensors."""
    checkpoint = torch.load(last_path(whole / "vqvae"), weights_only=True)
    for name in ("state_dict", "current_model_state", "optimizer_states"):
        checkpoint.pop(name)
    assert {name.rpartition(".")[2] for name, _ in tensors(checkpoint)} == {"best_score", "n_averaged"}
    stop = EarlyStop(monitor="val/loss")
    stop.best_score = SimpleNamespace(cpu=lambda: torch.tensor(1.0))  # as a GPU's
    assert stop.state_dict()["best_score"] == 1


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_in_bfloat16_a_codec_that_is_stopped_ends_as_one_that_is_not(
    whole, words, fit, in_bfloat16, stop_at, tmp_path, step
):
    settings = *words, "trainer.precision=bf16-mixed", f"run_dir={tmp_path / 'run'}"
    stop_at(step, *settings)
    assert steps_saved(tmp_path / "run") == step
    fit(*settings)
    assert rows(tmp_path / "run") == rows(in_bfloat16)
    assert weights(tmp_path / "run") == weights(in_bfloat16) != weights(whole)


@pytest.fixture(scope="module")
def in_bfloat16(fit, words, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("bfloat16") / "run"
    fit(*words, "trainer.precision=bf16-mixed", f"run_dir={run_dir}")
    return run_dir


@pytest.mark.slow
def test_a_prior_in_bfloat16_ends_as_if_never_stopped(in_bfloat16, fit, words, stop_at, tmp_path):
    settings = "recipe=top_prior", words[1], "max_steps=5", "trainer.precision=bf16-mixed"
    never = shutil.copytree(in_bfloat16, tmp_path / "never")
    fit(*settings, f"run_dir={never}")
    for step in (1, 4):
        run_dir = shutil.copytree(never, tmp_path / f"{step}", ignore=shutil.ignore_patterns("top_prior"))
        stop_at(step, *settings, f"run_dir={run_dir}")
        assert steps_saved(run_dir, "top_prior") == step
        fit(*settings, f"run_dir={run_dir}")
        assert rows(run_dir, "top_prior") == rows(never, "top_prior")
        assert weights(run_dir, "top_prior") == weights(never, "top_prior")


def left_out(run_dir):
    """How many steps the loss scale has left out by the last checkpoint."""
    checkpoint = torch.load(last_path(run_dir / "vqvae"), weights_only=True)
    growth, halving = math.log(SCALER.growth_factor), math.log(SCALER.backoff_factor)
    steps, grown = checkpoint["global_step"], math.log(checkpoint["MixedPrecision"]["scale"] / SCALE)
    return (grown - steps * growth) / (halving - growth)


def test_a_loss_scale_and_the_steps_it_leaves_out_are_those_of_a_run_that_was_never_stopped(
    fit, words, half, stop_at, tmp_path, monkeypatch
):
    """Gradients overflow at the second step and, after the stop, at the fourth."""
    never, run = tmp_path / "never", tmp_path / "run"

    def overflowing(train):
        with monkeypatch.context() as patch:
            spoil(patch, {1, 3}, lambda loss: loss * float("inf"))
            train()

    overflowing(lambda: fit(*words, *half, f"run_dir={never}"))
    spoil(monkeypatch, {1}, lambda loss: loss * float("inf"))
    stop_at(3, *words, *half, f"run_dir={run}")
    assert left_out(run) == pytest.approx(1)
    overflowing(lambda: fit(*words, *half, f"run_dir={run}"))
    assert left_out(run) == pytest.approx(2)
    assert left_out(never) == left_out(run)
    assert rows(run) == rows(never)
    assert weights(run) == weights(never)


@pytest.mark.parametrize("words_of", [(), ("trainer.accelerator=cpu",)])
def test_half_precision_without_a_gpu_is_one_line_and_not_another_precision(fit, words, tmp_path, capsys, words_of):
    with pytest.raises(SystemExit, match="2"):
        fit(*words, f"run_dir={tmp_path / 'run'}", "trainer=fp16", *words_of)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(
        "error: trainer: its precision is for cuda, and this machine trains on cpu: trainer.precision=bf16"
    )


@pytest.mark.parametrize("there_and_back", [("32-true", "bf16-mixed"), ("bf16-mixed", "32-true")])
def test_a_run_goes_on_in_its_precision_alone(whole, in_bfloat16, fit, words, tmp_path, capsys, there_and_back):
    then, now = there_and_back
    run_dir = shutil.copytree(whole if then == "32-true" else in_bfloat16, tmp_path / "run")
    with pytest.raises(SystemExit, match="2"):
        fit(*words, f"run_dir={run_dir}", "stages.vqvae.max_steps=6", f"trainer.precision={now}")
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"vqvae was made with other settings: trainer.precision: {then} -> {now}. Choose another run_dir" in line
