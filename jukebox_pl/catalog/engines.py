"""Where songs are prepared: in this process, in processes of this machine, or on a Ray cluster.

Local processes do one job at a time, so that a job which takes its process with it harms no other.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Protocol, TypeVar

from jukebox_pl.errors import UserError

Job = TypeVar("Job")
STEP_SECONDS = 600.0
GRACE_SECONDS = 2.0  # in which a job may end by itself, with all that it has started
SECONDS_BETWEEN_LOOKS = 1.0  # for jobs that take too long; those that end are seen at once
READY = "ready"
STDERR = 2
Outcome = Enum("Outcome", "DONE DIED LATE")
SPAWN = multiprocessing.get_context("spawn")  # a fork copies the locks of other threads, held or not


class Engine(Protocol):
    def run_all(self, function: Callable[[Job], None], jobs: Iterable[Job]) -> Iterator[tuple[Job, bool]]:
        """Calls `function(job)` for every job and yields (job, survived) as they end, in any order.

        A job whose process dies is tried again; it has not survived when it dies again or takes too long. What
        `function` raises is raised here.
        """


@dataclass(frozen=True)
class LocalEngine:
    """`workers` processes of this machine; 0 stays in this one, where nothing can be stopped from outside."""

    workers: int = 2
    step_seconds: float = STEP_SECONDS

    def run_all(self, function: Callable[[Job], None], jobs: Iterable[Job]) -> Iterator[tuple[Job, bool]]:
        if not self.workers:
            for job in jobs:
                function(job)
                yield job, True
            return
        limit = self.step_seconds + GRACE_SECONDS
        died = yield from run_in_processes(function, jobs, self.workers, limit)
        # Alone, because it may have been short of memory beside the others.
        lost = yield from run_in_processes(function, died, 1, limit)
        yield from ((job, False) for job in lost)


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
                busy[-1].start(job)
            if not busy:
                return died
            for worker, outcome in finished(busy, seconds):
                busy.remove(worker)
                if outcome is Outcome.DONE:
                    idle.append(worker)
                if outcome is Outcome.DIED:
                    died.append(worker.job)
                else:
                    yield worker.job, outcome is Outcome.DONE
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
        self.is_ready, self.since = False, time.monotonic()

    def start(self, job: Job) -> None:
        self.job, self.since = job, time.monotonic()
        with suppress(ConnectionError):  # it has died while idle, which `outcome` will find
            self.connection.send(job)

    def outcome(self) -> Outcome | None:
        """What the process has said of its job, None when it only says that it is there. Raises what the job raised.

        Raises UserError where processes cannot start at all, which is not the fault of any job.
        """
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionError):
            self.kill()
            if not self.is_ready:
                hint = 'use workers=0, or in a script of your own call it under `if __name__ == "__main__":`'
                raise UserError(f"worker processes do not start: {hint}") from None
            return Outcome.DIED
        if answer == READY:
            self.is_ready, self.since = True, time.monotonic()
            return None
        if answer is not None:
            raise answer
        return Outcome.DONE

    def kill(self) -> None:
        self.process.kill()
        self.connection.close()


def finished(busy: list[Worker[Job]], seconds: float) -> Iterator[tuple[Worker[Job], Outcome]]:
    """The workers that have ended their job, and those that are killed for taking too long; waits for a moment."""
    ready = wait([worker.connection for worker in busy], timeout=SECONDS_BETWEEN_LOOKS)
    for worker in list(busy):
        if worker.connection in ready:
            if outcome := worker.outcome():
                yield worker, outcome
        elif time.monotonic() - worker.since > seconds:
            worker.kill()
            yield worker, Outcome.LATE


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


def serve(function: Callable[[Job], None], connection: Connection) -> None:
    """What the process does: answers each job with None or what it raised, until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    # Decoders written in C print to standard error what is raised here anyway.
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDERR)
    threading.Thread(target=exit_after_the_parent, daemon=True).start()
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


def exit_after_the_parent() -> None:
    """Were the parent killed in the midst of a job, nobody else would end this process."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@dataclass(frozen=True)
class RayEngine:
    """A Ray cluster: one on this machine that ends with this process ("local"), or that at `address` ("auto", HOST:PORT).

    All its machines must see the songs and the `out` folder under the same paths, and have this package installed.
    """

    address: str = "local"
    step_seconds: float = STEP_SECONDS
    retries: int = 1

    def run_all(self, function: Callable[[Job], None], jobs: Iterable[Job]) -> Iterator[tuple[Job, bool]]:
        ray = self._connect()
        task = ray.remote(num_cpus=1, max_retries=self.retries)(run_within)
        jobs = iter(jobs)
        running: dict[Any, Job] = {}
        try:
            while True:
                # A few more than there are cores, so that none waits for its next song.
                room = int(1.5 * ray.cluster_resources().get("CPU", 1)) + 1 - len(running)
                running |= {task.remote(function, job, self.step_seconds + GRACE_SECONDS): job for job in islice(jobs, room)}
                if not running:
                    return
                for done in ray.wait(list(running), num_returns=1)[0]:
                    yield running.pop(done), survived(ray, done)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _connect(self) -> Any:
        os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # the first is raised here, the others end with the run
        try:
            import ray
        except ImportError:
            raise UserError('engine=ray needs ray: pip install "jukebox_pl[ray]"') from None
        try:
            if not ray.is_initialized():
                host, _, port = self.address.rpartition("/")[2].rpartition(":")
                if host:  # Ray itself would try for a quarter of an hour where nobody listens
                    socket.create_connection((host, int(port)), timeout=10).close()
                with keeping(signal.SIGTERM):
                    ray.init(self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"no Ray cluster at engine.address={self.address} ({reason}): start one, or use local"
            ) from error
        return ray


@contextmanager
def keeping(signum: signal.Signals) -> Iterator[None]:
    """Puts back what answers a signal: Ray puts an answer of its own in its place, and leaves it there."""
    before = signal.getsignal(signum)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signum, before)


def run_within(function: Callable[[Job], None], job: Job, seconds: float) -> None:
    """Ends its process when the job takes longer, also where native code hangs: the clock runs in a thread of C."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)
    try:
        function(job)
    finally:
        faulthandler.cancel_dump_traceback_later()


def survived(ray: Any, reference: Any) -> bool:
    """Raises what the job raised."""
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError:
        return False
    return True
