"""Greedy continuations beside the original, code for code: one window, several, from nothing, from a prompt, all levels."""

import pytest
import torch
from golden_data import RATE, arrays_of, numbers_of, pack, songs_of, unpack

from jukebox_pl.sampling.alignment import align
from jukebox_pl.sampling.conditioning import ConditioningSchedule, Segment
from jukebox_pl.sampling.decoding import sample_codes
from jukebox_pl.sampling.levels import MISSING, Level, LevelState
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.types import Labels, SamplingParams, SongRequest

PLAIN = ["prior_plain", "prior_nolabel", "prior_sep", "upsampler_level_1", "upsampler_level_0"]
PRIORS = [*PLAIN, "prior_single"]
GREEDY = SamplingParams(temperature=1.0, top_k=1, hop_fraction=0.5)


def released(data):
    """The prior as the original samples it: lyric symbols may be drawn where codes are due."""
    prior = data.model()
    prior.lyrics_as_codes = bool(prior.vocabulary)
    return prior


@pytest.fixture(params=PRIORS)
def data(request, golden):
    return golden(request.param)


@pytest.mark.parametrize(("name", "known"), [("greedy_full", 0), ("greedy_70", 0), ("greedy_primed", 37)])
@torch.no_grad()
def test_one_window(data, match, name, known):
    prior, expected = released(data), data.arrays[name]
    cond = prior.condition(data.labels(), data.arrays.get("z_cond"))
    found = sample_codes(prior, cond, data.arrays["z"][:, :known], torch.zeros(expected.shape), GREEDY.at(0))
    match(f"{data.name}/{name}", found.clamp(min=0), expected)
    if name == "greedy_full" and prior.vocabulary:
        match(f"{data.name}/raw_greedy_full", found + prior.vocabulary, data.arrays["raw_greedy_full"][:, -prior.ctx :])


@torch.no_grad()
def test_cached_logits_of_a_joint_sequence(golden, match):
    data = golden("prior_single")
    prior = data.model()
    cond, cache = prior.condition(data.labels()), prior.new_cache()
    raw = data.arrays["raw_greedy_full"][:, prior.prefix :]
    logits = [prior.symbol_logits(raw[:, max(i - 1, 0) : i], cond, cache)[:, -1:] for i in range(prior.ctx)]
    match("prior_single/raw_greedy_preds", torch.cat(logits, 1), data.arrays["raw_greedy_preds"], 5e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("pieces", [[37], [16, 16, 5], [5, 16, 16]])
def test_a_prefix_in_pieces_is_a_prefix(golden, match, name, pieces):
    data = golden(name)
    prior = data.model()
    cond, cache = prior.condition(data.labels(), data.arrays.get("z_cond")), prior.new_cache()
    for piece in data.arrays["z"][:, :37].split(pieces, dim=1):
        logits = prior(piece, cond, cache)[:, -1]
    match(f"{name}/greedy_primed, prefix in pieces", logits.argmax(-1), data.arrays["greedy_primed"][:, 37])


@pytest.fixture(scope="module")
def vqvae(golden):
    return golden("vqvae").model()


def level_state(data, vqvae, prior, total, upper=None):
    level = data.hps["level"]
    schedules = [
        ConditioningSchedule((Segment(0, (song,), (1.0,), song, 0),), round(offset * RATE))
        for song, offset in zip(*data.songs(), strict=True)
    ]
    sampler = Sampler(vqvae, {level: prior}, {level: data.labeller()}, RATE).level_sampler(level)
    missing = torch.full((len(schedules), total), MISSING)
    above = None if upper is None else Level(upper, upper.shape[1])
    return LevelState(missing, total, sampler, schedules, GREEDY.at(level), [0] * len(schedules), above)


@torch.no_grad()
def test_windows(data, match, vqvae):
    expected, upper = data.arrays["win_z"], data.arrays.get("win_z_above")
    state = level_state(data, vqvae, released(data), expected.shape[1], upper)
    starts = [window.start for window in state.fill_until(state.end)]
    match(f"{data.name}/win_z", state.codes, expected)
    assert starts == data.metrics["win"]["starts"]
    for start in starts if "win_y_start0" in data.arrays else []:
        match(f"{data.name}/win_y_start", pack(window_labels(state, start)), data.arrays[f"win_y_start{start}"])


def window_labels(state, start):
    """The labels of the window that begins at a code."""
    hop = state.sampler.samples_per_code
    labels = [
        schedule.at(start * hop).labels(state.sampler.labeller, schedule.offset + start * hop, state.sampler.prior.ctx * hop)
        for schedule in state.schedules
    ]
    return Labels.stack([pure for (pure,) in labels])


@torch.no_grad()
def test_less_than_a_window(data, match, vqvae):
    if "partial_z" not in data.arrays:
        assert data.hps["level"] < 2  # recorded at the top only
        return
    expected = data.arrays["partial_z"]
    state = level_state(data, vqvae, released(data), expected.shape[1])
    list(state.fill_until(state.end))
    match(f"{data.name}/partial_z", state.codes, expected)


@pytest.mark.parametrize("name", ["prior_sep", "prior_single"])
def test_which_characters_were_sung(golden, match, vqvae, name):
    data = golden(name)
    songs, offsets = data.songs()
    hps, prior, labeller = data.hps, data.model(), data.labeller()
    hop = vqvae.hops[hps["level"]]
    for i in range(2):
        schedule = ConditioningSchedule((Segment(0, (songs[i],), (1.0,), songs[i], 0),), round(offsets[i] * RATE))
        head = hps["alignment_layer"], hps["alignment_head"]
        (found,) = align(prior, labeller, schedule, data.arrays["win_z"][i], hop, *head)
        match(f"{name}/alignment", found.attention, data.arrays[f"alignment_{i}"], 1e-5)


@pytest.fixture(scope="module")
def pipeline(golden, vqvae):
    names = numbers_of("pipeline", "meta")["priors"]
    priors = {level: golden(name).model() for level, name in enumerate(names)}
    labellers = {level: golden(name).labeller() for level, name in enumerate(names)}
    return Sampler(vqvae, priors, labellers, RATE)


def requests(arrays, meta):
    labels = unpack(arrays["y_level_2"], 5)
    songs, offsets = songs_of(labels, meta["lyrics"])
    seconds = meta["hps"]["sample_length"] / RATE
    return [
        SongRequest(song.artist, song.genres, song.lyrics, seconds, song.duration / song.sample_rate, offset)
        for song, offset in zip(songs, offsets, strict=True)
    ]


@pytest.mark.parametrize("kind", ["anc", "primed"])
def test_all_levels(pipeline, vqvae, match, kind):
    arrays, meta = arrays_of("pipeline"), numbers_of("pipeline", "meta")
    params = SamplingParams(temperature=1.0, top_k=1, hop_fraction=tuple(meta["hps"]["hop_fraction"]))
    codes = None
    if kind == "primed":
        codes = dict(enumerate(vqvae.encode(arrays["prompt_x"].transpose(1, 2))))
        for level, prompt in codes.items():
            match("pipeline/prompt_z", prompt, arrays[f"prompt_z_l{level}"])
    songs = pipeline.sample_batch(requests(arrays, meta), params, [0, 0], codes)
    for level in range(3):
        found = torch.stack([song.codes[level] for song in songs])
        match(f"pipeline/{kind}_z", found, arrays[f"{kind}_z_l{level}"])
    if kind == "anc":
        match("pipeline/anc_x_l0", torch.stack([s.audio for s in songs]), arrays["anc_x_l0"].transpose(1, 2), 1e-4)


def test_labels_of_every_level(pipeline, match):
    arrays, meta = arrays_of("pipeline"), numbers_of("pipeline", "meta")
    schedules = [ConditioningSchedule.of(request, RATE) for request in requests(arrays, meta)]
    for level, labeller in pipeline.labellers.items():
        offsets = unpack(arrays[f"y_level_{level}"], 5).offset.tolist()
        duration = pipeline.priors[level].ctx * pipeline.hops[level]
        labels = [s.at(0).labels(labeller, o, duration) for s, o in zip(schedules, offsets, strict=True)]
        found = Labels.stack([pure for (pure,) in labels])
        match(f"pipeline/y_level_{level}", pack(found), arrays[f"y_level_{level}"])
