"""The sampler against fakes of twenty lines: what it asks of the networks, and what it makes of their answers."""

import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.labels import Labeller, Vocabulary
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.types import SamplingParams, SongRequest

BINS, CTX, HOPS, RATE = 10, 16, (8, 32, 128), 1280


class FakeCache:
    position = 0


class FakePrior(torch.nn.Module):
    """Counts up from the last code; its first answer is what it was told: the sum of the codes above and the offset."""

    ctx, first_code = CTX, 0

    def __init__(self):
        super().__init__()
        self.asked = []

    def new_cache(self):
        return FakeCache()

    def condition(self, labels, upper=None):
        self.asked.append((labels.offset.tolist(), None if upper is None else tuple(upper.shape)))
        told = labels.offset if upper is None else upper.sum(1)
        return Conditioning(told, None, None, None)

    def forward(self, codes, cond, cache):
        cache.position += codes.shape[1]
        last = codes[:, -1] + 1 if codes.shape[1] else cond.start
        return torch.nn.functional.one_hot(last % BINS, BINS).float().unsqueeze(1) * 5


class FakeVQVAE(torch.nn.Module):
    hops = HOPS

    def decode_long(self, codes, level):
        return codes.float().repeat_interleave(HOPS[level], 1).unsqueeze(1)


@pytest.fixture
def sampler():
    labeller = Labeller(Vocabulary(["Anna", "Ben"]), Vocabulary(["folk"]))
    return Sampler(FakeVQVAE(), {level: FakePrior() for level in range(3)}, dict.fromkeys(range(3), labeller), RATE)


REQUEST = SongRequest(artist="Anna", seconds=4.0)
GREEDY = SamplingParams(top_k=1)


def test_every_level_is_covered(sampler):
    song = sampler.sample(REQUEST, GREEDY)
    assert {level: len(codes) for level, codes in song.codes.items()} == {0: 640, 1: 160, 2: 40}
    assert song.audio.shape == (1, 640 * 8)


def test_windows_get_their_slice_of_the_codes_above_and_their_own_offset(sampler):
    sampler.sample(REQUEST, GREEDY)
    top, middle = sampler.priors[2].asked, sampler.priors[1].asked
    assert [offset for offset, _ in top] == [[start * 128] for start in (*range(0, 24, 2), 24)]
    assert all(shape == (1, CTX // 4) for _, shape in middle)
    assert [offset for offset, _ in middle][:3] == [[0], [8 * 32], [16 * 32]]


def test_windows_continue_what_is_there(sampler):
    codes = sampler.sample(REQUEST, GREEDY).codes[2]
    assert codes.tolist() == [i % BINS for i in range(40)]


def test_the_same_seed_gives_the_same_codes_alone_or_in_a_batch(sampler):
    params = SamplingParams(temperature=5.0)
    batch = sampler.sample_batch([REQUEST] * 3, params, seeds=[1, 2, 1])
    alone = sampler.sample(REQUEST, params, seed=2)
    for level in range(3):
        assert batch[0].codes[level].equal(batch[2].codes[level])
        assert batch[1].codes[level].equal(alone.codes[level])
    assert not batch[0].codes[2].equal(batch[1].codes[2])


def test_given_codes_are_kept_and_whole_levels_are_not_sampled_again(sampler):
    first = sampler.sample(REQUEST, SamplingParams(temperature=5.0), seed=1)
    sampler.priors[2].asked.clear()
    again = sampler.sample(
        REQUEST, SamplingParams(temperature=5.0), seed=1, codes={2: first.codes[2], 1: first.codes[1][:50]}
    )
    assert sampler.priors[2].asked == []
    assert all(again.codes[level].equal(first.codes[level]) for level in range(3))


def test_progress_names_every_window_and_step(sampler):
    seen, steps = [], []
    sampler.sample(REQUEST, GREEDY, on_window=seen.append, on_step=lambda *step: steps.append(step))
    assert [p.level for p in seen] == sorted((p.level for p in seen), reverse=True)
    assert [(p.start, p.done) for p in seen if p.level == 2][-1] == (24, 40)
    assert steps[-1] == (0, 640, 640)
    assert len(steps) == 40 + 160 + 640


def test_mistakes_are_named(sampler):
    with pytest.raises(UserError, match=r"unknown artist 'Ana'.*'Anna'"):
        sampler.sample(SongRequest(artist="Ana"))
    with pytest.raises(UserError, match=r"hop_fraction must lie in \(0, 1\], found 0"):
        sampler.sample(REQUEST, SamplingParams(hop_fraction=0.0))
    with pytest.raises(UserError, match="seconds must be above zero"):
        sampler.sample(SongRequest(seconds=0.0))
