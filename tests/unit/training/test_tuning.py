"""What a fine-tune trains, and what it goes on from: the rest stays as it is, and the base can be asked at any time."""

import copy

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.nn.adapters import AdapterConfig
from jukebox_pl.training.modules.prior import FrozenCopy, PriorModule
from jukebox_pl.training.tuning import AdapterTuning, WholePrior
from jukebox_pl.types import CodesBatch, Labels

TRANSFORMER = {"_target_": "jukebox_pl.nn.transformer.Transformer", "width": 8, "heads": 1, "ctx": 8, "block": 4}
LABELS = {"_target_": "jukebox_pl.models.conditioners.LabelConditioner", "width": 8, "artists": 3, "genres": 2}
CONFIG = {"_target_": "jukebox_pl.models.prior.Prior", "bins": 16, "conditioners": {"labels": LABELS}}
CONFIG |= {"transformer": TRANSFORMER | {"pattern": "RC"}}
TUNINGS = {
    "all": WholePrior(),
    "embeddings": AdapterTuning(),
    "lora": AdapterTuning(layers=AdapterConfig(rank=2)),
    "lora and codes": AdapterTuning(layers=AdapterConfig(rank=2), codes=True),
    "dora on half a base": AdapterTuning(layers=AdapterConfig("dora", rank=2), precision="bfloat16", checkpointing=True),
}


@pytest.fixture
def batch():
    codes = torch.randint(16, (2, 8), generator=torch.Generator().manual_seed(0))
    one = torch.ones(2, dtype=torch.long)
    return CodesBatch(codes, None, Labels(one, one[:, None], one * 100, one * 0, one * 50, torch.zeros(2, 0).long()))


def prior(tuning):
    torch.manual_seed(0)
    begun = checkpoints.build(CONFIG)
    for parameter in begun.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    made = checkpoints.assemble(CONFIG, begun.state_dict(), tuning.dtype)
    tuning.prepare(made)
    return made


def train(network, batch, base=None, kl_weight=0.0, steps=8):
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, 0.05)
    for _ in range(steps):
        losses = network.losses(batch.codes, network.condition(batch.labels), base=base(batch) if base else None)
        optimizer.zero_grad()
        (losses.codes + (kl_weight * losses.kl if base else 0)).backward()
        optimizer.step()
    return losses


@pytest.mark.parametrize("name", TUNINGS)
def test_what_is_trained_learns_and_the_rest_stays(name, batch):
    tuning, network = TUNINGS[name], prior(TUNINGS[name])
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    first, last = train(network, batch, steps=1).codes, train(network, batch).codes
    assert last < first
    frozen = {key for key, parameter in network.named_parameters() if not parameter.requires_grad}
    assert all(network.state_dict()[key].equal(before[key]) for key in frozen)
    assert bool(frozen) == isinstance(tuning, AdapterTuning)
    trained = {key for key in before if key not in frozen}
    assert all(before[key].dtype == torch.float32 for key in trained)
    assert {before[key].dtype for key in before if "mlp.0.weight" in key} == {tuning.dtype}
    if name == "embeddings":
        assert trained == {"conditioners.labels.artist.weight", "conditioners.labels.genre.weight"}


@pytest.mark.parametrize("name", TUNINGS)
def test_the_base_stays_what_it_was_and_shares_what_is_frozen(name, batch):
    network = prior(TUNINGS[name])
    base = FrozenCopy(network)
    before = base(batch)
    losses = network.losses(batch.codes, network.condition(batch.labels), base=before)
    assert losses.kl.item() == pytest.approx(0, abs=1e-6)
    train(network, batch)
    assert base(batch).equal(before)
    moved = network.losses(batch.codes, network.condition(batch.labels), base=before).kl
    assert moved > 1e-4
    shared = {parameter.data_ptr() for parameter in network.parameters() if not parameter.requires_grad}
    assert shared <= {parameter.data_ptr() for parameter in base.prior.parameters()}
    assert copy.deepcopy(base) is base


def test_kl_holds_back(batch):
    free, held = prior(WholePrior()), prior(WholePrior())
    base = FrozenCopy(free)
    assert train(held, batch, base, kl_weight=10.0).kl < train(free, batch, base).kl / 2


def test_what_is_frozen_is_not_in_a_checkpoint_and_comes_back(batch):
    module = PriorModule(prior(TUNINGS["lora"]), kl_weight=0.5)
    whole = {f"model.{name}": tensor for name, tensor in module.model.state_dict().items()}
    checkpoint = {"state_dict": dict(whole)}
    module.on_save_checkpoint(checkpoint)
    assert 0 < len(checkpoint["state_dict"]) < len(whole)
    module.on_load_checkpoint(checkpoint)
    assert {name: tensor.shape for name, tensor in checkpoint["state_dict"].items()} == {
        name: tensor.shape for name, tensor in whole.items()
    }


def test_what_there_is_not_is_named():
    with pytest.raises(UserError, match=r"precision=float8: expected one of float32, bfloat16"):
        AdapterTuning(precision="float8")
    with pytest.raises(UserError, match="the pattern RC has none of them"):
        prior(AdapterTuning(layers=AdapterConfig(letters="X")))
