"""What the sampler asks of the networks, what it makes of their answers, and that it makes it whichever way it is asked."""

import copy
import gc
from collections.abc import Mapping
from dataclasses import replace
from weakref import WeakSet

import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.types import SamplingParams, SongRequest

BINS, CTX = 10, 16
GREEDY = SamplingParams(top_k=1)
LIVELY = SamplingParams(temperature=5.0)
REQUEST = SongRequest(artist="Anna", seconds=4.0)
SHORT = SongRequest(artist="Anna", genres=("folk",), lyrics="so long, and thanks for all the fish", seconds=2.0)
PLAIN = SamplingParams(temperature=3.0, hop_fraction=0.5)


def same(song, other):
    return list(song.codes) == list(other.codes) and all(song.codes[level].equal(other.codes[level]) for level in song.codes)


@pytest.fixture(scope="module")
def whole(real):
    """A song and every Progress on the way to it."""
    seen = []
    song = real.sample(SHORT, PLAIN, seed=1, on_window=seen.append)
    return song, seen


def test_every_level_is_covered(fake):
    song = fake.sample(REQUEST, GREEDY)
    assert {level: len(codes) for level, codes in song.codes.items()} == {0: 640, 1: 160, 2: 40}
    assert song.audio.shape == (1, 640 * 8)


def test_lengths_are_counted_in_whole_samples(fake):
    fake.sample_rate = 1200
    assert 2.24 * 1200 / 128 > 21  # in floating point
    assert len(fake.sample(SongRequest(seconds=2.24), GREEDY, levels=(2,)).codes[2]) == 21
    assert len(fake.sample(SongRequest(seconds=2.25), GREEDY, levels=(2,)).codes[2]) == 22


def test_windows_get_their_slice_of_the_codes_above_and_their_own_offset(fake):
    fake.sample(REQUEST, GREEDY)
    top, middle = fake.priors[2].conditions, fake.priors[1].conditions
    assert [labels.offset.tolist() for labels, _ in top] == [[start * 128] for start in (*range(0, 24, 2), 24)]
    assert all(upper.shape == (1, CTX // 4) for _, upper in middle)
    assert [labels.offset.tolist() for labels, _ in middle][:3] == [[0], [8 * 32], [16 * 32]]


def test_windows_continue_what_is_there(fake):
    codes = fake.sample(REQUEST, GREEDY).codes[2]
    assert codes.tolist() == [i % BINS for i in range(40)]


def test_the_same_seed_gives_the_same_codes_alone_or_in_a_batch(real):
    batch = real.sample_batch([SHORT] * 3, PLAIN, seeds=[1, 2, 1])
    assert same(batch[0], batch[2])
    assert same(batch[1], real.sample(SHORT, PLAIN, seed=2))
    assert not same(batch[0], batch[1])


def test_given_codes_are_kept_and_whole_levels_are_not_sampled_again(fake):
    first = fake.sample(REQUEST, LIVELY, seed=1)
    fake.priors[2].conditions.clear()
    kept = {2: first.codes[2].to(torch.uint16), 1: first.codes[1][:50]}
    again = fake.sample(REQUEST, LIVELY, seed=1, codes=kept)
    assert fake.priors[2].conditions == []
    assert same(again, first)


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_song_goes_on_from_any_window_as_if_nothing_had_happened(real, parallel):
    params = replace(PLAIN, parallel_windows=parallel)
    seen = []
    song = real.sample(SHORT, params, seed=1, on_window=seen.append)
    kept = {}
    for i, progress in enumerate(seen):
        kept[progress.level] = progress.codes[0]
        if i % 4 == 0:
            assert same(real.sample(SHORT, params, seed=1, codes=kept), song), progress[:4]


def test_levels_sampled_one_call_after_the_other_are_those_of_one_call(real, whole):
    song, _ = whole
    top = real.sample(SHORT, PLAIN, seed=1, levels=(2,))
    assert list(top.codes) == [2]
    assert top.audio.shape == song.audio.shape
    middle = real.sample(SHORT, PLAIN, seed=1, codes=top.codes, levels=[1])
    assert same(real.sample(SHORT, PLAIN, seed=1, codes=middle.codes, levels={0}), song)


def test_what_is_sampled_up_to_a_moment_is_the_beginning_of_the_song(real, whole):
    song, _ = whole
    top = real.sample(SHORT, PLAIN, seed=1, levels=(2,), until_seconds=1.0)
    assert top.codes[2].equal(song.codes[2][:10])
    assert same(real.sample(SHORT, PLAIN, seed=1, codes=top.codes), song)
    begun = real.sample(SHORT, PLAIN, seed=1, codes={2: song.codes[2]}, until_seconds=1.0)
    assert {level: len(codes) for level, codes in begun.codes.items()} == {2: 20, 1: 20, 0: 40}
    assert begun.codes[1].equal(song.codes[1][:20])
    assert begun.audio.shape == (1, 320)
    alone = real.sample(SHORT, PLAIN, seed=1, until_seconds=1.0)
    assert {level: len(codes) for level, codes in alone.codes.items()} == {2: 10, 1: 20, 0: 40}


@pytest.mark.parametrize("levels", [None, (1, 0), (0,)])
def test_what_is_erased_is_drawn_anew_and_all_else_is_kept(real, whole, levels):
    song, _ = whole
    erased = real.erase(song.codes, 0.75, 1.2, levels)
    assert all((codes == MISSING).any() == (levels is None or level in levels) for level, codes in erased.items())
    assert same(real.sample(SHORT, PLAIN, seed=1, codes=erased), song)
    other = real.sample(SHORT, PLAIN, seed=2, codes=erased)
    for level, codes in other.codes.items():
        times = 32 // real.hops[level]
        outside = torch.ones(len(codes), dtype=torch.bool)
        outside[7 * times : 12 * times] = False
        assert codes[outside].equal(song.codes[level][outside])
        assert codes.equal(song.codes[level]) == (levels is not None and level not in levels)


def test_progress_names_every_window_and_step(fake):
    seen, steps = [], []
    fake.sample(REQUEST, GREEDY, on_window=seen.append, on_step=lambda *step: steps.append(step))
    assert [p.level for p in seen] == sorted((p.level for p in seen), reverse=True)
    assert [(p.start, p.done) for p in seen if p.level == 2][-1] == (24, 40)
    assert steps[-1] == (0, 640, 640)
    assert len(steps) == 40 + 160 + 640


def test_a_recording_becomes_a_prompt(real):
    sound = torch.randn(1, 180)
    prompt = real.encode(sound)
    assert {level: len(codes) for level, codes in prompt.items()} == {0: 20, 1: 10, 2: 5}
    assert prompt[1].equal(real.vqvae.encode(sound[None, :, :160])[1][0])
    song = real.sample(SHORT, PLAIN, codes=prompt)
    assert all(song.codes[level][: len(codes)].equal(codes) for level, codes in prompt.items())


def test_logits_that_are_not_finite_stop_with_what_is_done(fake):
    seen = []
    after = fake.priors[1].after
    fake.priors[1].after = lambda last: after(last) * (torch.nan if len(fake.priors[1].conditions) == 3 else 1)
    with pytest.raises(UserError, match=r"level 1, window at 16: code 8: .*not finite.*train this prior again"):
        fake.sample(REQUEST, GREEDY, on_window=seen.append)
    assert [(p.level, p.done) for p in seen[-2:]] == [(1, 16), (1, 24)]
    fake.priors[1].after = after
    codes = {progress.level: progress.codes[0] for progress in seen}
    assert same(fake.sample(REQUEST, GREEDY, codes=codes), fake.sample(REQUEST, GREEDY))


def test_songs_that_are_not_equally_far_each_go_on_from_where_they_are(real, whole):
    song, _ = whole
    other = real.sample(SHORT, PLAIN, seed=2)
    codes = {level: torch.stack([song.codes[level], other.codes[level]]) for level in (2, 1)}
    codes[2][0, 12:] = MISSING
    codes[1][0, 17:] = MISSING
    codes[1][1, :] = 9 - other.codes[1]  # given, though it would not have been drawn
    first, second = real.sample_batch([SHORT] * 2, PLAIN, [1, 2], codes)
    assert same(first, song)
    assert second.codes[1].equal(9 - other.codes[1])
    assert same(second, real.sample(SHORT, PLAIN, seed=2, codes={level: rows[1] for level, rows in codes.items()}))


class Lender(Mapping):
    """Gives a copy of a prior to whoever asks, and knows which ones are still in use."""

    def __init__(self, priors):
        self.priors, self.lent, self.most = priors, WeakSet(), 0

    def __getitem__(self, level):
        made = copy.deepcopy(self.priors[level])
        self.lent.add(made)
        gc.collect()
        self.most = max(self.most, len(self.lent))
        return made

    def __contains__(self, level):
        return level in self.priors

    def __iter__(self):
        return iter(self.priors)

    def __len__(self):
        return len(self.priors)


@pytest.mark.parametrize(("keep", "most"), [(False, 1), (True, 3)])
def test_priors_that_are_not_kept_are_in_memory_one_at_a_time(real, whole, keep, most):
    lender = Lender(real.priors)
    sampler = Sampler(real.vqvae, lender, real.labellers, real.sample_rate, keep=keep)
    for _ in range(2):
        assert same(sampler.sample(SHORT, PLAIN, seed=1), whole[0])
    assert lender.most == most


def test_a_level_that_is_there_is_not_loaded(real, whole):
    lender = Lender(real.priors)
    sampler = Sampler(real.vqvae, lender, real.labellers, real.sample_rate)
    sampler.sample(SHORT, PLAIN, seed=1, codes=whole[0].codes)
    assert lender.most == 0
