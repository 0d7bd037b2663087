"""Ways in which a file goes wrong: JSON with something else in one place, and bytes that were cut, flipped or overwritten.

Hypothesis chooses; `EXAMPLES` of each kind, the same ones every time. JUKEBOX_FUZZ=10 tries ten times as many, other ones.
"""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from jukebox_pl.errors import UserError

TIMES = int(os.environ.get("JUKEBOX_FUZZ", "1"))
RAW = "@raw@"  # stands where what follows it is to be written as it is
HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**70, 0.5, -0.5, 1e308),
    *("", "x", "../x", "/etc/passwd", "\ud800", "\0", "a\nb", "9" * 30, "a" * 100_001),
    *([], {}, [[]], [None], [0, 0], {"": None}, {"a": {"b": [1]}}),
    *(RAW + text for text in ("NaN", "-Infinity", "1e999", "-0", "1" * 5000, "[" * 5000, '{"a":' * 5000, "", "'", "tru")),
    *(RAW + text for text in ('{"a": 1, "a": 2}', '"\\u0000"', '"\x01"', "[" * 900 + "]" * 900)),
]


def examples(count: int) -> settings:
    """How many cases a fuzzer tries, and that they may take their time."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(
        max_examples=count * TIMES, derandomize=TIMES == 1, deadline=20_000, database=None, suppress_health_check=slow
    )


def places(plain: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in plain objects, the whole of them first."""
    keys = plain.keys() if isinstance(plain, dict) else range(len(plain)) if isinstance(plain, list) else ()
    return [path, *(place for key in keys for place in places(plain[key], (*path, key)))]


@st.composite
def damaged_json(draw: st.DrawFn, data: bytes) -> bytes:
    """The JSON with another value in one place, or without it, or with a key more, or there twice."""
    plain = json.loads(data)
    *path, last = draw(st.sampled_from(places(plain)[1:]))
    parent = plain
    for key in path:
        parent = parent[key]
    change = draw(st.sampled_from(["other", "other", "other", "gone", "more", "twice"]))
    value = draw(st.sampled_from(HOSTILE))
    if change == "other":
        parent[last] = value
    elif change == "gone":
        del parent[last]
    elif isinstance(parent, list):
        parent.append(value if change == "more" else parent[last])
    else:
        parent["new" if change == "more" else f"{RAW}{last}"] = value
    text = json.dumps(plain)
    if change == "twice":
        text = text.replace(f'"{RAW}{last}"', json.dumps(last))
    if isinstance(value, str) and value.startswith(RAW):
        text = text.replace(json.dumps(value), value.removeprefix(RAW))
    return text.encode()


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes cut, with one flipped, with some overwritten by zeros or repeated, or others in their place."""
    at = draw(st.integers(0, max(len(data) - 1, 0)))
    length = draw(st.sampled_from([1, 4, 16, 512, 5000]))
    change = draw(st.sampled_from(["cut", "flip", "flip", "zeros", "twice", "left out", "other", "more"]))
    damaged = {
        "cut": data[:at],
        "flip": data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :],
        "zeros": data[:at] + bytes(len(data[at : at + length])) + data[at + length :],
        "twice": data[:at] + data[at : at + length] + data[at:],
        "left out": data[:at] + data[at + length :],
        "other": draw(st.sampled_from([b"", b"\0", bytes(4096), b"PK\3\4", b"fLaC", b"[]", b"\xff\xfe\0\0", b"null"])),
        "more": data + draw(st.sampled_from([b"\0", bytes(512), b"x", data])),
    }
    return damaged[change]


def outcome(read: Any, *arguments: Any) -> Any:
    """What `read` gives, or None where it told the user in one line."""
    try:
        return read(*arguments)
    except UserError as error:
        if str(error).splitlines() != [str(error)]:
            raise AssertionError("a user's mistake is one line") from error
        return None
