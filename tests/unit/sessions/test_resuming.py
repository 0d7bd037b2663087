"""Stopped anywhere, a song comes out as if it had not been: its codes, and the bytes of its file."""

import errno
import os
import random
import re
import shutil
from contextlib import suppress

import numpy as np
import pytest
import soundfile
import torch
from small_run import RATE, SECONDS, same, save_run, sing

from jukebox_pl import audio
from jukebox_pl.cli.command import mistake_in
from jukebox_pl.errors import UserError
from jukebox_pl.models.prior import Prior
from jukebox_pl.sessions.models import ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.sessions.prompts import Prompt
from jukebox_pl.sessions.work import PARTIAL, SessionContext

ORDERS = {
    "new": {"mode": "new"},
    "in coarse windows": {"mode": "new", "hop_fraction": 1.0},
    "in parallel windows": {"mode": "new", "parallel_windows": (2, 2, 2)},
    "heard while it is made": {"mode": "new", "stream": True},
    "extend": {"mode": "extend", "node": "whole", "seconds": 2.4},
    "cut": {"mode": "cut", "node": "whole", "at": 0.8},
    "upsample": {"mode": "upsample", "node": "top"},
    "regenerate": {"mode": "regenerate", "node": "whole", "from": 0.4, "to": 0.9, "seed": 7},
}


class Killed(BaseException):
    """What nothing catches."""


@pytest.fixture
def mortal(monkeypatch):
    """Gives orders that are killed after one to three windows, and once more before the song is called finished."""
    chance, left = random.Random(0), []
    save, finish = Session.save, Session.finish

    def save_or_die(session, *args):
        if left.pop():
            raise Killed
        save(session, *args)

    def finish_or_die(session, name):
        if not (session.place(name) / "killed").exists():
            (session.place(name) / "killed").touch()
            raise Killed
        finish(session, name)

    def order_until_finished(desk, **order):
        for attempt in range(200):
            left[:] = [True, *[False] * chance.randint(1, 3)]
            with suppress(Killed):
                return sing(desk, **order), attempt
        raise AssertionError("it never ends")

    monkeypatch.setattr(Session, "save", save_or_die)
    monkeypatch.setattr(Session, "finish", finish_or_die)
    return order_until_finished


def song(desk, name):
    return (desk.session.place(name) / "song.wav").read_bytes()


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_killed_again_and_again_a_song_is_what_it_would_have_been(desk, songs, mortal, order, monkeypatch):
    made, kills = mortal(desk, **order, name="killed")
    monkeypatch.undo()
    assert kills > (0 if order["mode"] == "cut" else 3)
    assert same(made, sing(desk, **order, name="unhurt"))
    assert song(desk, "killed") == song(desk, "unhurt")
    assert not (desk.session.place("killed") / PARTIAL).exists()


def test_what_a_killed_process_has_half_written_is_gone_with_the_next(desk):
    sing(desk, name="song")
    place = desk.session.place("song")
    (place / "song.wav").unlink()
    (place / ".codes.npz.1234.part").write_bytes(b"half")
    sing(desk, name="song")
    assert not [file for file in place.iterdir() if file.name.startswith(".")]


def test_candidates_killed_while_some_are_saved_are_the_songs_they_would_be_alone(desk, mortal, monkeypatch):
    mortal(desk, candidates=2)
    monkeypatch.undo()
    for seed in (1, 2):
        assert same(desk.session.codes(f"seed_{seed}"), sing(desk, seed=seed, name=f"alone {seed}"))


def test_a_song_goes_on_from_the_prompt_that_it_began_with(desk, songs, mortal, tmp_path, monkeypatch):
    prompt = Prompt(tmp_path / "codes.npz", 0.8)
    prompt.path.write_bytes((desk.session.place("whole") / "codes.npz").read_bytes())
    made, _ = mortal(desk, seed=5, name="made", prompt=prompt)
    monkeypatch.undo()
    assert all((made[level][: len(codes) // 2] == codes[: len(codes) // 2]).all() for level, codes in songs["whole"].items())
    assert same(made, sing(desk, seed=5, name="again", prompt=prompt))
    assert not same(made, songs["whole"])


@pytest.fixture
def unmusical(monkeypatch):
    """Without models in memory."""

    def refuse(*_):
        raise AssertionError("the models were loaded")

    monkeypatch.setattr(ModelPool, "ready", refuse)


@pytest.mark.parametrize("order", [{}, {"mode": "extend", "node": "seed_1", "seconds": 2.4, "name": "longer"}])
def test_a_finished_song_is_there_at_once(desk, order, capsys, request):
    sing(desk)
    first = sing(desk, **order)
    capsys.readouterr()
    request.getfixturevalue("unmusical")
    assert same(sing(desk, **order), first)
    told = capsys.readouterr()
    folder = desk.session.place(order.get("name", "seed_1"))
    assert told.out == f"{folder / 'index.html'}\n"
    assert told.err == f"{folder} is finished: nothing is sampled again\n"


def test_a_lost_file_is_written_again_from_the_codes(desk, monkeypatch):
    sing(desk)
    sing(desk, "extend", node="seed_1", name="longer", seconds=2.4)
    wav = song(desk, "longer")
    (desk.session.place("longer") / "song.wav").unlink()
    monkeypatch.setattr(Prior, "next_logits", None)
    sing(desk, "extend", node="seed_1", name="longer", seconds=2.4, formats=["flac"])
    assert song(desk, "longer") == wav
    assert (desk.session.place("longer") / "song.flac").exists()


OTHERS = {
    "artist": ({"artist": "Ben"}, "request.artist: Anna -> Ben"),
    "seconds": ({"seconds": 0.8}, "request.seconds: 1.6 -> 0.8"),
    "temperature": ({"temperature": 0.5}, "params.temperature: 0.99 -> 0.5"),
    "levels": ({"lowest": 2}, "lowest: 0 -> 2"),
}


@pytest.mark.parametrize(("words", "told"), OTHERS.values(), ids=OTHERS)
def test_a_folder_with_another_song_is_refused_with_what_differs(desk, begun, unmusical, words, told):
    shutil.copytree(begun / "whole", desk.session.place("seed_1"))
    with pytest.raises(UserError, match=rf"seed_1 holds another song \({told}\): give another seed or out=FOLDER"):
        sing(desk, **words)


def test_a_song_of_other_models_is_not_gone_on_with(desk, songs, tmp_path):
    other = SessionContext(desk.session, ModelPool(save_run(tmp_path / "other", seed=1)))
    for mode, words in (("extend", {"seconds": 2.4}), ("branch", {"seed": 2}), ("replay", {})):
        with pytest.raises(
            UserError, match=r"whole was made by other models \(weights.prior 0: \w+ -> \w+.*the run that made it"
        ):
            sing(other, mode, node="whole", name="made", **words)


def test_a_full_disk_stops_the_song_and_with_room_it_goes_on(desk, monkeypatch):
    calls, replace = [], os.replace

    def full(*paths):
        calls.append(paths)
        if len(calls) > 12:
            raise OSError(errno.ENOSPC, "No space left on device", str(paths[1]))
        replace(*paths)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left") as stopped:
        sing(desk)
    monkeypatch.undo()
    assert re.search(r"codes.npz: No space left on device; make room or", mistake_in(stopped.value))
    assert not list(desk.session.place("seed_1").glob(".*"))
    assert not desk.session.node("seed_1").finished
    kept = {level: len(codes) for level, codes in desk.session.codes("seed_1").items()}
    assert sum(kept.values()) > 8
    assert same(sing(desk), sing(desk, name="unhurt"))


def test_a_prior_that_fails_names_the_window_and_what_was_done_stays(desk, monkeypatch):
    calls = []

    def failing(logits_of):
        def fail(self, *arguments):
            calls.append(1)
            return logits_of(self, *arguments) * (torch.nan if len(calls) > 16 else 1.0)

        return fail

    for name in ("next_logits", "step"):
        monkeypatch.setattr(Prior, name, failing(getattr(Prior, name)))
    with pytest.raises(UserError, match=r"level 1, window at \d+: .*not finite; train this prior again"):
        sing(desk)
    monkeypatch.undo()
    assert len(desk.session.codes("seed_1")[2]) == 8
    assert same(sing(desk), sing(desk, name="unhurt"))


def test_what_can_be_heard_grows_into_the_song(desk, monkeypatch):
    heard, append = [], audio.append

    def listen(path, sound):
        append(path, sound)
        heard.append(soundfile.read(path, dtype="int16")[0])

    monkeypatch.setattr(audio, "append", listen)
    sing(desk, stream=True)
    whole, _ = soundfile.read(desk.session.place("seed_1") / "song.wav", dtype="int16")
    lengths = [len(part) for part in heard]
    assert len(lengths) > 5
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == len(whole) == SECONDS * RATE
    assert all(np.abs(part - whole[: len(part)].astype(int)).max() <= 1 for part in heard)


def test_processes_share_the_candidates(desk):
    for rank in range(2):
        with suppress(UserError):  # the song of the first is not one of the second's
            sing(desk, candidates=3, rank=rank, world=2)
        assert len(desk.session.names()) == [2, 3][rank]
    assert all(desk.session.node(f"seed_{seed}").finished for seed in (1, 2, 3))
