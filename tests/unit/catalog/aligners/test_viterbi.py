"""The path is the best of all paths, wherever in time it lies."""

from itertools import pairwise, product

import numpy as np
import pytest

from jukebox_pl.catalog.aligners.viterbi import SILENT, best_path, word_frames
from jukebox_pl.errors import UserError

BLANK = 0


def emissions(frames, tokens, seed):
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(tokens), frames))


def score_of(log_probs, tokens, path, blank=BLANK):
    return sum(row[blank if at == SILENT else tokens[at]] for row, at in zip(log_probs, path, strict=True))


def is_allowed(path, tokens):
    """Each token in order, in one run of frames; two that are alike with a blank between."""
    sung = [at for at in path if at != SILENT]
    runs = [at for i, at in enumerate(path) if at != SILENT and (i == 0 or path[i - 1] != at)]
    touching = [(a, b) for a, b in pairwise(path) if SILENT not in (a, b) and a != b]
    return sung == sorted(sung) and runs == list(range(len(tokens))) and all(tokens[a] != tokens[b] for a, b in touching)


@pytest.mark.parametrize("tokens", [[1], [1, 2], [1, 1], [2, 1, 2], [1, 1, 2]])
@pytest.mark.parametrize("seed", range(4))
def test_no_path_is_better(tokens, seed):
    log_probs = emissions(6, 3, seed)
    allowed = (path for path in product(range(SILENT, len(tokens)), repeat=6) if is_allowed(path, tokens))
    best = max(score_of(log_probs, tokens, path) for path in allowed)
    path = best_path(log_probs, tokens)
    assert is_allowed(path.tolist(), tokens)
    assert score_of(log_probs, tokens, path) == pytest.approx(best)


def test_a_path_that_is_plain_is_found():
    plain = [SILENT, 0, 0, SILENT, 1, 2, 2, SILENT, 3, SILENT, SILENT]
    tokens = [3, 1, 2, 2]
    log_probs = np.full((len(plain), 4), -9.0)
    log_probs[np.arange(len(plain)), [BLANK if at == SILENT else tokens[at] for at in plain]] = -0.1
    assert best_path(log_probs, tokens).tolist() == plain


def test_the_path_moves_with_the_sound():
    log_probs, tokens = emissions(40, 8, 0), [1, 2, 3, 3, 4, 5]
    silence = np.full((7, 8), -50.0)
    silence[:, BLANK] = 0.0
    path = best_path(np.concatenate([silence, log_probs]), tokens)
    assert path.tolist() == [SILENT] * 7 + best_path(log_probs, tokens).tolist()


def test_another_number_may_be_the_blank():
    log_probs = emissions(20, 4, 1)
    moved = best_path(np.roll(log_probs, -1, axis=1), [0, 1, 0], blank=3)
    np.testing.assert_array_equal(best_path(log_probs, [1, 2, 1]), moved)


@pytest.mark.parametrize(("frames", "tokens"), [(2, [1, 2, 1]), (3, [1, 1, 2]), (0, [1])])
def test_too_few_frames_are_refused(frames, tokens):
    with pytest.raises(UserError, match=f"{len(tokens)} characters do not fit into {frames} frames"):
        best_path(emissions(frames, 3, 0), tokens)


def test_words_run_from_their_first_token_to_their_last():
    log_probs = np.full((8, 3), -9.0)
    log_probs[np.arange(8), [0, 1, 1, 2, 0, 2, 2, 0]] = -0.1
    assert word_frames(log_probs, [[1, 2], [], [2]]) == [(1, 4), None, (5, 7)]
    with pytest.raises(UserError, match="no character of the lyrics"):
        word_frames(log_probs, [[], []])


def test_words_never_overlap():
    words = [[1, 2], [3], [3, 3, 1], [2]]
    for seed in range(5):
        frames = [run for run in word_frames(emissions(60, 4, seed), words) if run]
        edges = [edge for run in frames for edge in run]
        assert edges == sorted(edges)
        assert all(start < end for start, end in frames)
