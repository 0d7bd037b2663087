"""A command that is told to stop: it ends at once, or, while a network is trained, after the step that is running."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

# From a terminal; from schedulers; from schedulers ahead of time; when a budget of time is used up (our own, or a queue's).
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
ENDS_BY_DEFAULT = (signal.SIG_DFL, signal.default_int_handler)
CTRL_C = "Ctrl-C"
SECONDS_OF_ONE_PRESS = 0.5  # launchers pass a Ctrl-C on to processes that have heard it already


class Request(NamedTuple):
    """By what a command was told to stop, the exit code that says so, and the signal that it was."""

    by: str
    code: int
    signum: int


class Stopped(SystemExit):
    """Ends a command that was told to stop. `where` says how far it is, and what of it is saved."""

    def __init__(self, request: Request, where: str = ""):
        super().__init__(request.code)
        self.request, self.where = request, where

    def __str__(self) -> str:
        return f"stopped by {self.request.by}{self.where}; the same command goes on from here"


class Stopping:
    """What this process was told. Signals belong to a process, so there is one of these: `STOP`."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self.after_step, self.quiet, self.requested_at, self.process = False, False, 0.0, os.getpid()
        self.max_minutes: float | None = None
        self.heard: list[int] = []

    @contextmanager
    def listening(self, max_minutes: float | None = None, quiet: bool = False) -> Iterator[None]:
        """Hears signals that would end the process, and the end of `max_minutes`; in the main thread alone. `quiet`: this
        is one of several processes, of which another speaks for all: it says nothing, and ends with exit code 0.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.request, self.after_step, self.quiet = None, False, quiet
        self.process, self.max_minutes = os.getpid(), max_minutes
        before: Any = {signum: signal.getsignal(signum) for signum in SIGNALS}
        self.heard = [signum for signum, handler in before.items() if handler in ENDS_BY_DEFAULT]
        self.take_signals()
        main = threading.main_thread().ident
        budget = threading.Timer(60 * (max_minutes or 0), lambda: signal.pthread_kill(main, signal.SIGXCPU))  # type: ignore[arg-type]
        budget.daemon = True
        if max_minutes:
            budget.start()
        try:
            yield
        except Stopped as stopped:
            if quiet:
                raise SystemExit(0) from None  # a launcher would take another code for a failure, and kill the first
            self.say(str(stopped))
            raise
        finally:
            budget.cancel()
            for signum in self.heard:
                signal.signal(signum, before[signum])

    def take_signals(self) -> None:
        """Once more where a library has put its own handlers in place of these, until that library puts them back."""
        for signum in self.heard:
            signal.signal(signum, self.hear)

    @contextmanager
    def after_steps(self) -> Iterator[None]:
        """Whoever runs in here looks at `request` between two steps. Raises Stopped where nobody has come to it."""
        self.after_step = True
        try:
            yield
        finally:
            self.after_step = False
        self.raise_if_requested()

    def raise_if_requested(self) -> None:
        if self.request:
            raise Stopped(self.request)

    def hear(self, signum: int, _: Any) -> None:
        if os.getpid() != self.process:  # a child, forked with this handler in it
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        now = time.monotonic()
        if self.request is None:
            self.request, self.requested_at = self.request_of(signum), now
            if not self.after_step:
                raise Stopped(self.request)
            self.say(f"{self.request.by}: stops after this step and saves it; {CTRL_C} (again) stops at once")
        elif signum == signal.SIGINT and now - self.requested_at > SECONDS_OF_ONE_PRESS:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # another one ends the process whatever it is in
            raise KeyboardInterrupt

    def request_of(self, signum: int) -> Request:
        """Conventional exit codes, so that `fit && sample` ends here and schedulers see why; a budget is no failure."""
        if signum == signal.SIGXCPU and self.max_minutes:
            return Request(f"max_minutes={self.max_minutes:g}", 0, signum)
        name = CTRL_C if signum == signal.SIGINT else signal.Signals(signum).name
        return Request(name, 128 + signum, signum)

    def say(self, line: str) -> None:
        if not self.quiet:
            sys.stderr.flush()
            os.write(2, f"{line}\n".encode())  # a handler may interrupt a print, which must not be entered twice


STOP = Stopping()
