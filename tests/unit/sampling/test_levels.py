"""Parallel windows: parts that are sampled side by side are each what it would be alone."""

import copy
from dataclasses import replace

import pytest
import torch

from jukebox_pl.sampling.conditioning import ConditioningSchedule
from jukebox_pl.sampling.levels import MISSING, Level, LevelState
from jukebox_pl.sampling.windows import parallel_parts
from jukebox_pl.types import SamplingParams, SongRequest

PLAIN = SamplingParams(temperature=3.0, hop_fraction=0.5)
REQUEST = SongRequest(artist="Anna", seconds=3.9)
TOTAL, FACTOR = 78, 2  # codes of the middle level; to one of the top


@pytest.fixture(scope="module")
def upper():
    torch.manual_seed(0)
    return torch.randint(10, (1, TOTAL // FACTOR))


def middle_level(real, upper, parallel, codes=None, request=REQUEST):
    """The level below `upper`; its `batches` list how many parts went side by side in each window."""
    total = upper.shape[1] * FACTOR
    codes = torch.full((1, total), MISSING) if codes is None else codes
    batches = []

    def decoder(cond, known, noise, *others):
        batches.append(len(known))
        return real.level_sampler(1).decoder(cond, known, noise, *others)

    params = PLAIN.at(1)._replace(parallel_windows=parallel)
    sampler = copy.copy(real.level_sampler(1))
    sampler.decoder = decoder
    state = LevelState(
        codes, total, sampler, [ConditioningSchedule.of(request, 320)], params, [1], Level(upper, upper.shape[1])
    )
    state.batches = batches
    return state


@torch.no_grad()
def drawn(state):
    list(state.fill_until(state.end))
    return state.codes


def test_one_part_is_the_usual_order(real, upper):
    strict = middle_level(real, upper, 1)
    again = real.sample(REQUEST, PLAIN, seed=1, codes={2: upper[0]}, levels=(1,))
    assert drawn(strict)[0].equal(again.codes[1])
    assert set(strict.batches) == {1}


@pytest.mark.parametrize("parallel", [2, 4, 7])
def test_parts_go_side_by_side_and_do_not_know_each_other(real, upper, parallel):
    level, strict = middle_level(real, upper, parallel), middle_level(real, upper, 1)
    whole = drawn(level)
    assert set(level.batches) == {parallel}
    assert not drawn(strict).equal(whole)
    assert len(level.batches) < len(strict.batches)
    begun = torch.full((1, TOTAL), MISSING)
    begun[:, :5] = 9 - whole[:, :5]  # other codes at the beginning of the first part
    changed = drawn(middle_level(real, upper, parallel, begun))
    second = parallel_parts(TOTAL, parallel, FACTOR)[0][1][0]
    assert changed[:, second:].equal(whole[:, second:])
    assert not changed[:, 5:second].equal(whole[:, 5:second])


def test_a_part_is_a_song_that_begins_there(real, upper):
    whole = middle_level(real, upper, 3)  # parts of 26 codes, 13 above them, 1.3 seconds
    rest = replace(REQUEST, seconds=1.3, offset_seconds=1.3, total_seconds=3.9)
    second = middle_level(real, upper[:, 13:26], 1, request=rest)
    second.noise = whole.noise[:, 26:52]
    assert drawn(second).equal(drawn(whole)[:, 26:52])


def test_one_number_is_for_the_levels_below_the_top(fake):
    def windows(parallel):
        for prior in fake.priors.values():
            prior.conditions.clear()
        fake.sample(SongRequest(seconds=4.0), SamplingParams(hop_fraction=0.5, parallel_windows=parallel))
        return [len(fake.priors[level].conditions[0][0].artist) for level in range(3)]

    assert windows(4) == [4, 4, 1]
    assert windows((4, 2, 3)) == [4, 2, 3]


def test_songs_and_parts_share_a_batch(real):
    params = replace(PLAIN, parallel_windows=3)
    songs = real.sample_batch([REQUEST, REQUEST], params, [1, 2])
    for song in songs:
        alone = real.sample(REQUEST, params, song.seed)
        assert all(song.codes[level].equal(alone.codes[level]) for level in range(3))
