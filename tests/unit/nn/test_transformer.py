import pytest
import torch

from jukebox_pl.nn.attention import split_heads
from jukebox_pl.nn.cache import KVCache
from jukebox_pl.nn.patterns import PATTERNS
from jukebox_pl.nn.transformer import QuickGELU, Transformer

CTX, BLOCK, PREFIX = 36, 6, 8
VISIBLE = {
    "D": lambda i, j: j <= i,
    "R": lambda i, j: j <= i and i // BLOCK == j // BLOCK,
    "C": lambda i, j: j <= i and i % BLOCK == j % BLOCK,
    "P": lambda i, j: j // BLOCK == i // BLOCK - 1,
    "L": lambda i, j: j <= i and j < (PREFIX // (CTX // BLOCK) + 1) * (CTX // BLOCK),
}


def random_transformer(pattern, **options):
    torch.manual_seed(0)
    transformer = Transformer(16, 2, pattern, CTX, BLOCK, PREFIX, **options).eval()
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return transformer


@pytest.mark.parametrize("letter", VISIBLE)
def test_a_pattern_sees_exactly_its_keys(letter):
    attention = random_transformer(letter).blocks[0].attention
    x = torch.randn(1, CTX, 16, requires_grad=True)
    for query in range(CTX):
        (gradient,) = torch.autograd.grad(attention(x)[0, query].sum(), x)
        seen = (gradient[0].abs().sum(1) > 0).tolist()
        # The query itself counts too where it sees any key at all: it asks the question.
        expected = [VISIBLE[letter](query, key) for key in range(CTX)]
        expected[query] |= any(expected)
        assert seen == expected, (letter, query)


@pytest.mark.parametrize("pattern", [*VISIBLE, "X", "RCPDLX*2"])
@pytest.mark.parametrize("pieces", [[1] * 33, [7, 1, 12, 5, 8], [6, 6, 21], [33]])
def test_cache_equals_full_pass(pattern, pieces):
    transformer = random_transformer(pattern)
    x, states = torch.randn(2, 33, 16), torch.randn(2, 5, 16)
    cache, parts, start = KVCache(len(transformer.blocks)), [], 0
    with torch.no_grad():
        for length in pieces:
            parts.append(transformer(x[:, start : start + length], states, cache))
            start += length
        torch.testing.assert_close(torch.cat(parts, 1), transformer(x, states), rtol=1e-4, atol=1e-4)


def test_batch_of_two_equals_two_of_one():
    transformer = random_transformer("RCPDLX")
    x, states = torch.randn(2, 20, 16), torch.randn(2, 5, 16)
    both = transformer(x, states)
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], transformer(x[i : i + 1], states[i : i + 1]), rtol=1e-4, atol=1e-4)


def test_checkpointing_changes_no_gradient():
    x = torch.randn(1, 20, 16)
    gradients = []
    for checkpointing in (False, True):
        transformer = random_transformer("RCP", checkpointing=checkpointing)
        transformer(x).square().sum().backward()
        gradients.append([p.grad.clone() for p in transformer.parameters()])
    torch.testing.assert_close(*gradients)


def test_new_cross_layers_are_the_identity_and_receive_gradient():
    transformer = Transformer(16, 2, "X", CTX, BLOCK)
    x, states = torch.randn(1, 9, 16), torch.randn(1, 5, 16)
    answer = transformer(x, states)
    assert answer.equal(x)
    answer.square().sum().backward()
    block = transformer.blocks[0]
    assert block.attention.out.weight.grad.abs().sum() > 0
    assert block.mlp[-1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("compiled", [False, True])
def test_gelu_is_the_papers_and_so_is_its_gradient(compiled):
    gelu = QuickGELU()
    if compiled:
        gelu.compile(backend="aot_eager", fullgraph=True)
    x = torch.linspace(-30, 30, 301, dtype=torch.float64, requires_grad=True)
    papers = x * torch.sigmoid(1.702 * x)
    assert gelu(x).equal(papers)
    torch.testing.assert_close(*(torch.autograd.grad(y.square().sum(), x) for y in (gelu(x), papers)))
    with torch.no_grad():
        assert gelu(x).equal(papers)


def test_gelu_keeps_one_tensor_for_its_gradient():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor), lambda _: None):
        QuickGELU()(torch.randn(3, 4, requires_grad=True))
    assert [tensor.shape for tensor in kept] == [(3, 4)]


@pytest.mark.parametrize("letter", ["D", "R", "P"])
def test_answers_stand_in_memory_as_the_next_layer_reads_them(letter):
    pattern = PATTERNS[letter](CTX, BLOCK, 0)
    answer = pattern.full(*split_heads(torch.randn(2, CTX, 3 * 8), 3, heads=2))
    assert answer.transpose(1, 2).is_contiguous()
