"""What differs between a record and what is asked now, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def differences(stored: Any, asked: Any, name: str = "") -> Iterator[str]:
    """Leaves of two records that differ, as `name: stored -> asked`."""
    if isinstance(stored, Mapping) and isinstance(asked, Mapping):
        for key in sorted({*stored, *asked}):
            yield from differences(stored.get(key), asked.get(key), f"{name}.{key}" if name else str(key))
    elif not same(stored, asked):
        yield f"{name}: {stored} -> {asked}"


def same(stored: Any, asked: Any) -> bool:
    if isinstance(stored, Sequence) and isinstance(asked, Sequence) and not isinstance(stored, str):
        return list(stored) == list(asked)
    return stored == asked
