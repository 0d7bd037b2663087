import numpy as np
import pytest

from jukebox_pl.evaluation.codebook_use import codebook_use, nominal_rate, participation_ratio


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_equal_orthogonal_directions_are_as_many_dimensions(k):
    vectors = np.concatenate([np.eye(8)[:k], -np.eye(8)[:k]])
    assert participation_ratio(vectors, np.full(2 * k, 0.5 / k)) == pytest.approx(k)


def test_dimension_knows_neither_place_nor_scale_nor_what_never_occurs():
    rng = np.random.default_rng(0)
    vectors, share = rng.normal(size=(16, 4)), rng.dirichlet(np.ones(16))
    dimension = participation_ratio(vectors, share)
    assert 1 < dimension < 4
    assert participation_ratio(3 * vectors + 7, share) == pytest.approx(dimension)
    unused = np.concatenate([vectors, 100 * rng.normal(size=(5, 4))])
    assert participation_ratio(unused, np.concatenate([share, np.zeros(5)])) == pytest.approx(dimension)


def test_a_rare_direction_counts_little():
    cross = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert participation_ratio(cross, np.array([0.49, 0.49, 0.01, 0.01])) == pytest.approx(1.04, abs=0.01)


def test_even_codes_have_the_perplexity_of_their_number_and_the_nominal_rate():
    use = codebook_use(np.array([3, 3, 3, 3, 0, 0, 0, 0]), np.eye(8), codes_per_second=100)
    assert (use.used, use.perplexity, use.entropy_rate) == pytest.approx((0.5, 4.0, 200.0))
    assert use.effective_dimension == pytest.approx(3.0)  # four corners of a simplex
    every = codebook_use(np.ones(8), np.eye(8), codes_per_second=100)
    assert every.entropy_rate == pytest.approx(nominal_rate(100, 8)) == pytest.approx(300.0)


def test_one_code_alone_says_nothing():
    use = codebook_use(np.array([0, 9, 0, 0]), np.eye(4), codes_per_second=10)
    assert tuple(use) == pytest.approx((0.25, 1.0, 0.0, 0.0), abs=1e-9)


def test_the_released_bottom_level_has_sixty_kilobits_a_second():
    assert nominal_rate(44_100 / 8, 2048) == pytest.approx(60_637.5)
