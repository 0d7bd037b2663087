"""The one meter of the library: how far a long piece of work is, how fast, and how long it will still take.

    with terminal_meter("codes") as meter:
        meter.update("level 2", done=128, total=4096, note="window at 64")

A meter shows nothing by itself; its face does: `Bars` in a terminal, `Lines` in a pipe or a log, any function of a `Status`
elsewhere (the app's page, a test).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO, Any, NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Column

SECONDS_BETWEEN_LINES = 5.0
SHORTEST = 1e-6  # seconds; a clock may stand still
# In columns: below the first there is no bar, a bar has the second, a task's name at most the third.
NARROW, BAR, TASK = 60, 16, 24


class Status(NamedTuple):
    """Where a task stands. `rate` in units a second; `seconds_left` is None until two updates tell the pace."""

    task: str
    done: int
    total: int
    unit: str
    rate: float = 0.0
    seconds_left: float | None = None
    note: str = ""

    @property
    def pace(self) -> str:
        """Rate and time to go, as far as they are known."""
        if self.done == self.total or self.seconds_left is None:
            return "done" if self.done == self.total else ""
        rate = f"{self.rate:.0f}" if self.rate >= 10 else f"{self.rate:.2g}"
        return f"{rate} {self.unit}/s, {clock(self.seconds_left)} left"


class Face(Protocol):
    """What shows a status. Called at every update; how often something is seen is up to the face."""

    def __call__(self, status: Status) -> None: ...


@dataclass
class Meter:
    """Keeps the pace of every task from its first update on; an interrupted task begins with what is done already."""

    face: Face | Callable[[Status], None]
    unit: str = "steps"
    _begun: dict[str, tuple[float, int]] = field(default_factory=dict, init=False)  # (when, how far) by task

    def update(self, task: str, done: int, total: int, note: str = "") -> Status:
        now = time.monotonic()
        begun, first = self._begun.setdefault(task, (now, done))
        rate = (done - first) / max(now - begun, SHORTEST)
        left = (total - done) / rate if rate > 0 else None
        status = Status(task, done, total, self.unit, rate, left, note)
        self.face(status)
        return status

    def __enter__(self) -> Meter:
        getattr(self.face, "__enter__", lambda: None)()
        return self

    def __exit__(self, *error: Any) -> None:
        getattr(self.face, "__exit__", lambda *_: None)(*error)


class Bars(Progress):
    """A bar a task, for people at a terminal; gone when the work is done. A line each: what has no room is cut off, the
    note first; in a narrow terminal there is no bar."""

    def __init__(self, console: Console | None = None):
        console = console or Console(stderr=True)
        name = Column(no_wrap=True, overflow="ellipsis", max_width=min(TASK, console.width // 3))
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # of the line
        task = TextColumn("{task.description}", markup=False, table_column=name)
        pace = TextColumn("{task.fields[pace]}", markup=False, table_column=rest)
        bar = [BarColumn(BAR)] if console.width >= NARROW else []
        count = MofNCompleteColumn(table_column=Column(no_wrap=True))
        super().__init__(task, *bar, count, pace, console=console, transient=True, expand=True)
        self._by_name: dict[str, TaskID] = {}

    def __call__(self, status: Status) -> None:
        if status.task not in self._by_name:
            self._by_name[status.task] = self.add_task(status.task, total=status.total, pace="")
        shown = " ".join(filter(None, (status.pace, status.note)))
        self.update(self._by_name[status.task], completed=status.done, total=status.total, pace=shown)


class Lines:
    """A line every few seconds, and one when a task that was worth a line is done. No colours, no carriage returns."""

    def __init__(self, stream: IO[str] | None = None, every_seconds: float = SECONDS_BETWEEN_LINES):
        self._stream, self.every_seconds = stream, every_seconds
        self._printed = time.monotonic()
        self._shown: set[str] = set()

    def __call__(self, status: Status) -> None:
        now = time.monotonic()
        is_last = status.done == status.total and status.task in self._shown
        if now - self._printed < self.every_seconds and not is_last:
            return
        self._printed = now
        self._shown.add(status.task)
        note = f" {status.note}" if status.note else ""
        pace = f", {status.pace}" if status.pace else ""
        stream = self._stream or sys.stderr
        print(f"{status.task}: {status.done}/{status.total} {status.unit}{note}{pace}", file=stream, flush=True)


def terminal_meter(unit: str, console: Console | None = None, every_seconds: float = SECONDS_BETWEEN_LINES) -> Meter:
    """Bars where one process writes to a terminal that can move its cursor, lines elsewhere; both on standard error unless
    `console` says where."""
    console = console or Console(stderr=True)
    is_alone = os.environ.get("WORLD_SIZE", "1") == "1"
    # Not is_terminal: FORCE_COLOR makes that true of a pipe, too.
    shows_bars = console.file.isatty() and not console.is_dumb_terminal and is_alone
    return Meter(Bars(console) if shows_bars else Lines(console.file, every_seconds), unit)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as 0:04:05."""
    return str(timedelta(seconds=round(seconds)))
