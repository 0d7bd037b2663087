"""Strict JSON, and records that are what their types say.

What a record holds is described where the record is declared, once: a dataclass, NamedTuple or TypedDict whose fields have
types and, beside them, limits (`Annotated[int, Meta(ge=1)]`). Here bytes become such records, or one line of UserError with
file, field, what was found and what fits.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from jukebox_pl.errors import UserError

SHOWN = 60  # characters of what was found
Record = TypeVar("Record")


def from_json(data: bytes | str, name: str) -> Any:
    """Plain objects of JSON in UTF-8. Raises UserError naming `name`; also for NaN and for a key that is there twice."""
    try:
        with _without_collections():
            text = data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")
            return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except (RecursionError, MemoryError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "too large for this machine's memory"
        raise UserError(f"{name} is not JSON ({reason}); delete it and write it again") from None
    except ValueError as error:
        raise UserError(f"{name} is not JSON ({error}); delete it and write it again") from None


def to_record(plain: Any, kind: type[Record], name: str) -> Record:
    """Plain objects as a record. Raises UserError naming `name` and the field whose type, limit or name does not fit."""
    try:
        with _without_collections():
            record = msgspec.convert(plain, kind, str_keys=True)
            kept = msgspec.to_builtins(record, str_keys=True)
        if unknown := None if plain == kept else _unknown(plain, kept, ""):
            raise UserError(f"{name} does not fit: {unknown} is unknown; a newer version may have written it")
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        found = _at(plain, place := place.strip("`$."))
        raise UserError(f"{name} does not fit{f' at {place}' if place else ''}: {reason.rstrip('.')}{found}") from None
    except (RecursionError, UnicodeEncodeError) as error:
        raise UserError(f"{name} does not fit: {error}") from None
    return record


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in names if names.count(key) > 1)!r} is there twice")
    return record


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _unknown(given: Any, kept: Any, place: str) -> str | None:
    """Where in `given` there is a key that its record has no field for."""
    if isinstance(given, dict) and isinstance(kept, dict):
        if extra := given.keys() - kept.keys():
            return f"{place}{min(extra)}"
        parts = ((f"{place}{key}.", value, kept[key]) for key, value in given.items())
    elif isinstance(given, list) and isinstance(kept, list | tuple):
        parts = ((f"{place.rstrip('.')}[{i}].", *pair) for i, pair in enumerate(zip(given, kept, strict=False)))
    else:
        return None
    return next(filter(None, (_unknown(value, other, there) for there, value, other in parts)), None)


def _at(plain: Any, place: str) -> str:
    """What stands at the place that a ValidationError names, in a few characters; nothing where it does not say enough."""
    for key, index, unnamed in re.findall(r"(\w+)|\[(\d+)\]|(\[\.\.\.\])", place):
        try:
            plain = plain[int(index)] if index else plain[key]
        except (LookupError, TypeError):
            return ""
        if unnamed:
            return ""
    if isinstance(plain, dict | list):
        return f", found {len(plain)} items"
    text = repr(plain[:SHOWN] if isinstance(plain, str) else plain)
    return f", found {text[:SHOWN]}{'...' if len(text) > SHOWN else ''}"


@contextmanager
def _without_collections() -> Iterator[None]:
    """Millions of new objects, none of them garbage: looking for it takes as long as making them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
