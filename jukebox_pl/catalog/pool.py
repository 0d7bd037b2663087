"""Many jobs on a few processes, where a job may take its process down with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from jukebox_pl.errors import UserError

Job = TypeVar("Job")
STDERR = 2


def run_all(function: Callable[[Job], None], jobs: Iterable[Job], workers: int) -> Iterator[tuple[Job, bool]]:
    """Calls `function(job)` for every job and yields (job, survived) as they end; `workers` 0 stays in this process.

    A job that was running when a process died is tried again alone; it has not survived if it dies again. What
    `function` raises is raised here.
    """
    waiting = deque(jobs)
    while waiting and not workers:
        function(waiting[0])
        yield waiting.popleft(), True
    while waiting:
        suspects = yield from _run_until_a_process_dies(function, waiting, workers)
        for job in suspects:
            died = yield from _run_until_a_process_dies(function, deque([job]), workers=1)
            if died:
                yield job, False


def _run_until_a_process_dies(
    function: Callable[[Job], None], waiting: deque[Job], workers: int
) -> Generator[tuple[Job, bool], None, list[Job]]:
    """Takes jobs from `waiting`; returns those that were under way when a process died."""
    running: dict[Future[None], Job] = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_follow_the_parent) as pool:
        require_start(pool)
        try:
            while waiting or running:
                while waiting and len(running) < 2 * workers:
                    running[pool.submit(function, waiting[0])] = waiting[0]
                    waiting.popleft()
                wait(running, return_when=FIRST_COMPLETED)
                for future in [future for future in running if future.done()]:
                    future.result()
                    yield running.pop(future), True
        except BrokenProcessPool:
            return list(running.values())
    return []


def require_start(pool: ProcessPoolExecutor) -> None:
    """Raises UserError where processes cannot start at all, which is not the fault of any job."""
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        hint = 'use workers=0, or in a script of your own call it under `if __name__ == "__main__":`'
        raise UserError(f"worker processes do not start: {hint}") from error


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
