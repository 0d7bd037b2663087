"""Jobs of a tiny bundle: the song of the sampler, stopped and gone on with, one at a time."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.types import SamplingParams, SongRequest

REQUEST = SongRequest(artist="Ada Bell", genres=("Waltz",), lyrics="la na", seconds=0.2)
PARAMS = SamplingParams(hop_fraction=1.0)


def sung(studio, job):
    return list(job.run(studio.thread))


def sung_until(studio, job, level):
    """Stops when a level begins."""
    for status in job.run(studio.thread):
        if status.task == f"level {level}":
            job.stop()


def same(one, other):
    return all(codes.equal(other.codes[level]) for level, codes in one.codes.items())


def test_a_job_is_the_song_of_the_sampler(studio):
    job = studio.job(REQUEST, PARAMS, 3)
    sung(studio, job)
    assert same(job.song, studio.loaded.sampler.sample(REQUEST, PARAMS, 3))
    assert studio.session.node("seed_3").finished
    assert [path.name for path in job.files()] == ["song.wav", "song.flac", "index.html", "codes.npz", "request.json"]
    assert all(path.is_file() for path in job.files())


def test_every_level_is_told_from_its_first_code_to_its_last(studio):
    updates = sung(studio, studio.job(REQUEST, PARAMS, 3))
    assert [status.task for status in updates] == sorted((status.task for status in updates), reverse=True)
    for level in range(3):
        first, *_, last = (status for status in updates if status.task == f"level {level}")
        assert first.done < last.done == last.total
        assert first.seconds_left is None
        assert last.seconds_left == 0


def test_a_stopped_job_goes_on_where_it_was(studio):
    stopped, again = studio.job(REQUEST, PARAMS, 3), studio.job(REQUEST, PARAMS, 3)
    sung_until(studio, stopped, level=0)
    assert stopped.song is None
    assert {status.task for status in sung(studio, again)} == {"level 0"}
    assert sorted(again.levels) == ["level 0", "level 1", "level 2"]
    assert all(status.done == status.total for status in again.levels.values())
    assert same(again.song, studio.loaded.sampler.sample(REQUEST, PARAMS, 3))


def test_what_is_heard_so_far_is_the_sound_of_the_finished_windows(studio):
    job = studio.job(REQUEST, PARAMS, 3)
    assert job.so_far() == {}
    sung_until(studio, job, level=0)
    codes = studio.session.codes("seed_3")
    assert sorted(job.so_far()) == sorted(codes) == [1, 2]
    for level, sound in job.so_far().items():
        expected = studio.loaded.bundle.vqvae.decode_long(torch.from_numpy(codes[level].astype("int64"))[None], level)
        torch.testing.assert_close(torch.from_numpy(sound), expected[0])


def test_a_closed_iterator_ends_the_sampling(studio):
    job = studio.job(replace(REQUEST, seconds=1000.0), PARAMS, 3)
    updates = job.run(studio.thread)
    next(updates)
    updates.close()
    studio.thread.submit(int).result(timeout=10)
    assert job.song is None


def test_who_waits_can_be_stopped_before_the_turn_comes(studio):
    long, waiting = (studio.job(replace(REQUEST, seconds=1000.0), PARAMS, seed) for seed in (1, 2))
    with ThreadPoolExecutor() as visitor, closing(long.run(studio.thread)) as updates:
        next(updates)
        waited = visitor.submit(list, waiting.run(studio.thread))
        waiting.stop()
        assert waited.result(timeout=10) == []
    assert "seed_2" not in studio.session


def test_a_folder_holds_one_song(studio):
    names = [studio.job(REQUEST, PARAMS, 3).name]
    sung(studio, studio.job(REQUEST, PARAMS, 3))
    names += [studio.job(request, PARAMS, 3).name for request in (REQUEST, replace(REQUEST, lyrics="mi"))]
    assert names == ["seed_3", "seed_3", "seed_3_2"]


def test_songs_that_wait_side_by_side_do_not_share_a_folder(studio):
    first, second = (studio.job(replace(REQUEST, lyrics=lyrics), PARAMS, 3) for lyrics in ("la", "mi"))
    for job in (first, second):
        sung(studio, job)
    assert (first.name, second.name) == ("seed_3", "seed_3_2")
    assert studio.session.node("seed_3_2").request.lyrics == "mi"
    assert same(second.song, studio.loaded.sampler.sample(replace(REQUEST, lyrics="mi"), PARAMS, 3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"artist": "Ada Bel"}, "nearest are 'Ada Bell'"),
        ({"genres": ("Walz",)}, "'Waltz'"),
        ({"lyrics": "QQ"}, "nothing is left"),
    ],
)
def test_what_cannot_be_sung_is_refused_before_anything_is_written(studio, wrong, message):
    with pytest.raises(UserError, match=message):
        studio.job(replace(REQUEST, **wrong), PARAMS, 3)
    assert not studio.session.folder.exists()


def test_what_goes_wrong_in_the_thread_is_raised_to_who_watches(studio, monkeypatch):
    job = studio.job(REQUEST, PARAMS, 3)
    monkeypatch.setattr(studio.loaded.sampler, "sample_batch", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sung(studio, job)
