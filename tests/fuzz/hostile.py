"""What may stand in a file that nobody vouches for, and a process in which to open it."""

from __future__ import annotations

import json
import os
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jukebox_pl.errors import mistake_in

SECONDS, BYTES = 20, 2 * 10**9  # that opening anything may take
DEEP = 100_000


class Raw(str):
    """JSON as it is to stand in the file."""


# In the place of any value of a JSON file.
VALUES: dict[str, Any] = {
    "null": None,
    "a text": "a text",
    "no text": "",
    "a name": "jukebox_pl.models.prior.Prior",
    "a number": -1,
    "zero": 0,
    "half": 0.5,
    "large": 10**9,
    "huge": 2**63,
    "endless": Raw("9" * 5000),
    "infinite": Raw("Infinity"),
    "not a number": Raw("NaN"),
    "a switch": True,
    "a list": [],
    "lists": [[1], [2]],
    "a mapping": {},
    "mappings": {"a": {"_target_": "os.system"}},
    "deep": Raw("[" * DEEP + "]" * DEEP),
    "long": Raw('"' + "R" * 10**7 + '"'),
    "many": Raw("[" + "1," * 10**6 + "1]"),
    "half a letter": Raw(r'"\ud800"'),
    "line ends": "a\nb\x1b[2J",
}
# In the place of a whole file.
BYTES_OF: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "a byte": lambda data: data[:1],
    "half": lambda data: data[: len(data) // 2],
    "all but the last": lambda data: data[:-1],
    "and more": lambda data: data + b"x",
    "twice": lambda data: data + data,
    "zeros": lambda data: bytes(len(data)),
    "a flip at the start": lambda data: bytes([data[0] ^ 0x80]) + data[1:],
    "a flip in the middle": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
    "a flip at the end": lambda data: data[:-1] + bytes([data[-1] ^ 0x40]),
    "no UTF-8": lambda data: b"\xff\xfe" + data,
}


MARK = "here stands what is raw"


def put(record: Any, at: tuple[Any, ...], value: Any) -> str:
    """The JSON of a record with another value in one place; `...` takes it out."""
    text = json.loads(json.dumps(record))
    place = {"": text}
    inner: Any = place
    for key in ("", *at)[:-1]:
        inner = inner[key]
    last = ("", *at)[-1]
    if value is ...:
        del inner[last]
    else:
        inner[last] = MARK if isinstance(value, Raw) else value
    written = json.dumps(place.get(""))
    return written.replace(f'"{MARK}"', value) if isinstance(value, Raw) else written


def outcome(action: Callable[[], str], seconds: int = SECONDS, most: int = BYTES) -> tuple[str, str]:
    """What comes of an action; see `once`. What takes too long is tried again: a fork may meet a lock for good."""
    kind, text = once(action, seconds, most)
    return once(action, seconds, most) if kind == "killed" else (kind, text)


def answer(action: Callable[[], str], writer: int, seconds: int, most: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + most,) * 2)
    try:
        kind, text = "done", action()
    except BaseException as error:
        mistake = mistake_in(error)
        kind, text = ("raised", traceback.format_exc()[-3000:]) if mistake is None else ("told", mistake)
    with open(writer, "w") as pipe:
        json.dump([kind, text], pipe)


def once(action: Callable[[], str], seconds: int, most: int) -> tuple[str, str]:
    """What comes of an action in a process of its own: ("done", what it returns), ("told", one line), or what must not be:
    ("raised", a traceback), ("killed", a signal)."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            os.close(reader)
            answer(action, writer, seconds, most)
        finally:
            os._exit(0)  # whatever happens: else it would go on as a second pytest
    os.close(writer)
    with open(reader) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return tuple(json.loads(said)) if said else ("killed", f"signal {status & 127}")
