"""Sets of one distribution are around zero apart, others farther, and a song more than once counts as one."""

import numpy as np
import pytest
import torch

from jukebox_pl.evaluation.two_samples import SongSet, frechet_distance, kernel_distance, song_kernel


def songs(count, name="song", shift=0.0, scale=1.0, of_song=1.0, frames=4, seed=0, dim=6):
    """Songs whose frames are alike: each has a place of its own, `of_song` wide, around which they lie."""
    generator = torch.Generator().manual_seed(seed)
    places = of_song * torch.randn(count, 1, dim, generator=generator)
    noise = torch.randn(count, frames, dim, generator=generator)
    return SongSet([f"{name} {i}" for i in range(count)], list(shift + scale * (places + noise)))


def test_kernel_distance_is_unbiased_over_songs_although_frames_of_a_song_are_alike():
    found = [
        kernel_distance(songs(5, "a", of_song=2, seed=2 * i), songs(7, "b", of_song=2, seed=2 * i + 1), 0, resamples=1)[0]
        for i in range(200)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / 200**0.5
    assert min(found) < 0 < max(found)


def test_the_farther_the_greater():
    real = songs(8, "real", seed=1)
    for distance in (
        lambda made: kernel_distance(made, real, 0, resamples=1)[0],
        lambda made: frechet_distance(made.frames, real.frames),
    ):
        near, middle, far = (distance(songs(8, "made", shift, seed=2)) for shift in (0.0, 1.0, 3.0))
        assert near < middle < far


def test_what_was_made_of_a_song_is_not_compared_with_it():
    real = songs(6, seed=1)
    copies = SongSet(real.ids, real.frames)
    assert kernel_distance(copies, real, 0)[0] == pytest.approx(0.0, abs=1e-9)
    renamed = SongSet([f"copy of {id}" for id in real.ids], real.frames)
    assert kernel_distance(renamed, real, 0)[0] < -1  # pairs of equal songs would make them closer than is possible


def test_the_interval_holds_the_figure_and_shrinks_with_more_songs():
    widths = []
    for count in (4, 16):
        value, (low, high) = kernel_distance(songs(count, "made", 0.5, seed=1), songs(count, "real", seed=2), 0)
        assert low < value < high
        widths.append(high - low)
    assert widths[1] < widths[0]
    assert kernel_distance(songs(4, "a"), songs(4, "b"), 3) == kernel_distance(songs(4, "a"), songs(4, "b"), 3)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    inside = 0
    for i in range(40):
        _, (low, high) = kernel_distance(songs(10, "a", seed=2 * i), songs(10, "b", seed=2 * i + 1), 0, resamples=100)
        inside += low <= 0 <= high
    assert inside >= 32


def test_the_kernel_of_songs_is_the_mean_over_pairs_of_their_frames():
    frames = songs(3, frames=2).frames
    frames[1] = frames[1][:1]
    kernel = song_kernel(frames, width=1.5)
    by_hand = np.mean([[np.exp(-((x - y).square().sum()).item() / 4.5) for y in frames[1]] for x in frames[0]])
    assert kernel[0, 1] == pytest.approx(by_hand) == kernel[1, 0]


def test_frechet_distance_of_gaussians_is_known():
    one = torch.tensor([[-1.0, 0], [1, 0], [0, -1], [0, 1]]).double()  # covariance 2/3
    assert frechet_distance([one], [one]) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance([one], [one + 3]) == pytest.approx(18.0)
    assert frechet_distance([one], [2 * one]) == pytest.approx(2 * (2 / 3) * (2 - 1) ** 2)


def test_frechet_distance_is_that_of_the_matrix_root_also_with_fewer_frames_than_dimensions():
    scipy_linalg = pytest.importorskip("scipy.linalg")
    for frames in (1, 40):
        made, real = songs(3, frames=frames, seed=1), songs(3, frames=frames, shift=0.3, scale=2, seed=2)
        x, y = (torch.cat(part.frames).double().numpy() for part in (made, real))
        root = scipy_linalg.sqrtm(np.cov(x.T) @ np.cov(y.T) + 1e-12 * np.eye(6)).real
        known = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root)
        assert frechet_distance(made.frames, real.frames) == pytest.approx(known, rel=1e-3)
