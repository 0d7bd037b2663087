import pytest
import torch
import torch.nn.functional as F

from jukebox_pl.inference import native
from jukebox_pl.inference.linear import FEW_ROWS, StreamedLinear, stream_linears
from jukebox_pl.nn.transformer import Transformer

KINDS = [torch.float32, torch.bfloat16, torch.int8]
SHAPES = [(64, 64), (16, 3), (480, 19), (48, 8)]
needs_operators = pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler")


def layer(width=64, outputs=24):
    torch.manual_seed(0)
    linear = torch.nn.Linear(width, outputs)
    torch.nn.init.normal_(linear.weight)
    return linear


@needs_operators
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1, 3, 4, 9])
def test_the_operator_multiplies_by_the_weights_it_was_given(dtype, shape, rows):
    linear = layer(*shape)
    streamed, x = StreamedLinear(linear.weight.detach(), linear.bias, dtype), torch.randn(rows, 1, shape[0])
    assert streamed.packed
    expected = F.linear(x, streamed.unpacked(torch.float32), linear.bias)
    torch.testing.assert_close(streamed(x), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 0.0), (torch.bfloat16, 2**-8), (torch.int8, 0.5 / 127)])
@pytest.mark.parametrize("width", [64, 480, 30])  # 30: not in whole runs
def test_narrow_weights_are_the_nearest(dtype, error, width):
    weight = layer(width).weight.detach()
    streamed = StreamedLinear(weight, dtype=dtype)
    found = streamed.unpacked(torch.float32)
    assert ((found - weight).abs() <= error * weight.abs().amax(1, keepdim=True) + 1e-9).all()


@pytest.mark.parametrize("dtype", KINDS)
def test_a_row_gives_the_same_bits_in_any_small_batch(dtype):
    linear = layer()
    streamed, x = StreamedLinear(linear.weight.detach(), linear.bias, dtype), torch.randn(FEW_ROWS, 64)
    if streamed.packed:
        for rows in (1, 2, 5, 16, FEW_ROWS):
            assert streamed(x[:rows]).equal(torch.stack([streamed(row) for row in x[:rows]]))


@pytest.mark.parametrize("dtype", KINDS)
def test_many_rows_and_machines_without_a_compiler_get_the_same(dtype, monkeypatch):
    linear, x = layer(), torch.randn(100, 64)
    streamed = StreamedLinear(linear.weight.detach(), linear.bias, dtype)
    few = torch.cat([streamed(part) for part in x.split(10)])
    torch.testing.assert_close(streamed(x), few, rtol=1e-5, atol=1e-4)
    monkeypatch.setattr(native, "operators", lambda: False)
    plain = StreamedLinear(linear.weight.detach(), linear.bias, dtype)
    assert not plain.packed
    torch.testing.assert_close(plain(x), few, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_of_the_right_type_are_shared(dtype):
    weight = layer().weight.detach().to(dtype)
    assert StreamedLinear(weight).weight.data_ptr() == weight.data_ptr()


def test_every_linear_layer_is_replaced():
    network = Transformer(64, 2, "RX", 16, 4)
    stream_linears(network, torch.bfloat16)
    kinds = [type(module) for module in network.modules()]
    assert torch.nn.Linear not in kinds
    assert kinds.count(StreamedLinear) == 4 + 5


class Scaled(torch.nn.Linear):
    """An adapter: more than its weight."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_a_subclass_of_a_linear_layer_does_not_vanish():
    adapted = Scaled(64, 64)
    network, x = torch.nn.Sequential(torch.nn.Linear(64, 64), adapted), torch.randn(3, 64)
    expected = network(x)
    stream_linears(network)
    assert [type(layer) for layer in network] == [StreamedLinear, Scaled]
    torch.testing.assert_close(network(x), expected)


def test_no_compiler_is_one_warning(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    native.operators.cache_clear()
    try:
        with pytest.warns(UserWarning, match="no C\\+\\+ compiler") as warned:
            there = native.operators()
        assert not there
        assert not native.operators()
        assert len(warned) == 1
    finally:
        native.operators.cache_clear()


@needs_operators
def test_a_library_is_built_once(monkeypatch, tmp_path):
    built = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(native.subprocess, "run", lambda command, **_: built.append(command[-3].write_bytes(b"")))
    assert native._library() == native._library()
    assert len(built) == 1
