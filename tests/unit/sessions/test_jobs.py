"""Stopped anywhere, a song comes out as if it had not been: its codes, and the bytes of its file."""

import errno
import json
import os
import random
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from small_run import RATE, SECONDS, same, sample, save_run, save_singing_run

from jukebox_pl import audio
from jukebox_pl.catalog.word_times.lrc import read_lrc
from jukebox_pl.errors import UserError, mistake_in
from jukebox_pl.models.prior import Prior
from jukebox_pl.sessions import commands
from jukebox_pl.sessions.commands import MODES, SampleCommand, SessionContext
from jukebox_pl.sessions.jobs import PARTIAL
from jukebox_pl.sessions.models import ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.sessions.operations import Overrides
from jukebox_pl.sessions.prompts import Prompt
from jukebox_pl.types import Section

COMMANDS = {
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

    def finish_or_die(session, name, *args):
        if not (session.place(name) / "killed").exists():
            (session.place(name) / "killed").touch()
            raise Killed
        finish(session, name, *args)

    def sample_until_finished(context, **command):
        for attempt in range(200):
            left[:] = [True, *[False] * chance.randint(1, 3)]
            with suppress(Killed):
                return sample(context, **command), attempt
        raise AssertionError("it never ends")

    monkeypatch.setattr(Session, "save", save_or_die)
    monkeypatch.setattr(Session, "finish", finish_or_die)
    return sample_until_finished


def song(context, name):
    return (context.session.place(name) / "song.wav").read_bytes()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_killed_again_and_again_a_song_is_what_it_would_have_been(context, songs, mortal, command, monkeypatch):
    made, kills = mortal(context, **command, name="killed")
    monkeypatch.undo()
    assert kills > (0 if command["mode"] == "cut" else 3)
    assert same(made, sample(context, **command, name="unhurt"))
    assert song(context, "killed") == song(context, "unhurt")
    assert not (context.session.place("killed") / PARTIAL).exists()


def test_what_a_killed_process_has_half_written_is_gone_with_the_next(context):
    sample(context, name="song")
    place = context.session.place("song")
    (place / "song.wav").unlink()
    (place / ".codes.npz.1234.part").write_bytes(b"half")
    sample(context, name="song")
    assert not [file for file in place.iterdir() if file.name.startswith(".")]


def test_candidates_killed_while_some_are_saved_are_the_songs_they_would_be_alone(context, mortal, monkeypatch):
    mortal(context, candidates=2)
    monkeypatch.undo()
    for seed in (1, 2):
        assert same(context.session.codes(f"seed_{seed}"), sample(context, seed=seed, name=f"alone {seed}"))


def test_a_song_goes_on_from_the_prompt_that_it_began_with(context, songs, mortal, tmp_path, monkeypatch):
    prompt = Prompt(tmp_path / "codes.npz", 0.8)
    prompt.path.write_bytes((context.session.place("whole") / "codes.npz").read_bytes())
    made, _ = mortal(context, seed=5, name="made", prompt=prompt)
    monkeypatch.undo()
    assert all((made[level][: len(codes) // 2] == codes[: len(codes) // 2]).all() for level, codes in songs["whole"].items())
    assert same(made, sample(context, seed=5, name="again", prompt=prompt))
    assert not same(made, songs["whole"])


@pytest.fixture
def unmusical(monkeypatch):
    """Without models in memory."""

    def refuse(*_):
        raise AssertionError("the models were loaded")

    monkeypatch.setattr(ModelPool, "load", refuse)


@pytest.mark.parametrize("command", [{}, {"mode": "extend", "node": "seed_1", "seconds": 2.4, "name": "longer"}])
def test_a_finished_song_is_there_at_once(context, command, capsys, request):
    sample(context)
    first = sample(context, **command)
    capsys.readouterr()
    request.getfixturevalue("unmusical")
    assert same(sample(context, **command), first)
    printed = capsys.readouterr()
    folder = context.session.place(command.get("name", "seed_1"))
    assert printed.out == f"{folder / 'index.html'}\n"
    assert printed.err == f"{folder} is finished: nothing is sampled again\n"


def test_a_lost_file_is_written_again_from_the_codes(context, monkeypatch):
    sample(context)
    sample(context, "extend", node="seed_1", name="longer", seconds=2.4)
    wav = song(context, "longer")
    (context.session.place("longer") / "song.wav").unlink()
    monkeypatch.setattr(Prior, "forward", None)
    sample(context, "extend", node="seed_1", name="longer", seconds=2.4, formats=["flac"])
    assert song(context, "longer") == wav
    assert (context.session.place("longer") / "song.flac").exists()


OTHERS = {
    "artist": ({"artist": "Ben"}, "request.artist: Anna -> Ben"),
    "seconds": ({"seconds": 0.8}, "request.seconds: 1.6 -> 0.8"),
    "temperature": ({"temperature": 0.5}, "params.temperature: 0.99 -> 0.5"),
    "levels": ({"lowest": 2}, "lowest: 0 -> 2"),
}


@pytest.mark.parametrize(("words", "message"), OTHERS.values(), ids=OTHERS)
def test_a_folder_with_another_song_is_refused_with_what_differs(context, begun, unmusical, words, message):
    shutil.copytree(begun / "whole", context.session.place("seed_1"))
    with pytest.raises(UserError, match=rf"seed_1 holds another song \({message}\): give another seed or out=FOLDER"):
        sample(context, **words)


def test_a_song_of_other_models_is_not_gone_on_with(context, songs, tmp_path):
    other = SessionContext(context.session, ModelPool(save_run(tmp_path / "other", seed=1)))
    for mode, words in (("extend", {"seconds": 2.4}), ("branch", {"seed": 2}), ("replay", {})):
        with pytest.raises(
            UserError, match=r"whole was made by other models \(weights.prior 0: \w+ -> \w+.*the run that made it"
        ):
            sample(other, mode, node="whole", name="made", **words)


def test_a_full_disk_stops_the_song_and_with_room_it_goes_on(context, monkeypatch):
    calls, replace = [], os.replace

    def full(*paths):
        calls.append(paths)
        if len(calls) > 12:
            raise OSError(errno.ENOSPC, "No space left on device", str(paths[1]))
        replace(*paths)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left") as stopped:
        sample(context)
    monkeypatch.undo()
    assert re.search(r"codes.npz: No space left on device; make room or", mistake_in(stopped.value))
    assert not list(context.session.place("seed_1").glob(".*"))
    assert not context.session.node("seed_1").finished
    kept = {level: len(codes) for level, codes in context.session.codes("seed_1").items()}
    assert sum(kept.values()) > 8
    assert same(sample(context), sample(context, name="unhurt"))


def test_a_prior_that_fails_names_the_window_and_what_was_done_stays(context, monkeypatch):
    calls = []

    def failing(logits_of):
        def fail(self, *arguments, **options):
            calls.append(1)
            return logits_of(self, *arguments, **options) * (torch.nan if len(calls) > 16 else 1.0)

        return fail

    for name in ("forward", "step"):
        monkeypatch.setattr(Prior, name, failing(getattr(Prior, name)))
    with pytest.raises(UserError, match=r"level 1, window at \d+: .*not finite; train this prior again"):
        sample(context)
    monkeypatch.undo()
    assert len(context.session.codes("seed_1")[2]) == 8
    assert same(sample(context), sample(context, name="unhurt"))


def test_what_can_be_heard_grows_into_the_song(context, monkeypatch):
    heard, append = [], audio.append

    def listen(path, sound):
        append(path, sound)
        heard.append(soundfile.read(path, dtype="int16")[0])

    monkeypatch.setattr(audio, "append", listen)
    sample(context, stream=True)
    whole, _ = soundfile.read(context.session.place("seed_1") / "song.wav", dtype="int16")
    lengths = [len(part) for part in heard]
    assert len(lengths) > 5
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == len(whole) == SECONDS * RATE
    assert all(np.abs(part - whole[: len(part)].astype(int)).max() <= 1 for part in heard)


def test_processes_share_the_candidates(context):
    for rank in range(2):
        with suppress(UserError):  # the song of the first is not one of the second's
            sample(context, candidates=3, rank=rank, world=2)
        assert len(context.session.names()) == [2, 3][rank]
    assert all(context.session.node(f"seed_{seed}").finished for seed in (1, 2, 3))


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_every_candidate_goes_to_one_process_and_none_makes_two_more_than_another(context, monkeypatch, world):
    shares = [[] for _ in range(world)]
    monkeypatch.setattr(
        commands, "generate", lambda context, command, nodes, given, parent: shares[command.rank].extend(nodes.items())
    )
    for rank in range(world):
        MODES["new"](context, SampleCommand(Overrides(seed=0), candidates=7, rank=rank, world=world))
    made = sorted((name, node.seed) for part in shares for name, node in part)
    assert made == [(f"seed_{seed}", seed) for seed in range(7)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("rank", [-1, 2])
def test_ranks_outside_the_world_are_refused(context, rank):
    with pytest.raises(ValueError, match=f"a rank below 2, found {rank}"):
        sample(context, rank=rank, world=2)


def test_without_a_seed_or_a_folder_other_words_get_the_next_free_name(context, capsys):
    for words in ({}, {"artist": "Ben"}, {"artist": "Anna"}, {"artist": "Ben"}, {}):
        overrides = Overrides(request={"seconds": 0.4, **words})
        MODES["new"](context, SampleCommand(overrides, next_free_name=True))
    printed = capsys.readouterr()
    names = [Path(line).parent.name for line in printed.out.splitlines()]
    assert names == ["seed_0", "seed_0_2", "seed_0_3", "seed_0_2", "seed_0"]
    assert printed.err.count("is finished: nothing is sampled again") == 2


def test_a_song_under_the_next_free_name_goes_on_where_it_was(context, mortal, monkeypatch):
    mortal(context, seed=0)
    _, kills = mortal(context, seed=0, artist="Ben", next_free_name=True)
    monkeypatch.undo()
    assert kills > 3
    assert context.session.names() == ["seed_0", "seed_0_2"]
    assert same(context.session.codes("seed_0_2"), sample(context, seed=0, artist="Ben", name="unhurt"))


def test_a_name_that_became_free_is_not_taken_by_a_song_that_is_there(context):
    sample(context, seed=0)
    sample(context, seed=0, artist="Ben", next_free_name=True)
    shutil.rmtree(context.session.place("seed_0"))
    node = context.session.node("seed_0_2")
    assert context.session.locate(replace(node, hashes={})) == ("seed_0_2", node)


def test_every_song_says_when_its_words_are_sung(tmp_path):
    """New, stopped and gone on with, heard while it is made, or made of another one."""
    context = SessionContext(Session(tmp_path / "songs"), ModelPool(save_singing_run(tmp_path / "run")))
    lyrics = "ab c\ncab  ba"
    commands = {
        "whole": {"lyrics": lyrics},
        "streamed": {"lyrics": lyrics, "stream": True},
        "top": {"lyrics": lyrics, "lowest": 2},
        "upsampled": {"mode": "upsample", "node": "top"},
        "longer": {"mode": "extend", "node": "whole", "seconds": 2.4},
        "schedule": {"lyrics": "ab", "schedule": (Section(0.8, lyrics="c cab"),)},
        "silent": {},
    }
    times = {}
    for name, words in commands.items():
        codes = sample(context, name=name, **words)
        folder = context.session.place(name)
        record = json.loads((folder / "request.json").read_text())
        times[name] = record.get("words", [])
        edges = [edge for _, start, end in times[name] for edge in (start, end)]
        assert edges == sorted(edges)
        assert all(0 <= edge <= len(codes[2]) * 16 / RATE for edge in edges)
        assert (folder / "song.lrc").exists() == bool(edges)
    assert [word for word, *_ in times["whole"]] == lyrics.split()
    assert [word for word, *_ in times["schedule"]] == ["ab", "c", "cab"]
    assert times["schedule"][0][2] <= 0.8 <= times["schedule"][1][1]
    assert times["streamed"] == times["whole"] == times["top"] == times["upsampled"] != times["longer"]
    assert not times["silent"]
    assert [
        word.text for word in read_lrc((context.session.place("whole") / "song.lrc").read_text()).words
    ] == lyrics.split()
