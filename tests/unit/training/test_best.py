"""What a stage exports is the best that its validations have seen; copies are found where they are planted."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.trainer.states import TrainerFn

from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.code_index import CodeIndex
from jukebox_pl.training.callbacks.best import BestWeights, EarlyStop, best_path
from jukebox_pl.training.callbacks.copies import CopyCurve


@pytest.fixture
def trainer(tmp_path):
    strategy = SimpleNamespace(reduce_boolean_decision=bool)
    state = SimpleNamespace(fn=TrainerFn.FITTING)
    return SimpleNamespace(
        default_root_dir=tmp_path, strategy=strategy, state=state, sanity_checking=False, is_global_zero=True
    )


def validate(callback, trainer, module, step, value):
    module.model.weight.data.fill_(step)
    trainer.global_step, trainer.callback_metrics = step, {"val/bpd": torch.tensor(value)}
    callback.on_validation_end(trainer, module)


def test_the_lowest_number_decides_also_over_a_resume(trainer):
    best, module = BestWeights("val/bpd"), SimpleNamespace(model=torch.nn.Linear(2, 2))
    for step, value in ((1, 3.0), (2, 1.0), (3, 2.0)):
        validate(best, trainer, module, step, value)
    resumed = BestWeights("val/bpd")
    resumed.load_state_dict(best.state_dict())
    validate(resumed, trainer, module, 4, 1.5)
    assert (resumed.step, resumed.value, resumed.seen) == (2, 1.0, 4)
    assert resumed.is_earlier(trainer)
    resumed.load_into(trainer, module)
    assert (module.model.weight == 2).all()


def test_a_codec_that_is_not_quantised_yet_is_no_candidate(trainer):
    best, module = BestWeights("val/bpd"), SimpleNamespace(model=torch.nn.Linear(2, 2), quantize_from=2)
    for step, value in ((1, 1.0), (2, 0.5), (3, 3.0), (4, 4.0)):
        validate(best, trainer, module, step, value)
    assert (best.step, best.value) == (3, 3.0)


def test_best_weights_that_are_not_there_or_of_another_step_are_not_exported(trainer):
    best, module = BestWeights("val/bpd"), SimpleNamespace(model=torch.nn.Linear(2, 2))
    assert not best.is_earlier(SimpleNamespace(global_step=3))
    validate(best, trainer, module, 1, 1.0)
    trainer.global_step = 3
    assert best.is_earlier(trainer)
    best.step = 2
    assert not best.is_earlier(trainer)
    best_path(trainer).write_bytes(b"cut short")
    with pytest.raises(UserError, match=r"is broken.*delete it"):
        best.is_earlier(trainer)
    best_path(trainer).unlink()
    assert not best.is_earlier(trainer)


@pytest.mark.parametrize("patience", [0, -1, 1.5, True])
def test_a_patience_that_is_no_number_of_validations_is_refused(patience):
    with pytest.raises(UserError, match=r"patience=.*at least 1.*early_stop=null"):
        EarlyStop(patience)


def test_a_copied_run_is_found_and_chance_is_not():
    rng = np.random.default_rng(0)
    songs = [rng.integers(0, 512, 400).astype(np.uint16) for _ in range(3)]
    curve = CopyCurve()
    curve.index = CodeIndex(songs)
    sample = rng.integers(0, 512, 256)
    assert curve.run(sample) == 0
    sample[100:160] = songs[1][30:90]
    assert curve.run(sample) == 60


def test_the_copy_curve_keeps_to_its_share_of_the_time(trainer, monkeypatch):
    curve = CopyCurve(share=0.1, after_seconds=30)
    monkeypatch.setattr("jukebox_pl.training.callbacks.copies.time.monotonic", lambda: now)
    curve.begun = now = 0.0
    now = 20.0
    assert not curve.is_affordable(trainer)
    now = 40.0
    assert curve.is_affordable(trainer)
    curve.spent, curve.longest = 3.0, 3.0
    assert not curve.is_affordable(trainer)
    now = 60.0
    assert curve.is_affordable(trainer)
