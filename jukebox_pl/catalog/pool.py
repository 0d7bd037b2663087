"""Processes of our own that do one job at a time, so that a job which takes its process with it harms no other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from jukebox_pl.errors import UserError

Job = TypeVar("Job")
Fate = Enum("Fate", "DONE DIED LATE")
READY = "ready"
STDERR = 2
SECONDS_BETWEEN_LOOKS = 1.0
SPAWN = multiprocessing.get_context("spawn")


def run_in_processes(
    function: Callable[[Job], None], jobs: Iterable[Job], workers: int, seconds: float
) -> Generator[tuple[Job, bool], None, list[Job]]:
    """Yields (job, True) as they end and (job, False) for those that take over `seconds`; returns those that died.

    What `function` raises is raised here.
    """
    idle: list[Worker[Job]] = []
    busy: list[Worker[Job]] = []
    died: list[Job] = []
    jobs = iter(jobs)
    try:
        while True:
            for job in islice(jobs, workers - len(busy)):
                busy.append(idle.pop() if idle else Worker(function))
                busy[-1].take(job)
            if not busy:
                return died
            for worker, fate in settled(busy, seconds):
                busy.remove(worker)
                if fate is Fate.DONE:
                    idle.append(worker)
                if fate is Fate.DIED:
                    died.append(worker.job)
                else:
                    yield worker.job, fate is Fate.DONE
    finally:
        for worker in (*idle, *busy):
            worker.kill()


class Worker(Generic[Job]):
    """A process that calls `function` on one job after the other, and what it has in hand."""

    job: Job

    def __init__(self, function: Callable[[Job], None]):
        self.connection, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(function, theirs), daemon=True)
        with one_thread_each():
            self.process.start()
        theirs.close()
        self.started, self.since = False, time.monotonic()

    def take(self, job: Job) -> None:
        self.job, self.since = job, time.monotonic()
        with suppress(ConnectionError):  # it has died while idle, which `fate` will find
            self.connection.send(job)

    def fate(self) -> Fate | None:
        """What the process has said of its job, None when it only says that it is there. Raises what the job raised."""
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionError):
            self.kill()
            self.require_started()
            return Fate.DIED
        if answer == READY:
            self.started, self.since = True, time.monotonic()
            return None
        if answer is not None:
            raise answer
        return Fate.DONE

    def require_started(self) -> None:
        """Raises UserError where processes cannot start at all, which is not the fault of any job."""
        if not self.started:
            hint = 'use workers=0, or in a script of your own call it under `if __name__ == "__main__":`'
            raise UserError(f"worker processes do not start: {hint}")

    def kill(self) -> None:
        self.process.kill()
        self.connection.close()


def settled(busy: list[Worker[Job]], seconds: float) -> Iterator[tuple[Worker[Job], Fate]]:
    """The workers that have ended their job, and those that are killed for taking too long; waits for a moment."""
    ready = wait([worker.connection for worker in busy], timeout=SECONDS_BETWEEN_LOOKS)
    for worker in list(busy):
        if worker.connection in ready:
            if fate := worker.fate():
                yield worker, fate
        elif time.monotonic() - worker.since > seconds:
            worker.kill()
            yield worker, Fate.LATE


def serve(function: Callable[[Job], None], connection: Connection) -> None:
    """What the process does: answers each job with None or what it raised, until the parent hangs up."""
    _follow_the_parent()
    connection.send(READY)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            function(job)
            connection.send(None)
        except UserError as error:
            connection.send(error)
        except Exception:
            connection.send(RuntimeError(traceback.format_exc()))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started now compute on one thread: there are as many of them as there are cores to share."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]


def _follow_the_parent() -> None:
    """Ctrl-C is for the parent to answer; and were the parent killed, this process would wait for work for ever.

    Its standard error goes nowhere, because decoders written in C print there what is raised here anyway.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDERR)
    threading.Thread(target=_exit_after_the_parent, daemon=True).start()


def _exit_after_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
