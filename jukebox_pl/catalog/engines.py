"""Where songs are prepared: in this process, in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from jukebox_pl.catalog.pool import STDERR, run_in_processes
from jukebox_pl.errors import UserError

Job = TypeVar("Job")
STEP_SECONDS = 600.0
GRACE_SECONDS = 2.0  # in which a job may end by itself, with all that it has started


class Engine(Protocol):
    def run_all(self, function: Callable[[Job], None], jobs: Iterable[Job]) -> Iterator[tuple[Job, bool]]:
        """Calls `function(job)` for every job and yields (job, survived) as they end, in any order.

        A job whose process dies is tried again; it has not survived when it dies again or takes too long. What
        `function` raises is raised here.
        """
        ...


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
                require_reachable(self.address)
                ray.init(self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"no Ray cluster at engine.address={self.address} ({reason}): start one, or use local"
            ) from error
        return ray


def require_reachable(address: str) -> None:
    """Raises OSError where nobody listens at HOST:PORT: Ray itself would try for a quarter of an hour."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=10).close()


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
