"""What a studio makes of a tiny bundle: the songs of the sampler, one after the other, found again and gone on with."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jukebox_pl import audio
from jukebox_pl.errors import UserError
from jukebox_pl.sessions.operations import Overrides
from jukebox_pl.studio.line import State
from jukebox_pl.types import SamplingParams, SongRequest

REQUEST = SongRequest(artist="Ada Bell", genres=("Waltz",), lyrics="la na", seconds=0.1)
PARAMS = SamplingParams(hop_fraction=1.0)
PATIENCE = 120.0


def new(studio, request=REQUEST, seed=3, owner="ann", lowest=2, **settings):
    return studio.ask(owner, "new", Overrides(vars(request), vars(PARAMS), seed=seed, lowest=lowest), **settings)


def finish(studio, names):
    for name in names:
        if job := studio.line.job(name):
            assert studio.line.wait(job, PATIENCE) is State.FINISHED
    return names


def test_a_song_is_that_of_the_sampler(studio):
    (name,) = finish(studio, new(studio, lowest=0))
    expected = studio.loaded.sampler.sample(REQUEST, PARAMS, 3).codes
    codes = studio.session.codes(name)
    assert all(np.array_equal(codes[level], expected[level]) for level in range(3))
    assert studio.file(name, "song.wav").is_file()


def test_the_same_song_is_asked_for_once(studio):
    names = [new(studio, replace(REQUEST, seconds=100.0)) for _ in range(5)]
    assert names == [["seed_3"]] * 5
    assert len(studio.line.jobs()) == 1


def test_takes_are_sung_side_by_side_and_shown_so(studio):
    names = finish(studio, new(studio, candidates=3))
    assert names == ["seed_3", "seed_4", "seed_5"]
    assert [take.name for take in studio.takes("seed_4")] == names
    assert new(studio, candidates=4)[0] == "seed_6"


def test_a_stopped_song_goes_on_where_it_was(studio):
    (name,) = new(studio, replace(REQUEST, seconds=100.0))
    job = studio.line.job(name)
    while name not in studio.session or not studio.session.codes(name):
        assert job.state in (State.WAITING, State.SINGING)
    studio.stop("ann", name)
    assert studio.line.wait(job, PATIENCE) is State.STOPPED
    there = studio.session.codes(name)[2]
    studio.resume("ann", name)
    again = studio.line.job(name)
    assert again.levels["level 2"].done >= (there >= 0).sum() > 0
    assert np.array_equal(again.work.codes[name][2][: len(there)].numpy(), there)


def test_another_visitors_song_is_not_stopped(studio):
    (name,) = new(studio, replace(REQUEST, seconds=100.0))
    with pytest.raises(UserError, match="another visitor's song"):
        studio.stop("ben", name)
    assert studio.line.job(name).state in (State.WAITING, State.SINGING)


def test_another_take_and_another_stretch_are_new_each_time(studio):
    (name,) = finish(studio, new(studio))
    takes = [finish(studio, studio.ask("ann", "branch", Overrides(), name))[0] for _ in range(2)]
    stretch = Overrides(arguments={"from": 0.0, "to": 0.05})
    anew = [finish(studio, studio.ask("ann", "regenerate", stretch, name))[0] for _ in range(2)]
    assert len({name, *takes, *anew}) == 5
    assert [studio.session.node(take).seed for take in takes] == [4, 5]


def test_what_is_sung_so_far_is_the_sound_of_its_codes(studio):
    (name,) = finish(studio, new(studio))
    (song,) = (each for each in studio.songs() if each.name == name)
    token, told = studio.so_far(song)
    codes = torch.from_numpy(studio.session.codes(name)[2].astype("int64"))
    expected = studio.loaded.bundle.vqvae.decode_long(codes[None], 2)[0].detach().numpy()
    assert told == f"level 2 to {len(codes) * 128 / 11025:.2f} s"
    np.testing.assert_allclose(audio.read(studio.sounds[token].file)[0], np.clip(expected, -1, 1), atol=1e-4)


def test_one_visitor_does_not_fill_the_line(studio):
    for seed in range(studio.limits.waiting):
        new(studio, replace(REQUEST, seconds=100.0), seed=seed)
    with pytest.raises(UserError, match="3 of your songs wait already"):
        new(studio, seed=9)
    assert "seed_9" not in studio.session
    assert new(studio, replace(REQUEST, seconds=100.0), seed=9, owner="ben") == ["seed_9"]


WRONG = {
    "artist": ({"artist": "Ada Bel"}, "nearest are 'Ada Bell'"),
    "genre": ({"genres": ("Walz",)}, "'Waltz'"),
    "lyrics": ({"lyrics": "QQ"}, "nothing is left"),
    "length": ({"seconds": 1e9}, "Seconds: expected a number from 0.001 to 1000"),
}


@pytest.mark.parametrize(("wrong", "told"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_sung_is_refused_before_anything_is_written(studio, wrong, told):
    with pytest.raises(UserError, match=told):
        new(studio, replace(REQUEST, **wrong))
    assert not studio.session.names()
    assert not studio.line.jobs()


@pytest.mark.parametrize("name", ["", "..", "../songs", "seed_3/..", "/etc", "nothing"])
def test_a_name_that_is_no_song_is_no_file(studio, name):
    finish(studio, new(studio))
    with pytest.raises(UserError, match="there is no song"):
        studio.file(name, "song.wav")
    with pytest.raises(UserError):
        studio.takes(name)


def test_the_strength_of_an_adapter_is_part_of_a_song_and_of_the_command_that_makes_it_again(adapted, adapter):
    request = replace(REQUEST, seconds=1.0)
    names = [finish(adapted, new(adapted, request, strengths=strengths))[0] for strengths in (None, [0.5], [0.0])]
    nodes = [adapted.session.node(name) for name in names]
    assert [adapted.strengths(node) for node in nodes] == [[1.0], [0.5], [0.0]]
    assert len({bytes(adapted.session.codes(name)[2]) for name in names}) == 3
    page = adapted.file(names[1], "index.html").read_text()
    assert f"adapter={adapter.path} strength=0.5" in page


def test_a_song_goes_on_with_its_own_strength_also_one_without_adapters(adapted, studio):
    (half,) = finish(adapted, new(adapted, strengths=[0.5]))
    finish(studio, new(studio, seed=4))
    for name, strength in ((half, 0.5), ("seed_4", 0.0)):
        overrides = Overrides({"seconds": 0.15})
        (longer,) = finish(adapted, adapted.ask("ann", "extend", overrides, name))
        assert adapted.strengths(adapted.session.node(longer)) == [strength]
        assert adapted.session.node(longer).models == adapted.session.node(name).models


def test_a_song_of_another_adapter_is_left_to_it(adapted, studio):
    (name,) = finish(adapted, new(adapted))
    with pytest.raises(UserError, match="made by other models"):
        studio.ask("ann", "extend", Overrides({"seconds": 0.15}), name)
