import numpy as np
import pytest

from jukebox_pl.evaluation.codebook_use import effective_dimension, entropy_bits, perplexity, share_used


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_equal_orthogonal_directions_are_as_many_dimensions(k):
    vectors = np.concatenate([np.eye(8)[:k], -np.eye(8)[:k]])
    assert effective_dimension(np.full(2 * k, 3), vectors) == pytest.approx(k)


def test_dimension_knows_neither_place_nor_scale_nor_what_never_occurs():
    rng = np.random.default_rng(0)
    vectors, counts = rng.normal(size=(16, 4)), rng.integers(1, 9, 16)
    dimension = effective_dimension(counts, vectors)
    assert 1 < dimension < 4
    assert effective_dimension(5 * counts, 3 * vectors + 7) == pytest.approx(dimension)
    unused = np.concatenate([vectors, 100 * rng.normal(size=(5, 4))])
    assert effective_dimension(np.concatenate([counts, np.zeros(5)]), unused) == pytest.approx(dimension)


def test_a_rare_direction_counts_little():
    cross = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert effective_dimension(np.array([49, 49, 1, 1]), cross) == pytest.approx(1.04, abs=0.01)


def test_even_codes_have_the_perplexity_of_their_number():
    counts = np.array([3, 3, 3, 3, 0, 0, 0, 0])
    assert (share_used(counts), entropy_bits(counts), perplexity(counts)) == pytest.approx((0.5, 2.0, 4.0))
    assert perplexity(np.array([97, 1, 1, 1])) < 1.3


def test_one_code_alone_says_nothing():
    counts = np.array([0, 9, 0, 0])
    assert (share_used(counts), entropy_bits(counts), perplexity(counts)) == pytest.approx((0.25, 0.0, 1.0))
    assert effective_dimension(counts, np.eye(4)) == pytest.approx(0.0)
