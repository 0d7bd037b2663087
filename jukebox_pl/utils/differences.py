"""What differs between a record and what is wanted now, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def differences(stored: Any, wanted: Any, name: str = "") -> Iterator[str]:
    """Leaves of two records that differ, as `name: stored -> wanted`. A tuple is the list that it becomes on disk."""
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*stored, *wanted}):
            yield from differences(stored.get(key), wanted.get(key), f"{name}.{key}" if name else str(key))
        return
    leaves = (list(leaf) if isinstance(leaf, Sequence) and not isinstance(leaf, str) else leaf for leaf in (stored, wanted))
    if next(leaves) != next(leaves):
        yield f"{name}: {stored} -> {wanted}"


def printable(text: str, width: int = 300) -> str:
    """One line of a text from a file, without what could move a terminal's cursor."""
    line = " ".join(text.split())
    line = line if len(line) <= width else f"{line[: width - 3]}..."
    return "".join(character if character.isprintable() else "?" for character in line)
