"""Every shared run of codes that is long enough is found, as a search through all places finds it."""

import numpy as np
import pytest

from jukebox_pl.evaluation.code_index import GRAIN, STEP, CodeIndex, SharedRun, group_codes

NO_MISS = GRAIN + STEP - 1
LENGTHS = (300, 7, 0, 500, 900)


def random_codes(length, seed, bins=40):
    return np.random.default_rng(seed).integers(0, bins, length).astype(np.uint16)


SONGS = [random_codes(length, seed) for seed, length in enumerate(LENGTHS)]


def every_run(codes, least):
    """(length, start, song, song_start) of all runs that cannot go on, found by laying each song at each place."""
    runs = set()
    for number, song in enumerate(SONGS):
        for shift in range(-len(song), len(codes)):
            start, place = max(shift, 0), max(-shift, 0)
            length = min(len(codes) - start, len(song) - place)
            same = codes[start : start + length] == song[place : place + length]
            edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]))).reshape(-1, 2)
            runs |= {(int(b - a), int(start + a), number, int(place + a)) for a, b in edges if b - a >= least}
    return runs


@pytest.mark.parametrize("seed", range(5))
def test_no_long_run_is_missed_and_none_is_invented(seed):
    rng = np.random.default_rng(seed)
    codes = random_codes(300, 100 + seed)
    for _ in range(6):
        song, length = SONGS[rng.choice([0, 3, 4])], rng.integers(NO_MISS, 50)
        place, start = rng.integers(len(song) - length), rng.integers(len(codes) - length)
        codes[start : start + length] = song[place : place + length]
    found = {tuple(run[1:]) for run in CodeIndex(SONGS).runs(codes)}
    assert len(every_run(codes, NO_MISS)) >= 2
    assert every_run(codes, NO_MISS) <= found <= every_run(codes, GRAIN)


def test_a_run_ends_with_its_song():
    both = np.concatenate([SONGS[0][-20:], SONGS[3][:30]])  # they stand side by side in the index
    runs = CodeIndex([SONGS[0], SONGS[3]]).runs(both)
    assert {(run.song, run.start, run.length) for run in runs} == {(0, 0, 20), (1, 20, 30)}


def test_the_whole_song_is_found_in_one_piece():
    pairs = set(zip(SONGS[4][:-1], SONGS[4][1:], strict=True))
    assert CodeIndex(SONGS).runs(SONGS[4])[0] == SharedRun(len(pairs), 900, 0, 4, 0)


def test_silence_held_notes_and_trills_are_nothing_new():
    held, trill = np.full(500, 3), np.tile([1, 2], 250)
    index = CodeIndex([np.concatenate([held, trill, random_codes(100, 7)])])
    assert index.runs(held) == index.runs(trill) == []


def test_novelty_counts_a_loop_once():
    loop = np.tile(random_codes(10, 3, bins=2048), 30)
    run = CodeIndex([loop]).runs(loop)[0]
    assert (run.length, run.novelty) == (300, 10)


def test_songs_shorter_than_a_grain_share_nothing():
    assert CodeIndex([SONGS[1]]).runs(SONGS[4]) == CodeIndex([]).runs(SONGS[4]) == CodeIndex(SONGS).runs(SONGS[1]) == []


def test_a_step_above_the_grain_is_refused():
    with pytest.raises(ValueError, match="step=9: expected 1 to grain=8"):
        CodeIndex(SONGS, grain=8, step=9)


def test_near_vectors_are_one_group():
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    vectors = np.repeat(centres, 4, axis=0) + np.random.default_rng(0).normal(0, 0.1, (12, 2))
    groups = group_codes(vectors, 3).reshape(3, 4)
    assert (groups == groups[:, :1]).all()
    assert set(groups[:, 0]) == {0, 1, 2}
