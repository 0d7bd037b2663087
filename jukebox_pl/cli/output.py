"""What scripts ask of a command: `quiet=true`, only warnings and mistakes; `json=true`, the result as a line of JSON."""

from __future__ import annotations

import io
import json
import os
import select
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, NamedTuple, TextIO

from jukebox_pl.errors import UserError
from jukebox_pl.utils.files import without_nan

TOLD = ("warning: ", "error: ")  # what the lines begin with that quiet=true lets through
VALUES = {"true": True, "false": False}


class Output(NamedTuple):
    """How a command is to speak."""

    quiet: bool = False
    json: bool = False

    @contextmanager
    def directed(self) -> Iterator[None]:
        """With `json` nothing but the result goes to standard output, with `quiet` nothing but warnings anywhere."""
        if not any(self):
            yield
            return
        err: Any = OnlyTold(sys.stderr) if self.quiet else sys.stderr
        with redirect_stderr(err), redirect_stdout(io.StringIO() if self.quiet else err):
            yield

    def tell(self, command: str, result: Mapping[str, Any]) -> None:
        """The last line of standard output, where one is asked for."""
        if self.json:
            print(json.dumps(without_nan({"command": command, **result}), ensure_ascii=False, default=str), flush=True)


class OnlyTold(io.TextIOBase):
    """Lets whole lines through to `stream` that begin as warnings do."""

    def __init__(self, stream: TextIO):
        self.stream, self.begun = stream, ""

    def write(self, text: str) -> int:
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            if line.startswith(TOLD):
                self.stream.write(f"{line}\n")
        return len(text)


def output_of(words: Iterable[str]) -> tuple[Output, list[str]]:
    """How to speak, and the words that say something else. Raises UserError for a value that is neither true nor false."""
    asked, others = {}, []
    for word in words:
        name, _, value = word.partition("=")
        if name not in Output._fields:
            others.append(word)
        elif value.lower() in VALUES:
            asked[name] = VALUES[value.lower()]
        else:
            raise UserError(f"{word}: expected {name}=true or {name}=false")
    return Output(**asked), others


def reader_is_gone() -> bool:
    """Whether the broken pipe is that of what is printed, as `head` closes it; then nothing more is written to it."""
    gone = False
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a stream without a file
            poll = select.poll()
            poll.register(stream.fileno(), select.POLLOUT)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                gone = True
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # what waits would be tried again at the end
    return gone
