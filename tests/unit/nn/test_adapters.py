"""Adapters: nothing at first, merged = beside, stacked = summed, and the base untouched."""

import pytest
import torch
from torch import nn

from jukebox_pl.inference.linear import StreamedLinear, stream_linears
from jukebox_pl.nn.adapters import AdaptedLinear, AdapterConfig, adapt, adapter_state, load_adapter_state, merge
from jukebox_pl.nn.transformer import Transformer

WIDTH, CTX = 16, 24


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = Transformer(WIDTH, 2, "RCX", CTX, 6)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made


X, STATES = torch.randn(2, CTX, WIDTH, generator=torch.Generator().manual_seed(1)), torch.ones(2, 3, WIDTH)


def disturb(network, name="adapter"):
    """As if it had been trained."""
    for key, parameter in network.named_parameters():
        if f".adapters.{name}." in key:
            nn.init.normal_(parameter, mean=0.0 if "magnitude" not in key else 1.0, std=0.1)


kinds = pytest.mark.parametrize("kind", ["lora", "dora"])


@kinds
def test_nothing_changes_at_first(network, kind):
    before = network(X, STATES)
    adapt(network, AdapterConfig(kind, rank=4))
    assert torch.allclose(network(X, STATES), before, atol=1e-5)


@kinds
def test_merged_is_as_beside_and_its_layers_are_plain(network, kind):
    names = list(network.state_dict())
    adapt(network, AdapterConfig(kind, rank=4))
    disturb(network)
    beside = network(X, STATES)
    merge(network)
    assert torch.allclose(network(X, STATES), beside, atol=1e-5)
    assert list(network.state_dict()) == names
    stream_linears(network)
    assert not any(type(module) is nn.Linear for module in network.modules())
    assert torch.allclose(network(X, STATES), beside, atol=1e-4)


@kinds
def test_a_frozen_base_stays_as_it_is(network, kind):
    network.requires_grad_(False)
    base = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    adapt(network, AdapterConfig(kind, rank=2))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(X, STATES).square().mean().backward()
        optimizer.step()
    now = network.state_dict()
    assert all(now[key].equal(tensor) for key, tensor in base.items())
    assert any(key.endswith(".up") and tensor.any() for key, tensor in adapter_state(network).items())


@kinds
def test_an_adapter_is_saved_alone_and_fits_only_its_own_kind(network, kind):
    config = AdapterConfig(kind, rank=4)
    adapt(network, config, "style")
    disturb(network, "style")
    wanted, state = network(X, STATES), adapter_state(network, "style")
    assert not {"weight", "bias"} & {key.rpartition(".")[2] for key in state}
    merge(network)
    torch.manual_seed(0)
    other = Transformer(WIDTH, 2, "RCX", CTX, 6)
    for parameter in other.parameters():
        nn.init.normal_(parameter, std=0.2)
    adapt(other, config)
    load_adapter_state(other, state)
    assert torch.allclose(other(X, STATES), wanted, atol=1e-6)
    narrow = Transformer(WIDTH, 2, "RC", CTX, 6)
    adapt(narrow, config)
    with pytest.raises(ValueError, match=r"does not fit at blocks\.2.* found, expected None"):
        load_adapter_state(narrow, state)


def test_strength_scales_and_several_add_up(network):
    base = network(X, STATES)
    adapt(network, AdapterConfig(rank=2), "one")
    adapt(network, AdapterConfig(rank=3, letters="R"), "two")
    disturb(network, "one")
    disturb(network, "two")
    layer = next(module for module in network.modules() if isinstance(module, AdaptedLinear) and len(module.adapters) == 2)
    added = {name: adapter.delta(layer.weight) for name, adapter in layer.adapters.items()}
    assert torch.allclose(layer.merged(), layer.weight + added["one"] + added["two"], atol=1e-6)
    layer.strengths |= {"one": 0.5, "two": 0.0}
    assert torch.allclose(layer.merged(), layer.weight + 0.5 * added["one"], atol=1e-6)
    for module in network.modules():
        if isinstance(module, AdaptedLinear):
            module.strengths = dict.fromkeys(module.adapters, 0.0)
    assert torch.allclose(network(X, STATES), base, atol=1e-6)


def test_half_precision_keeps_whole_adapters(network):
    network.to(torch.bfloat16)
    adapt(network, AdapterConfig(rank=2))
    layer = next(module for module in network.modules() if isinstance(module, AdaptedLinear))
    assert layer.merged().dtype == torch.bfloat16
    assert {tensor.dtype for tensor in adapter_state(network).values()} == {torch.float32}


def test_only_what_is_asked_for_is_adapted(network):
    adapt(network, AdapterConfig(letters="X", parts=("attention",)))
    adapted = {key.split(".adapters.")[0] for key in network.state_dict() if ".adapters." in key}
    assert adapted == {"blocks.2.attention.q", "blocks.2.attention.kv", "blocks.2.attention.out"}
    assert isinstance(network.blocks[0].attention.qkv, nn.Linear)
    assert not isinstance(network.blocks[0].attention.qkv, AdaptedLinear | StreamedLinear)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "loha"}, "kind 'loha' found, expected one of lora, dora"),
        ({"rank": 0}, "rank 0 found"),
        ({"parts": ("norm",)}, "adapter for"),
        ({"letters": "Z"}, "adapter for"),
    ],
)
def test_what_there_is_not_is_told(config, message):
    with pytest.raises(ValueError, match=message):
        AdapterConfig(**config)


def test_a_pattern_without_the_letters_and_a_name_used_twice(network):
    with pytest.raises(ValueError, match="the pattern RCX has none of them"):
        adapt(network, AdapterConfig(letters="D"))
    adapt(network, AdapterConfig())
    with pytest.raises(ValueError, match="there is an adapter 'adapter' already"):
        adapt(network, AdapterConfig())
