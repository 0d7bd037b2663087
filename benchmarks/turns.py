"""Programs that are timed beside each other in one process, each for some codes before it is the next one's turn."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

WARM, TURN = 2, 14  # codes of a turn, the first ones not timed: the others have emptied the processor's caches
Clock = tuple[float, float]  # processor and wall seconds


def now() -> Clock:
    return time.process_time(), time.perf_counter()


def since(start: Clock) -> Clock:
    end = now()
    return end[0] - start[0], end[1] - start[1]


def medians(times: list[Clock]) -> Clock:
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


class Contestant(threading.Thread):
    """Runs in a thread of its own and waits in `code_done` until it is its turn again."""

    def __init__(self, work: Callable[[], Any]):
        super().__init__(daemon=True)
        self.work, self.left, self.times = work, 1, []
        self.go, self.stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.error: BaseException | None = None

    def run(self) -> None:
        self.go.acquire()
        try:
            self.work()
        except BaseException as error:
            self.error, self.left = error, 0
        self.stopped.release()

    def finish(self) -> None:
        self.left = -1
        self.go.release()
        self.join()

    def code_done(self) -> None:
        self.times.append(since(self.started))
        self.left -= 1
        if self.left == 0:
            self.stopped.release()
            self.go.acquire()
        self.started = now()

    def turn(self, codes: int = WARM + TURN) -> Clock:
        """Seconds a code."""
        self.left, self.times, self.started = codes, [], now()
        self.go.release()
        self.stopped.acquire()
        if self.error:
            raise self.error
        return medians(self.times[WARM:] or self.times)


class Paced:
    """Stands in for the bar of the port's loops and waits for its turn after every code."""

    def __init__(self, iterable: Any = None, desc: str = "", **options: Any):
        self.iterable, self.prefill = iterable, desc.startswith("Preparing")

    def __iter__(self) -> Iterator[Any]:
        for item in self.iterable:
            yield item
            if not self.prefill and isinstance(threading.current_thread(), Contestant):
                threading.current_thread().code_done()

    def set_description(self, *args: Any, **options: Any) -> None:
        pass


@torch.inference_mode()
def read(work: Callable[[], Any]) -> Clock:
    start = now()
    work()
    return since(start)


def alternate(works: dict[str, Callable[[], Any]], turns: int) -> dict[str, list[Clock]]:
    times: dict[str, list[Clock]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            start = now()
            work()
            if turn:
                times[name].append(since(start))
    return times
