import math

import pytest
import torch

from jukebox_pl.evaluation.ablations import LevelFigures, Row, compare, measure_levels, over_seeds, verdict
from jukebox_pl.models.joint_vqvae import JointVQVAE
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.nn.codebook import Unquantized

SMALL = {"bins": 16, "code_dim": 4, "width": 4, "depth": 1}


@pytest.mark.parametrize("network", [VQVAE, JointVQVAE])
def test_every_level_is_measured_over_all_clips(network):
    torch.manual_seed(0)
    model = network(**SMALL)
    clips = [torch.randn(2, 1, 4096) for _ in range(2)]
    model(clips[0])
    figures = measure_levels(model.eval(), clips)
    assert len(figures) == 3
    codes = torch.cat([model.encode(clip)[2].flatten() for clip in clips])
    share = codes.bincount() / len(codes)
    assert figures[2].usage == len(codes.unique()) / 16
    assert figures[2].entropy == pytest.approx(sum(-p * math.log2(p) for p in share.tolist() if p), abs=1e-4)


def test_without_a_codebook_there_is_no_entropy():
    figures = measure_levels(VQVAE(**SMALL, bottleneck=Unquantized()).eval(), [torch.randn(1, 1, 4096)])
    assert [level[1:] for level in figures] == [(None, None)] * 3


def test_an_interval_over_three_seeds_is_that_of_student():
    mean, (low, high) = over_seeds([1.0, 2.0, 3.0])
    assert mean == 2
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)
    assert over_seeds([1.0]) == (1.0, [-math.inf, math.inf])


@pytest.mark.parametrize(
    ("paper", "bounds", "expected"),
    [
        (1.9, (0.1, 2), "as in the paper"),
        (1.9, (-2, -0.1), "not as in the paper"),
        (1.9, (-0.1, 2), "no difference to be seen"),
        (0.0, (-0.1, 2), "no difference to be seen, as in the paper"),
        (0.0, (0.1, 2), "not as in the paper"),
        (0.0, (-2, -0.1), "not as in the paper"),
    ],
)
def test_a_difference_has_the_sign_of_the_papers_or_not(paper, bounds, expected):
    assert verdict(paper, bounds) == expected


def test_rows_are_compared_seed_by_seed():
    def levels(*decibels):
        return {f"seed_{seed}": [LevelFigures(value, 5.0, 0.5)] for seed, value in enumerate(decibels)}

    measured = {"good": levels(-9, -5, -1), "bad": levels(-8, -4.1, 0)}  # apart less than seeds are, and always
    first, second = compare("title", [Row("good", 0, -2.0), Row("bad", 0, -1.0)], measured).rows
    assert first[:3] == ("good", "0", "-2.0")
    assert first[-1].startswith("+0.97 [")
    assert first[-1].endswith("as in the paper")
    assert second[-1] == ""
