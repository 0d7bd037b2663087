import torch

from jukebox_pl.sampling.logits import draw, filter_logits, uniforms


def test_draws_follow_the_probabilities():
    probabilities = torch.tensor([0.1, 0.2, 0.0, 0.7])
    numbers = uniforms(0, 0, 20_000)
    codes = draw(probabilities.log().expand(20_000, -1), numbers, temperature=1.0)
    torch.testing.assert_close(codes.bincount(minlength=4) / 20_000, probabilities, atol=0.01, rtol=0)


def test_a_code_that_cannot_be_drawn_never_is():
    logits = torch.full((2, 5), -torch.inf)
    logits[:, 2] = 0.0
    extremes = torch.tensor([0.0, 1 - 2**-24])
    assert draw(logits, extremes, temperature=0.99).tolist() == [2, 2]
    ranked = torch.tensor([[0.0, 1, 2, 3], [3, 2, 1, 0]])
    assert draw(ranked, extremes, temperature=0.99, top_k=2).tolist() == [2, 1]


def test_top_k_and_top_p_keep_the_right_ones():
    logits = torch.tensor([[0.1, 0.5, 0.3, 0.1]]).log()
    assert filter_logits(logits, top_k=2).isfinite().tolist() == [[False, True, True, False]]
    assert filter_logits(logits, top_p=0.4).isfinite().tolist() == [[False, True, False, False]]
    assert filter_logits(logits, top_p=0.6).isfinite().tolist() == [[False, True, True, False]]


def test_randomness_depends_on_seed_level_and_position_alone():
    assert uniforms(3, 1, 100)[:50].equal(uniforms(3, 1, 50))
    assert not uniforms(3, 1, 50).equal(uniforms(3, 2, 50))
    assert not uniforms(3, 1, 50).equal(uniforms(4, 1, 50))
