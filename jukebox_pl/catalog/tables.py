"""CSV and JSONL tables of songs, row by row: a table may list millions."""

from __future__ import annotations

import csv
import difflib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from jukebox_pl.errors import UserError

REPEATED = ("artist", "genre", "language", "license", "source")
COLUMNS = ("path", "title", "artist", "genre", "lyrics", "words", "language", "license", "source")

Row = dict[str, str]


def table_rows(table: Path) -> Iterator[Row]:
    """The rows of a table, as many values as there are COLUMNS.

    Raises UserError when the table is not UTF-8, malformed, empty, or has no column `path`.
    """
    count = 0
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            for row in TABLES[table.suffix.lower()](table, file):
                count += 1
                shared = {column: sys.intern(row.get(column, "")) for column in REPEATED}  # in memory once for all songs
                yield {column: row.get(column, "") for column in COLUMNS} | shared
    except UnicodeDecodeError as error:
        raise UserError(f"{table} is not UTF-8 ({error.reason}, after song {count}): save it as UTF-8") from error
    except UserError:
        raise
    except (csv.Error, ValueError, AttributeError) as error:
        raise UserError(f"{table} cannot be read: {error}") from error
    if not count:
        raise UserError(f"{table} lists no songs: add one row per song, its file in the column path")


def _rows_of_csv(table: Path, file: TextIO) -> Iterator[Row]:
    reader = csv.DictReader(file, strict=True)
    columns = [name.strip() for name in reader.fieldnames or []]
    _require_columns(table, columns)
    reader.fieldnames = columns
    return ({column: (row[column] or "").strip() for column in columns} for row in reader)


def _rows_of_jsonl(table: Path, file: TextIO) -> Iterator[Row]:
    """Its columns are known at its end; nothing has been done with its rows by then but to look for their files."""
    columns: dict[str, None] = {}
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg}") from error
        if not isinstance(record, dict):
            raise ValueError(f'line {number}: expected an object like {{"path": ...}}, found {line[:40]}')
        columns |= dict.fromkeys(record)
        yield {  # what a CSV would hold: a list, as of genres, is one cell
            name: ";".join(map(str, cell)) if isinstance(cell, list) else "" if cell is None else str(cell).strip()
            for name, cell in record.items()
        }
    _require_columns(table, list(columns))


def _require_columns(table: Path, columns: list[str]) -> None:
    if "path" not in columns:
        raise UserError(f"{table} has no column path, found: {', '.join(columns) or 'none'}")
    for column in set(columns) - set(COLUMNS):
        meant = difflib.get_close_matches(column.lower(), set(COLUMNS) - set(columns), n=1, cutoff=0.8)
        if meant:
            raise UserError(f"{table} has a column {column!r}, did you mean {meant[0]!r}? Rename or remove it")


TABLES: dict[str, Callable[[Path, TextIO], Iterator[Row]]] = {".csv": _rows_of_csv, ".jsonl": _rows_of_jsonl}
