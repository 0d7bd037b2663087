"""Songs in the making: a fair line of jobs that one thread sings one after the other, whoever looks on or is gone."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Condition, Event, Thread

from jukebox_pl.errors import mistake_in
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sessions.jobs import GenerationJob
from jukebox_pl.utils.progress import Meter, Status

REMEMBERED = 50  # jobs that have ended, for their visitors to hear how
BROKEN = "Something broke that should not; the terminal says what."


class Stopped(Exception):
    """Ends a job from inside its meter."""


class State(StrEnum):
    WAITING, SINGING, FINISHED, STOPPED, FAILED = "waiting", "singing", "finished", "stopped", "failed"


@dataclass(eq=False)
class Job:
    """Songs of one visitor that are sampled side by side. `mistake` says why it failed, `then` is called when they
    are finished.

    `levels` holds where each level stands, by the name of its task: level 2.
    """

    owner: str
    work: GenerationJob
    state: State = State.WAITING
    mistake: str = ""
    then: Callable[[], object] = lambda: None
    levels: dict[str, Status] = field(init=False)
    _stopped: Event = field(default_factory=Event, init=False)

    def __post_init__(self) -> None:
        self.levels = {}
        node = next(iter(self.work.nodes.values()))
        for level in reversed(node.levels):
            rows = [codes[level] for codes in self.work.codes.values() if level in codes]
            done = sum(int((codes != MISSING).sum()) for codes in rows) // len(self.work.nodes)
            self.levels[f"level {level}"] = Status(f"level {level}", done, node.lengths[level], "codes")

    @property
    def names(self) -> list[str]:
        return list(self.work.nodes)

    def stop(self) -> None:
        """Ends the sampling at its next code, or before its first; begun again, it goes on after its last window."""
        self._stopped.set()

    def run(self) -> State:
        """Samples the songs; returns how that ended."""
        try:
            self.work.run(Meter(self._show, "codes"))
            self.then()
            return State.FINISHED
        except Stopped:
            return State.STOPPED
        except Exception as error:
            self.mistake = mistake_in(error) or BROKEN
            if self.mistake is BROKEN:
                traceback.print_exc(file=sys.stderr)
            return State.FAILED

    def _show(self, status: Status) -> None:
        """The face of the meter."""
        if self._stopped.is_set():
            raise Stopped
        self.levels[status.task] = status


class Line:
    """The jobs that are sung and wait. Whoever waits longest is next, but every visitor has a turn before one has two."""

    def __init__(self) -> None:
        self.ended: deque[Job] = deque(maxlen=REMEMBERED)
        self._singing: Job | None = None
        self._waiting: list[Job] = []
        self._rates: dict[str, float] = {}  # codes a second, by the name of the task
        self._changed, self._closed = Condition(), False
        self._thread = Thread(target=self._work, name="singer", daemon=True)
        self._thread.start()

    def add(self, job: Job) -> None:
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()

    def jobs(self) -> list[Job]:
        """In the order in which they are sung, the one that is being sung first."""
        with self._changed:
            return [*([self._singing] if self._singing else []), *self._order()]

    def job(self, name: str) -> Job | None:
        """The job that makes the song of that name."""
        return next((job for job in self.jobs() if name in job.names), None)

    def stop(self, job: Job) -> None:
        with self._changed:
            job.stop()
            if job in self._waiting:
                self._waiting.remove(job)
                self._end(job, State.STOPPED)

    def seconds_left(self, job: Job) -> float | None:
        """How long the job itself still takes, None where nothing like it has been sung yet."""
        total = 0.0
        for status in list(job.levels.values()):
            rate = status.rate or self._rates.get(status.task, 0.0)
            if status.done < status.total and not rate:
                return None
            total += (status.total - status.done) / rate if status.done < status.total else 0.0
        return total

    def seconds_until_done(self, job: Job) -> float | None:
        """The same with all that is sung before it."""
        total = 0.0
        for other in self.jobs():
            left = self.seconds_left(other)
            if left is None:
                return None
            total += left
            if other is job:
                break
        return total

    def wait(self, job: Job, timeout_seconds: float | None = None) -> State:
        """Until a job has ended, or for so long."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._changed:
            while job.state in (State.WAITING, State.SINGING):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
        return job.state

    def close(self) -> None:
        """Stops whatever is being sung; what waits is left as it is on disk."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            if self._singing:
                self._singing.stop()
            self._changed.notify_all()
        self._thread.join()

    def _order(self) -> list[Job]:
        turns = Counter([self._singing.owner] if self._singing else [])
        placed = []
        for number, job in enumerate(self._waiting):
            placed.append((turns[job.owner], number, job))
            turns[job.owner] += 1
        return [job for *_, job in sorted(placed, key=lambda place: place[:2])]

    def _end(self, job: Job, state: State) -> None:
        job.state = state
        self.ended.append(job)
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._singing = self._order()[0]
                self._waiting.remove(job)
                job.state = State.SINGING
            state = job.run()
            with self._changed:
                self._rates |= {task: status.rate for task, status in job.levels.items() if status.rate}
                self._singing = None
                self._end(job, state)
