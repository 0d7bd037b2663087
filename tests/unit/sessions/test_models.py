"""Models are loaded when something is to be sampled, and only where there is room for what it takes."""

import pytest
import torch
from small_run import LABELLER, same, sample

from jukebox_pl import checkpoints
from jukebox_pl.checkpoints import AdapterUse, read_adapter
from jukebox_pl.errors import UserError
from jukebox_pl.inference import memory
from jukebox_pl.nn.adapters import AdapterConfig
from jukebox_pl.sessions.commands import SessionContext
from jukebox_pl.sessions.models import Computing, ModelPool, strengths_in, written
from jukebox_pl.training.tuning import AdapterTuning, Base


def test_room_is_asked_for_all_that_is_sampled_at_once(context, monkeypatch):
    asked, estimate = [], memory.estimate_memory
    monkeypatch.setattr(memory, "estimate_memory", lambda *at, **how: asked.append(how["batch"]) or estimate(*at, **how))
    sample(context, candidates=2, parallel_windows=(3, 2, 1))
    assert asked == [6]


def test_without_room_nothing_is_loaded_and_no_song_begun(context, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    with pytest.raises(UserError, match=r"need about 0\.0 GB, 0\.0 GB are free"):
        sample(context)
    assert not context.session.folder.exists()


def test_the_models_asked_for_last_stay_loaded(context):
    first = context.pool.load(Computing())
    assert context.pool.load(Computing()) is first
    other = context.pool.load(Computing(dtype="bfloat16"))
    assert context.pool.load(Computing(dtype="bfloat16")) is other
    assert context.pool.load(Computing()) is not first


@pytest.fixture(scope="module")
def adapter(run_dir, tmp_path_factory):
    """Of the top prior, as if it had been trained."""
    folder, place = tmp_path_factory.mktemp("adapter"), run_dir / "prior_2"
    prior, tuning = checkpoints.load(place).model, AdapterTuning(layers=AdapterConfig(rank=2))
    tuning.prepare(prior)
    trained = {name: torch.randn_like(x) for name, x in prior.named_parameters() if x.requires_grad}
    tuning.save(folder, Base("run", 2, checkpoints.fingerprint(place)), trained, None, LABELLER)
    return read_adapter(folder / checkpoints.ADAPTER)


def test_an_adapter_changes_the_song_and_is_noted_with_its_strength(context, run_dir, adapter):
    plain = sample(context, name="plain")
    adapted, off = (
        SessionContext(context.session, ModelPool(run_dir, adapters=[AdapterUse(adapter, {2: strength})]))
        for strength in (0.5, 0.0)
    )
    codes = sample(adapted, name="adapted")
    assert not same(codes, plain)
    assert same(sample(off, name="off"), plain)
    weights = context.session.node("adapted").models.weights
    assert weights[f"adapter {adapter.fingerprint}"] == "0.5 at level 2"
    assert [name for name in context.session.node("plain").models.weights if "adapter" in name] == []
    assert adapted.pool.uses_of(context.session.node("adapted").models) == adapted.pool.adapters
    assert adapted.pool.uses_of(context.session.node("plain").models) == []
    sample(adapted, "replay", node="adapted", name="adapted")
    with pytest.raises(UserError, match=rf"made by other models \(weights.adapter {adapter.fingerprint}: 0.5 at level 2"):
        sample(context, "extend", node="adapted", seconds=2.4)


@pytest.mark.parametrize(
    "computing", [Computing(weights="int8"), Computing(weights="bfloat16"), Computing(dtype="bfloat16")]
)
def test_narrow_weights_keep_an_adapter(run_dir, adapter, computing):
    pools = [ModelPool(run_dir, adapters=[AdapterUse(adapter, {2: strength})]) for strength in (0.0, 1.0)]
    networks = [pool.load(computing).sampler.level_sampler(2).decoder.network for pool in pools]
    first = [next(module for module in network.transformer.blocks[0].mlp) for network in networks]
    weights = [layer.unpacked(torch.float32) if hasattr(layer, "unpacked") else layer.weight.float() for layer in first]
    assert not torch.allclose(*weights, atol=0.05)


@pytest.mark.parametrize("strengths", [{2: 1.0}, {0: 0.05, 1: -0.5, 2: 1e-05}])
def test_strengths_are_read_as_they_were_written(strengths):
    assert strengths_in(written(strengths)) == strengths


@pytest.mark.parametrize("text", ["", "1", "1 at level x", "x at level 2", "1 at level 2,"])
def test_strengths_that_are_none_are_refused(text):
    with pytest.raises(UserError, match="expected such as"):
        strengths_in(text)
