"""A folder is one process's at a time, is freed however that ends, and what cannot be a folder is said in one line."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import socket
from pathlib import Path

import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.utils.locks import is_locked, locked, sweep

SPAWN = multiprocessing.get_context("spawn")


def hold_until_told(folder: Path, connection, forks: bool) -> None:
    with locked(folder, "run_dir"):
        child = os.fork() if forks else None
        if child == 0:
            signal.pause()
        connection.send(child)
        connection.recv()


def holding(folder: Path, forks: bool = False):
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=hold_until_told, args=(folder, theirs, forks), daemon=not forks)
    process.start()
    return process, ours, ours.recv()


def test_a_second_process_is_told_who_the_first_is_and_follows_when_it_ends(tmp_path):
    process, connection, _ = holding(tmp_path)
    with pytest.raises(UserError) as told, locked(tmp_path, "run_dir"):
        pass
    first = f"process {process.pid} on {socket.gethostname()}"
    assert str(told.value) == f"run_dir={tmp_path} is in use by {first}: wait until it ends, or choose another run_dir"
    connection.send("end")
    process.join()
    with locked(tmp_path, "run_dir") as was_killed:
        assert not was_killed
    assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_the_folder_free_even_where_its_children_live(tmp_path):
    process, _, child = holding(tmp_path, forks=True)
    try:
        process.kill()
        process.join()
        with locked(tmp_path, "out") as was_killed:
            assert was_killed
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("name", ["/proc/x/y", "/dev/null/run", "x" * 300, "a\0b"])
def test_what_cannot_be_a_folder_is_one_line(tmp_path, name):
    line = r"^out=.* cannot be written \(.*\): choose another folder$"
    with pytest.raises(UserError, match=line) as told, locked(tmp_path / name, "out"):
        pass
    assert len(str(told.value)) < 400


def test_what_is_not_whole_is_swept_and_nothing_else(tmp_path):
    (tmp_path / "a/.songs.x.part").mkdir(parents=True)
    (tmp_path / "a/.songs.x.part/1.wav").write_text("half")
    (tmp_path / "a/.model.1.part").write_text("half")
    (tmp_path / "a/parted").write_text("whole")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "parted"]


def test_who_only_looks_whether_it_is_held_is_in_nobodys_way(tmp_path, monkeypatch):
    tries = iter([BlockingIOError(errno.EAGAIN, ""), BlockingIOError(errno.EACCES, ""), None])
    usual = fcntl.lockf

    def busy_at_first(*arguments):
        if error := next(tries):
            raise error
        usual(*arguments)

    monkeypatch.setattr(fcntl, "lockf", busy_at_first)
    with locked(tmp_path, "run_dir"):
        pass


def test_where_no_locks_are_kept_a_folder_is_held_as_far_as_who_asks_will_have_it(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with locked(tmp_path, "run_dir"):
        assert not is_locked(tmp_path)
        assert is_locked(tmp_path, unless_known=True)
    assert not is_locked(tmp_path, unless_known=True)
