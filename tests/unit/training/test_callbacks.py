"""What watches a training: nothing waits for the device between log steps, and the average is an average."""

import copy
import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.trainer.states import TrainerFn

from datamodules.codes import CodesDataModule
from jukebox_pl.models.conditioners import LabelConditioner, TimingConditioner
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.training.callbacks import progress
from jukebox_pl.training.callbacks.conditioning import ConditioningVerdict
from jukebox_pl.training.callbacks.progress import ProgressMeter, Throughput
from jukebox_pl.training.callbacks.resuming import StopAfterStep
from jukebox_pl.training.callbacks.weights import EMA
from jukebox_pl.types import AudioBatch
from jukebox_pl.utils.progress import Meter
from jukebox_pl.utils.stopping import STOP


class FakeTrainer(SimpleNamespace):
    """Step by step; counts how often somebody reads a loss."""

    reads = 0

    @property
    def progress_bar_metrics(self):
        self.reads += 1
        return {"train/loss": 1.5, "epoch": 0}


@pytest.fixture
def trainer():
    catalog = SimpleNamespace(sample_rate=100)
    settings = {"log_every_n_steps": 4, "max_steps": 10, "world_size": 2, "is_global_zero": True}
    return FakeTrainer(global_step=0, default_root_dir="run/vqvae", datamodule=SimpleNamespace(catalog=catalog), **settings)


def test_losses_are_read_at_log_steps_and_at_the_last(trainer, monkeypatch):
    shown = []
    monkeypatch.setattr(progress, "terminal_meter", lambda unit, every_seconds: Meter(shown.append, unit))
    meter = ProgressMeter()
    meter.on_train_start(trainer, None)
    for trainer.global_step in range(1, 11):
        meter.on_train_batch_end(trainer, None)
    meter.on_train_end(trainer, None)
    assert [status.done for status in shown] == list(range(11))
    assert {status.task for status in shown} == {"vqvae"}
    assert trainer.reads == 3
    assert [shown[step].note for step in (3, 4, 10)] == ["", "loss 1.500", "loss 1.500"]


def test_speed_is_that_of_all_steps_since_the_last_log_step(trainer, monkeypatch):
    clock = iter([10.0, 12.0, 14.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    logged, speed = [], Throughput()
    module = SimpleNamespace(device=torch.device("cpu"))
    module.log = lambda name, value: logged.append((trainer.global_step, name, value))
    for trainer.global_step in range(1, 9):
        speed.on_train_batch_end(trainer, module, None, AudioBatch(torch.zeros(2, 1, 50)))
    assert logged == [
        (4, "speed/tokens_per_second", 100 * 3 * 2 / 2),
        (4, "speed/audio_seconds_per_second", 3 * 2 / 2),
        (8, "speed/tokens_per_second", 100 * 4 * 2 / 2),
        (8, "speed/audio_seconds_per_second", 4 * 2 / 2),
    ]


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
        self.register_buffer("codebook", torch.zeros(2))

    def step(self):
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.data += 1.0


def averaging(module, decay=0.75):
    ema = EMA(decay)
    for step in (1, 1, 2, 3):  # the first twice: gradients accumulate
        if step > ema.latest_step:
            module.step()
        ema.on_train_batch_end(SimpleNamespace(global_step=step), module)
    return ema


def test_parameters_are_averaged_and_buffers_copied_then_there_is_one_set_of_weights():
    module = Module()
    first = module.linear.weight.detach().clone()
    ema = averaging(module)
    trained = module.linear.weight.detach().clone()
    ema.on_validation_epoch_start(None, module)
    average = module.linear.weight.detach().clone()
    ema.on_validation_end(None, module)
    assert module.linear.weight.equal(trained)
    # The average begins with the weights after the first step.
    torch.testing.assert_close(average - first, torch.full((2, 2), 1 + 0.25 * (0.75 * 1 + 2)))
    ema.apply_to(module)
    assert module.linear.weight.equal(average)
    assert module.codebook.tolist() == [3.0, 3.0]
    ema.on_validation_epoch_start(None, module)
    assert module.linear.weight.equal(average)


def test_a_checkpoint_restores_both_sets_as_lightnings_own_would():
    module = Module()
    ema = averaging(module)
    checkpoint = {"state_dict": copy.deepcopy(module.state_dict())}
    ema.on_save_checkpoint(None, module, checkpoint)
    other, lightnings = Module(), WeightAveraging(use_buffers=False)
    lightnings.setup(SimpleNamespace(strategy=None), other, "fit")
    lightnings.on_load_checkpoint(None, other, copy.deepcopy(checkpoint))
    restored, again = EMA(0.75), Module()
    again.load_state_dict(checkpoint["state_dict"])  # as Lightning does first
    restored.on_load_checkpoint(None, again, checkpoint)
    for name, tensor in again.state_dict().items():
        assert tensor.equal(other.state_dict()[name])
        average = restored.average.get(name, tensor)  # of a buffer there is none but the buffer
        assert average.equal(lightnings._average_model.module.state_dict()[name])
    assert again.linear.weight.equal(module.linear.weight)


def test_a_checkpoint_of_a_validation_that_was_stopped_has_both_sets_in_their_places():
    module = Module()
    ema = averaging(module)
    trained = module.linear.weight.detach().clone()
    ema.on_validation_epoch_start(None, module)
    ema.on_exception(None, module, KeyboardInterrupt())
    ema.on_exception(None, module, KeyboardInterrupt())  # of another error on the way out
    assert module.linear.weight.equal(trained)
    assert not ema.average["linear.weight"].equal(trained)


def test_without_a_decay_nothing_is_averaged():
    module = Module()
    ema = averaging(module, decay=None)
    trained = module.linear.weight.detach().clone()
    checkpoint = {"state_dict": module.state_dict()}
    ema.on_save_checkpoint(None, module, checkpoint)
    ema.apply_to(module)
    assert checkpoint.keys() == {"state_dict"}
    assert module.linear.weight.equal(trained)


@pytest.fixture
def priors(code_shards, tmp_path):
    """A datamodule of top codes, a module with an untrained prior for it, and a trainer in its last validation."""
    data = CodesDataModule(str(code_shards), level=2, ctx=32, lyric_tokens=8, batch_size=2)
    data.setup("fit")
    labels = LabelConditioner(16, len(data.labeller.artists), len(data.labeller.genres))
    timing = TimingConditioner(16, 32, 8, 0, data.catalog.max_duration)
    transformer = Transformer(16, 2, "D", 40, block=2, prefix=8)
    prior = Prior(16, transformer, {"labels": labels, "timing": timing}, vocabulary=len(data.labeller.characters))
    module = SimpleNamespace(model=prior.eval(), device=torch.device("cpu"))
    state = SimpleNamespace(fn=TrainerFn.VALIDATING)
    trainer = FakeTrainer(
        state=state, global_step=4, datamodule=data, is_global_zero=True, default_root_dir=str(tmp_path / "top_prior")
    )
    return trainer, module


def test_a_prior_ends_with_a_line_on_what_it_uses(priors, capsys):
    trainer, module = priors
    ConditioningVerdict(windows=4).on_validation_epoch_end(trainer, module)
    nothing = "artist cannot tell, genre cannot tell, timing cannot tell, lyrics cannot tell"
    assert capsys.readouterr().err == f"conditioning: {nothing}; held-out songs: 1\n"  # there is no other to lend
    trainer.datamodule.held_out, trainer.datamodule.held_out_split = trainer.datamodule.train, "train"
    ConditioningVerdict(windows=7).on_validation_epoch_end(trainer, module)
    said = capsys.readouterr().err
    assert "artist not used, genre not used, timing not used, lyrics not used; training songs, for none" in said
    found = json.loads((Path(trainer.default_root_dir) / "conditioning.json").read_text())
    assert (found["bpd"]["songs"], found["bpd"]["windows"]) == (5, 10)


def test_verdicts_are_for_priors_and_for_the_end(priors, capsys):
    trainer, module = priors
    trainer.global_step = 0
    ConditioningVerdict().on_validation_epoch_end(trainer, module)
    trainer.global_step, trainer.state.fn = 4, TrainerFn.FITTING
    ConditioningVerdict().on_validation_epoch_end(trainer, module)
    trainer.state.fn, module.model = TrainerFn.VALIDATING, torch.nn.Linear(1, 1)
    ConditioningVerdict().on_validation_epoch_end(trainer, module)
    assert capsys.readouterr().err == ""
    assert not Path(trainer.default_root_dir).exists()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGUSR1, 138), (signal.SIGXCPU, 0)])
def test_a_process_is_stopped_by_the_signal_that_another_one_has_heard(signum, code):
    """So that SLURM is asked for the job again, and the command ends with the code that it would have alone."""
    device = torch.device("cpu")
    strategy = SimpleNamespace(root_device=device, reduce_boolean_decision=lambda heard, all: True)
    strategy.reduce = lambda heard, reduce_op: torch.tensor(max(int(heard), signum))
    trainer = SimpleNamespace(strategy=strategy, _signal_connector=SimpleNamespace(received_sigterm=False))
    with STOP.listening(max_minutes=60):
        StopAfterStep().agree(trainer)
        assert (STOP.request.signum, STOP.request.code) == (signum, code)
        STOP.request = None
    assert trainer._signal_connector.received_sigterm
