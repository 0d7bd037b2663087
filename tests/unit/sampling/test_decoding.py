"""Engines draw the codes that the network's full pass gives, from fixed memory, with one graph for all positions."""

import pytest
import torch
from torch._dynamo.utils import counters

from jukebox_pl.errors import UserError
from jukebox_pl.inference import compiled, native
from jukebox_pl.models.conditioners import Conditioning, LyricsEncoder, TimingConditioner, UpperCodesConditioner
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.sampling import decoding
from jukebox_pl.sampling.decoding import Decoder, Engine, sample_codes
from jukebox_pl.sampling.logits import uniforms
from jukebox_pl.types import Labels, SamplingParams

WIDTH, CTX, BINS, LYRICS = 64, 24, 32, 8
PARAMS = SamplingParams(temperature=0.9).at(0)


def with_encoder():
    encoder = LyricsEncoder(5, WIDTH, Transformer(8, 2, "RC", LYRICS, 4, attn_width=8))
    return Prior(BINS, Transformer(WIDTH, 2, "RCPX", CTX, 6), lyrics=encoder, tied=False)


def with_prefix():
    timing = TimingConditioner(WIDTH, CTX, 8, 0, 10000)
    return Prior(BINS, Transformer(WIDTH, 2, "RCPLD", CTX + LYRICS, 8, prefix=LYRICS), {"timing": timing}, vocabulary=5)


def upsampler():
    upper = UpperCodesConditioner(WIDTH, BINS, conv_width=8, depth=2)
    return Prior(BINS, Transformer(WIDTH, 2, "RCP", CTX, 6), {"upper": upper})


def with_everything():
    encoder = LyricsEncoder(5, WIDTH, Transformer(8, 2, "RC", LYRICS, 4, attn_width=8))
    timing = TimingConditioner(WIDTH, CTX, 8, 0, 10000)
    transformer = Transformer(WIDTH, 2, "RCPLDX", CTX + LYRICS, 8, prefix=LYRICS)
    return Prior(BINS, transformer, {"timing": timing}, lyrics=encoder, vocabulary=5)


KINDS = {"encoder": with_encoder, "prefix": with_prefix, "upsampler": upsampler}


@pytest.fixture(params=KINDS)
def prior(request):
    return randomized(KINDS[request.param]())


def randomized(prior):
    torch.manual_seed(0)
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return prior.eval()


@torch.no_grad()
def condition(prior, rows=2, seed=0):
    torch.manual_seed(seed)
    number = torch.full((rows,), 4000)
    lyrics = torch.randint(5, (rows, LYRICS))
    labels = Labels(number * 0, number[:, None] * 0, number, number // 4, number // 2, lyrics)
    return prior.condition(labels, torch.randint(BINS, (rows, CTX // 4)))


def numbers(rows=2, total=CTX):
    return torch.stack([uniforms(seed, 0, total) for seed in range(rows)])


def known_codes(rows=2, length=0):
    return torch.randint(BINS, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def uncompiled(monkeypatch):
    """Steps of fixed shape, without the minutes of a compiler."""
    monkeypatch.setattr(decoding, "Replay", lambda method: method)


def assert_drawn_by(prior, cond, codes, noise, known, params=PARAMS):
    """Each code is where the full pass, too, finds its number among the cumulated probabilities, up to rounding."""
    logits = prior(codes[:, :-1], cond)[:, known:]
    cumulated = (logits / params.temperature).softmax(-1).cumsum(-1)
    below = torch.nn.functional.pad(cumulated, (1, 0))
    drawn, number = codes[:, known:, None], noise[:, known : codes.shape[1], None]
    assert (below.gather(-1, drawn) <= number + 1e-5).all()
    assert (cumulated.gather(-1, drawn) >= number - 1e-5).all()


@torch.no_grad()
def check_windows(decoder, prior):
    """Windows that begin anywhere, one after the other in the same memory."""
    for window, (known, total) in enumerate([(0, CTX), (5, CTX), (13, 20), (0, 3), (CTX - 1, CTX)]):
        cond, given, noise = condition(prior, seed=window), known_codes(length=known), numbers(total=total)
        codes = decoder(cond, given, noise, PARAMS)
        assert codes.shape == (2, total)
        assert codes[:, :known].equal(given)
        assert_drawn_by(prior, cond, codes, noise, known)
        assert codes.equal(sample_codes(prior, cond, given, noise, PARAMS))


def test_windows_drawn_without_a_graph(prior):
    check_windows(Decoder(prior, Engine()), prior)


def test_windows_drawn_in_fixed_memory(prior, uncompiled):
    check_windows(Decoder(prior, Engine(compile=True)), prior)


@pytest.mark.slow
def test_windows_drawn_by_one_graph():
    prior = randomized(with_everything())
    counters.clear()
    decoder = Decoder(prior, Engine(compile=True))
    check_windows(decoder, prior)
    assert counters["stats"]["unique_graphs"] == 1
    cond, known, noise = condition(prior, seed=7), known_codes(length=3), numbers()
    params = PARAMS._replace(top_k=5, top_p=0.8)  # to sort and to cut is another graph
    assert decoder(cond, known, noise, params).equal(sample_codes(prior, cond, known, noise, params))
    assert decoder(cond, known, noise, PARAMS).equal(sample_codes(prior, cond, known, noise, PARAMS))
    assert counters["stats"]["unique_graphs"] == 2


@pytest.mark.parametrize("compile", [False, True])
def test_a_start_read_in_pieces_is_the_start(prior, compile, uncompiled):
    cond, known, noise = condition(prior), known_codes(length=17), numbers()
    expected = sample_codes(prior, cond, known, noise, PARAMS)
    for prefill in (1, 5, 17, 100):
        assert Decoder(prior, Engine(compile, prefill=prefill))(cond, known, noise, PARAMS).equal(expected)


@pytest.mark.parametrize("weights", decoding.WEIGHTS)
def test_songs_side_by_side_are_the_songs_alone(prior, weights, uncompiled):
    decoder = Decoder(prior, Engine(compile=True, weights=weights))
    cond, known, noise = condition(prior, rows=5), known_codes(rows=5, length=4), numbers(rows=5)
    together = decoder(cond, known, noise, PARAMS)
    for i in range(5):
        alone = slice(i, i + 1)
        assert decoder(cond.items(alone), known[alone], noise[alone], PARAMS).equal(together[alone])


@torch.no_grad()
@pytest.mark.parametrize(("weights", "nats"), [("as_loaded", 1e-9), ("bfloat16", 1e-4), ("int8", 2e-3)])
def test_narrow_weights_move_the_probabilities_a_little_and_the_prior_not_at_all(prior, weights, nats):
    before = {name: tensor.clone() for name, tensor in prior.state_dict().items()}
    cond, codes = condition(prior), known_codes(length=CTX - 1)
    twin = decoding.streamed(prior, decoding.WEIGHTS[weights])
    exact, narrow = (network(codes, cond).double().log_softmax(-1) for network in (prior, twin))
    divergence = (exact.exp() * (exact - narrow)).sum(-1)
    assert divergence.abs().max() < nats
    assert (divergence.abs().max() > nats / 1e4) == (weights != "as_loaded")
    after = prior.state_dict()
    assert list(after) == list(before)
    assert all(after[name].equal(tensor) for name, tensor in before.items())


@pytest.mark.parametrize("compile", [False, True])
def test_the_first_code_without_finite_logits_is_named(compile, uncompiled, monkeypatch):
    prior = randomized(upsampler())
    prior.positions.data[9] = torch.nan  # code 9 comes from the position after code 8
    monkeypatch.setattr(decoding, "CHECK_EVERY", 4)
    decoder = Decoder(prior, Engine(compile))
    for known in (0, 6):
        with pytest.raises(ValueError, match="code 9: the prior's logits are not finite"):
            decoder(condition(prior), known_codes(length=known), numbers(), PARAMS)


@pytest.mark.parametrize("compile", [False, True])
def test_every_code_is_counted(compile, uncompiled):
    prior, counted = randomized(upsampler()), []
    Decoder(prior, Engine(compile))(condition(prior), known_codes(length=4), numbers(), PARAMS, counted.append)
    assert counted == list(range(5, CTX + 1))


def test_without_a_compiler_there_is_one_warning_and_the_same_codes(monkeypatch):
    prior = randomized(upsampler())
    cond, known, noise = condition(prior), known_codes(length=4), numbers()
    monkeypatch.setattr(native, "compiler", lambda: None)
    compiled.can_compile.cache_clear()
    with pytest.warns(UserWarning, match="needs a C\\+\\+ compiler") as warned:
        codes = [Decoder(prior, Engine(compile=True))(cond, known, noise, PARAMS) for _ in range(2)]
    compiled.can_compile.cache_clear()
    assert len([w for w in warned if "engine.compile" in str(w.message)]) == 1
    assert all(found.equal(sample_codes(prior, cond, known, noise, PARAMS)) for found in codes)


@torch.no_grad()
def test_a_window_with_nothing_to_draw_is_what_is_known():
    prior, known = randomized(upsampler()), known_codes(length=9)
    assert sample_codes(prior, condition(prior), known, numbers(total=9), PARAMS).equal(known)


def test_memory_of_another_shape_is_kept_for_its_graph_alone(uncompiled):
    prior = randomized(upsampler())
    for compile, shapes in ((False, 1), (True, 2)):
        decoder = Decoder(prior, Engine(compile))
        for rows in (1, 2):
            decoder(condition(prior, rows), known_codes(rows), numbers(rows), PARAMS)
        assert len(decoder._windows) == shapes


class Adapted(torch.nn.Linear):
    pass


def test_an_output_that_is_more_than_a_linear_layer_does_not_vanish():
    prior = randomized(with_encoder())
    prior.out = Adapted(WIDTH, BINS, bias=False)
    assert isinstance(decoding.streamed(prior, None).out, Adapted)


def test_int8_is_refused_where_every_step_would_unpack_it():
    engine = Engine(weights="int8")
    engine.require_device("cpu")
    for device in ("cuda", "cuda:1", "mps"):
        Engine(weights="bfloat16").require_device(device)
        with pytest.raises(UserError, match=r"engine\.weights=int8 .* on (cuda|mps), .*take weights=bfloat16"):
            engine.require_device(device)


def test_settings_nobody_knows_are_refused():
    with pytest.raises(UserError, match=r"engine\.weights must be one of as_loaded, bfloat16, int8, found 'int4'"):
        Engine(weights="int4")
    with pytest.raises(UserError, match=r"engine\.prefill must be 0 or a number of codes, found -1"):
        Engine(prefill=-1)


def guided(prior, guidance, known, noise):
    """A window under one condition, guided away from another one."""
    towards, away = condition(prior, rows=len(known)), condition(prior, rows=len(known), seed=7)
    both = Conditioning(*(None if a is None else torch.cat([a, b]) for a, b in zip(towards, away, strict=True)))
    window = decoding.Window(prior, len(known), known.device, guided=True)
    return window.sample(both, known, noise, PARAMS._replace(guidance=guidance))


def test_guidance_goes_from_one_condition_to_the_other_and_beyond(prior):
    known, noise = known_codes(), numbers()
    with_labels = sample_codes(prior, condition(prior), known, noise, PARAMS)
    without = sample_codes(prior, condition(prior, seed=7), known, noise, PARAMS)
    assert guided(prior, 1.0, known, noise).equal(with_labels)
    assert guided(prior, 0.0, known, noise).equal(without)
    assert not guided(prior, 50.0, known, noise).equal(with_labels)


def test_guided_songs_side_by_side_are_the_songs_alone(prior):
    known, noise = known_codes(), numbers()
    both = guided(prior, 2.0, known, noise)
    towards, away = condition(prior), condition(prior, seed=7)
    for row in range(2):
        one = slice(row, row + 1)
        pair = Conditioning(
            *(None if a is None else torch.cat([a[one], b[one]]) for a, b in zip(towards, away, strict=True))
        )
        alone = decoding.Window(prior, 1, known.device, guided=True)
        assert alone.sample(pair, known[one], noise[one], PARAMS._replace(guidance=2.0)).equal(both[one])
