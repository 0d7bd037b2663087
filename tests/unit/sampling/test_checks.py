"""Every mistake in a request is one line, before anything is sampled."""

import warnings

import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.sampling.decoding import Engine
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.types import SamplingParams, SongRequest

REQUEST = SongRequest(artist="Anna", seconds=4.0)
GREEDY = SamplingParams(top_k=1)


def zeros(**lengths):
    return {int(level.removeprefix("level_")): torch.zeros(length, dtype=torch.long) for level, length in lengths.items()}


def refused(fake, match, request=REQUEST, **arguments):
    with pytest.raises(UserError, match=match) as caught:
        fake.sample(request, GREEDY, **arguments)
    assert "\n" not in str(caught.value)
    assert not any(prior.conditions for prior in fake.priors.values())


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.09, float("nan"), float("inf"), "4", None])
def test_lengths_of_less_than_a_code(fake, seconds):
    refused(fake, r"seconds=.*: expected a number of at least 0\.1", SongRequest(seconds=seconds))


def test_an_engine_that_is_not_for_the_device(fake):
    networks = fake.vqvae, fake.priors, fake.labellers
    with pytest.raises(UserError, match=r"weights=int8 .* on cuda"):
        Sampler(*networks, fake.sample_rate, "cuda", Engine(weights="int8"))


def test_places_that_are_none_in_a_song(fake):
    refused(fake, r"offset_seconds=-1\.0: expected a number of at least 0", SongRequest(offset_seconds=-1.0))
    refused(fake, r"total_seconds=2\.0: .* at least 3\.1", SongRequest(offset_seconds=3.0, total_seconds=2.0))


def test_songs_of_different_lengths_side_by_side(fake):
    with pytest.raises(UserError, match=r"one length, found \[3.0, 4.0\] seconds"):
        fake.sample_batch([REQUEST, SongRequest(seconds=3.0)], GREEDY, [1, 2])


def test_names_that_the_models_do_not_know(fake):
    refused(fake, r"unknown artist 'Ana'.*'Anna'", SongRequest(artist="Ana"))


@pytest.mark.parametrize("seeds", [[1], [1, -1], [1, 0.5]])
def test_seeds(fake, seeds):
    with pytest.raises(UserError, match=r"expected a seed of 0 or more for each of 2 songs, found \["):
        fake.sample_batch([REQUEST] * 2, GREEDY, seeds)


def test_a_prompt_longer_than_the_request(fake):
    refused(fake, r"codes of level 2 last 4\.100 s, the request only 4\.000 s", codes=zeros(level_2=41))


def test_a_level_ahead_of_the_one_above(fake):
    codes = zeros(level_2=20, level_1=81)
    refused(fake, r"codes of level 1 last 2\.025 s, those of level 2 only 2\.000 s", codes=codes)
    refused(fake, r"codes of level 0 last 0\.050 s, those of level 1 only 0\.000 s", codes=zeros(level_2=20, level_0=8))


@pytest.mark.parametrize("value", [10, 500, -2])
def test_codes_of_another_codebook(fake, value):
    refused(fake, r"codes of level 2 must lie in \[0, 10\), found", codes={2: torch.tensor([0, value])})


def test_codes_that_are_no_codes(fake):
    refused(fake, r"codes of level 2: expected integers \[1, T\], found torch.float32 \[1, 3\]", codes={2: torch.zeros(3)})
    refused(fake, r"expected integers \[1, T\], found .* \[1, 2, 3\]", codes={2: torch.zeros(2, 3, dtype=torch.long)})
    refused(fake, r"codes of level 7 were given; these models have levels 0 to 2", codes=zeros(level_7=3))


def test_levels_that_cannot_be_sampled(fake):
    refused(fake, r"levels \[3\]: expected some of \[0, 1, 2\]", levels=(3,))
    refused(fake, r"levels \[\]: expected some of", levels=())
    refused(fake, r"level 2 misses 30 of 40 codes: give them all, or sample it too", levels=(1,), codes=zeros(level_2=10))
    del fake.priors[1]
    refused(fake, r"there is no prior for level 1, only for \[0, 2\]")


def test_previews_of_what_is_not_there(fake):
    with pytest.raises(UserError, match=r"levels \[0, 3\]: expected some of \[0, 1, 2\]"):
        next(fake.stream(REQUEST, GREEDY, preview_level=3))


@pytest.mark.parametrize("seconds", [0.0, 4.1, float("nan")])
def test_an_end_outside_the_request(fake, seconds):
    refused(fake, r"until_seconds=.*: expected a number from 0\.1 to 4", until_seconds=seconds)


@pytest.mark.parametrize("span", [(2.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (4.0, 5.0), (float("nan"), 1.0)])
def test_nothing_to_erase(fake, span):
    with pytest.raises(UserError, match=r"cannot sample from .* s again: the song has 4\.000 s"):
        fake.erase(zeros(level_2=40), *span)


@pytest.mark.parametrize("shape", [(2, 500), (1, 127), (500,)])
def test_recordings_that_are_no_prompt(fake, shape):
    with pytest.raises(UserError, match=r"expected mono audio \[1, N\] of at least 128 samples, found"):
        fake.encode(torch.zeros(shape))


def test_songs_longer_than_any_that_was_learned_from_are_warned_of(fake):
    with pytest.warns(UserWarning, match=r"a song of 101\.0 s: .* up to 100\.0 s"):
        fake.sample(SongRequest(seconds=1.0, total_seconds=101.0), GREEDY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fake.sample(SongRequest(seconds=1.0, total_seconds=100.0), GREEDY)
