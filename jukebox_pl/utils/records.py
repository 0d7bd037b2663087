"""Strict JSON, and records that are what their types say.

What a record holds is described where the record is declared, once: a dataclass, NamedTuple or TypedDict whose fields have
types and, beside them, limits (`Annotated[int, Meta(ge=1)]`). Here bytes become such records, or one line of UserError with
file, field, what was found and what fits.
"""

from __future__ import annotations

import functools
import gc
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from jukebox_pl.errors import UserError

MOST_CHARACTERS = 2**20  # of JSON in which a key that is there twice is looked for
SHOWN = 60  # characters of what was found
Record = TypeVar("Record")
Find = Callable[[Any], str | None]


def from_json(data: bytes | str, name: str) -> Any:
    """Plain objects of JSON in UTF-8. Raises UserError naming `name`; also for NaN, and for a key that is there twice."""
    try:
        with without_collections():
            text = data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")
            # Of a large file, which is a catalog, it would take as long again; whose songs are counted instead.
            hook = _object if len(text) <= MOST_CHARACTERS else None
            return json.loads(text, object_pairs_hook=hook, parse_constant=_no_number)
    except (RecursionError, MemoryError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "too large for this machine's memory"
        raise UserError(f"{name} is not JSON ({reason}); delete it and write it again") from None
    except ValueError as error:
        raise UserError(f"{name} is not JSON ({error}); delete it and write it again") from None


def to_record(plain: Any, kind: type[Record], name: str) -> Record:
    """Plain objects as a record. Raises UserError naming `name` and the field whose type, limit or name does not fit."""
    try:
        with without_collections():
            record = msgspec.convert(plain, kind, str_keys=True)
            find_unknown = _unknown_in(kind)  # type: ignore[arg-type]
        if find_unknown and (unknown := find_unknown(plain)):
            raise UserError(f"{name} does not fit: {unknown.lstrip('.')} is unknown; a newer version may have written it")
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


@functools.cache
def _unknown_in(kind: Any) -> Find | None:
    """Finds the place of a key that a record of this kind has no field for: msgspec passes over it where it is no Struct."""
    return _unknown_of(inspect.type_info(kind), {})


def _unknown_of(info: inspect.Type, known: dict[Any, Find]) -> Find | None:
    """None where there can be no such key. `known`: for the classes met so far, which may hold themselves."""
    if isinstance(info, inspect.StructType | inspect.DataclassType | inspect.TypedDictType):
        if info.cls not in known:
            fields, nested = {field.encode_name for field in info.fields}, dict[str, Find]()
            known[info.cls] = functools.partial(_unknown_key, fields, nested)
            found = ((field.encode_name, _unknown_of(field.type, known)) for field in info.fields)
            nested.update({name: find for name, find in found if find})
        return known[info.cls]
    if isinstance(info, inspect.DictType):
        find, search = _unknown_of(info.value_type, known), _unknown_value
    elif isinstance(info, inspect.ListType | inspect.VarTupleType):
        find, search = _unknown_of(info.item_type, known), _unknown_item
    elif isinstance(info, inspect.UnionType):
        return next(filter(None, (_unknown_of(each, known) for each in info.types)), None)
    else:
        return None
    return functools.partial(search, find) if find else None


def _unknown_key(fields: set[str], nested: dict[str, Find], plain: Any) -> str | None:
    if not isinstance(plain, dict):  # another of several kinds
        return None
    if not plain.keys() <= fields:
        return f".{min(plain.keys() - fields)}"
    for name, find in nested.items():
        if name in plain and (place := find(plain[name])):
            return f".{name}{place}"
    return None


def _unknown_value(find: Find, plain: Any) -> str | None:
    for key, value in plain.items() if isinstance(plain, dict) else ():
        if place := find(value):
            return f".{key}{place}"
    return None


def _unknown_item(find: Find, plain: Any) -> str | None:
    for index, item in enumerate(plain if isinstance(plain, list | tuple) else ()):
        if place := find(item):
            return f"[{index}]{place}"
    return None


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
def without_collections() -> Iterator[None]:
    """Millions of new objects, none of them garbage: looking for it takes as long as making them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
