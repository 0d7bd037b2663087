"""Takes of a tiny bundle: the song of the sampler, stopped and gone on with, one at a time."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.types import SamplingParams, SongRequest

REQUEST = SongRequest(artist="Ada Bell", genres=("Waltz",), lyrics="la na", seconds=0.2)
PARAMS = SamplingParams(hop_fraction=1.0)


def sung(studio, take):
    return list(take.sing(studio.thread))


def sung_until(studio, take, level):
    """Stops when a level begins."""
    for step in (steps := take.sing(studio.thread)):
        if step.level == level:
            take.stop()
    return steps


def same(one, other):
    return all(codes.equal(other.codes[level]) for level, codes in one.codes.items())


def test_a_take_is_the_song_of_the_sampler(studio):
    take = studio.take(REQUEST, PARAMS, 3)
    sung(studio, take)
    assert same(take.song, studio.ready.sampler.sample(REQUEST, PARAMS, 3))
    assert studio.session.node("seed_3").finished
    assert [path.name for path in take.files()] == ["song.wav", "song.flac", "index.html", "codes.npz", "request.json"]
    assert all(path.is_file() for path in take.files())


def test_every_level_is_told_from_its_first_code_to_its_last(studio):
    steps = sung(studio, studio.take(REQUEST, PARAMS, 3))
    assert [step.level for step in steps] == sorted((step.level for step in steps), reverse=True)
    for level in range(3):
        first, *_, last = (step for step in steps if step.level == level)
        assert first.done < last.done == last.total
        assert first.seconds_left is None
        assert last.seconds_left == 0


def test_a_stopped_take_goes_on_where_it_was(studio):
    stopped, again = studio.take(REQUEST, PARAMS, 3), studio.take(REQUEST, PARAMS, 3)
    sung_until(studio, stopped, level=0)
    assert stopped.song is None
    assert {step.level for step in sung(studio, again)} == {0}
    assert all(step.done == step.total for step in again.steps.values())
    assert same(again.song, studio.ready.sampler.sample(REQUEST, PARAMS, 3))


def test_what_is_heard_so_far_is_the_sound_of_the_finished_windows(studio):
    take = studio.take(REQUEST, PARAMS, 3)
    assert take.so_far() == {}
    sung_until(studio, take, level=0)
    codes = studio.session.codes("seed_3")
    assert sorted(take.so_far()) == sorted(codes) == [1, 2]
    for level, sound in take.so_far().items():
        expected = studio.ready.bundle.vqvae.decode_long(torch.from_numpy(codes[level].astype("int64"))[None], level)
        torch.testing.assert_close(torch.from_numpy(sound), expected[0])


def test_a_closed_iterator_ends_the_sampling(studio):
    take = studio.take(replace(REQUEST, seconds=1000.0), PARAMS, 3)
    steps = take.sing(studio.thread)
    next(steps)
    steps.close()
    studio.thread.submit(int).result(timeout=10)
    assert take.song is None


def test_who_waits_can_be_stopped_before_the_turn_comes(studio):
    long, waiting = (studio.take(replace(REQUEST, seconds=1000.0), PARAMS, seed) for seed in (1, 2))
    with ThreadPoolExecutor() as visitor, closing(long.sing(studio.thread)) as steps:
        next(steps)
        waited = visitor.submit(list, waiting.sing(studio.thread))
        waiting.stop()
        assert waited.result(timeout=10) == []
    assert "seed_2" not in studio.session


def test_a_folder_holds_one_song(studio):
    names = [studio.take(REQUEST, PARAMS, 3).name]
    sung(studio, studio.take(REQUEST, PARAMS, 3))
    names += [studio.take(request, PARAMS, 3).name for request in (REQUEST, replace(REQUEST, lyrics="mi"))]
    assert names == ["seed_3", "seed_3", "seed_3_2"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"artist": "Ada Bel"}, "nearest are 'Ada Bell'"),
        ({"genres": ("Walz",)}, "'Waltz'"),
        ({"lyrics": "QQ"}, "nothing is left"),
    ],
)
def test_what_cannot_be_sung_is_refused_before_anything_is_written(studio, wrong, told):
    with pytest.raises(UserError, match=told):
        studio.take(replace(REQUEST, **wrong), PARAMS, 3)
    assert not studio.session.folder.exists()


def test_what_goes_wrong_in_the_thread_is_raised_to_who_watches(studio, monkeypatch):
    take = studio.take(REQUEST, PARAMS, 3)
    monkeypatch.setattr(studio.ready.sampler, "sample", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sung(studio, take)
