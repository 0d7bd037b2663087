"""CSV, TSV, JSONL and JSON tables of songs, row by row: a table may list millions."""

from __future__ import annotations

import codecs
import csv
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from jukebox_pl.errors import UserError
from jukebox_pl.text.files import MARKS, decode

# What is read of a table, and how others name it, in any case; the first of these that a table has counts.
COLUMNS = {
    "path": ("path", "file_name", "filename", "file", "filepath", "file_path", "audio", "audio_path", "audio_file",
             "audio_filepath", "audio_filename", "wav"),
    "title": ("title", "track_title", "track_name", "song_title", "song_name", "track", "song", "name"),
    "artist": ("artist", "artists", "artist_name", "performer", "singer"),
    "genre": ("genre", "genres"),
    "lyrics": ("lyrics", "lyric", "lyrics_path", "lyrics_file", "text", "transcription", "transcript"),
    "words": ("words", "word_times", "words_path", "alignment"),
    "language": ("language", "lang"),
    "license": ("license", "licence"),
    "source": ("source", "url"),
}  # fmt: skip
REPEATED = ("artist", "genre", "language", "license", "source")
DELIMITERS = "\t;|,"  # where a header has but one column, file names may hold commas
PIECE_BYTES = 1 << 20
SAMPLE_BYTES = 100_000  # of lines that are not ASCII, to tell an encoding by

Row = dict[str, str]


def table_rows(table: Path, notes: list[str]) -> Iterator[Row]:
    """The rows of a table, a text for each of COLUMNS; what is to be said of the whole table goes to `notes`.

    Raises UserError when the table is malformed, empty, or has no column `path`.
    """
    count = 0
    try:
        encoding = encoding_of(table)
        if not encoding.startswith("utf"):
            notes.append(f"{table.name} is not UTF-8: read as {encoding}; save it as UTF-8 if its names are wrong")
        with open(table, encoding=encoding, newline="") as file:
            first = next(file, "").removeprefix("\ufeff")
            for row in TABLES[table.suffix.lower()](table, chain([first], file), notes):
                count += 1
                shared = {
                    column: sys.intern(unlist(row.get(column, ""))) for column in REPEATED
                }  # in memory once for all songs
                yield {column: row.get(column, "") for column in COLUMNS} | shared
    except UserError:
        raise
    except (csv.Error, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{table} cannot be read: {error}") from error
    if not count:
        raise UserError(f"{table} lists no songs: add one row per song, its file in the column path")


def encoding_of(table: Path) -> str:
    """By its byte order mark; without one UTF-8, or what the lines that are not ASCII are likeliest to be."""
    with open(table, "rb") as file:
        start = file.read(PIECE_BYTES)
        if b"\0" in start or any(map(start.startswith, MARKS)):
            return decode(start[: len(start) // 4 * 4])[1]  # whole letters, also of UTF-32
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while piece := file.read(PIECE_BYTES):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
            return "utf-8"
        except UnicodeDecodeError:
            file.seek(0)
            strange = b""
            for line in file:
                if not line.isascii() and len(strange) < SAMPLE_BYTES:
                    strange += line
            return decode(strange)[1]


@lru_cache
def choose_columns(found: tuple[str, ...]) -> Row:
    """Those of a table that are read, by their names here."""
    named = {re.sub(r"[\s_-]+", "_", column.strip().casefold()): column for column in reversed(found)}
    chosen = ((ours, next((named[name] for name in names if name in named), None)) for ours, names in COLUMNS.items())
    return {ours: column for ours, column in chosen if column is not None}


def check_columns(table: Path, columns: list[str], notes: list[str]) -> None:
    """Raises UserError where a column is missing or misspelt; those that are not read are noted, once for the table."""
    chosen = choose_columns(tuple(columns))
    if "path" not in chosen:
        shown = ", ".join(columns) or "none"
        raise UserError(f"{table} has no column path, found: {shown[:200]}; name its columns in its first row")
    unread = [column for column in columns if column.strip() and column not in chosen.values()]
    for column in unread:
        if meant := difflib.get_close_matches(column.strip().lower(), COLUMNS.keys() - chosen.keys(), n=1, cutoff=0.8):
            raise UserError(f"{table} has a column {column!r}, did you mean {meant[0]!r}? Rename or remove it")
    if unread:
        notes.append(f"{table.name} has columns that are not read: {', '.join(unread)}")


def rows_of_csv(table: Path, lines: Iterable[str], notes: list[str]) -> Iterator[Row]:
    """What stands between two cells is what divides the header into most of the columns that are read."""
    lines = iter(lines)
    header = next(lines)
    if re.fullmatch(r"sep=.\s*", header):  # so begins what Excel saves
        header = next(lines, "")
    cut = max(DELIMITERS, key=lambda mark: len(choose_columns(tuple(next(csv.reader([header], delimiter=mark), ())))))
    reader = csv.DictReader(chain([header], lines), delimiter=cut, strict=True)
    try:
        check_columns(table, list(reader.fieldnames or ()), notes)
        chosen = choose_columns(tuple(reader.fieldnames or ()))
        too_long = []
        for row in reader:
            if any(row.pop(None, ())):
                too_long.append(reader.reader.line_num)
            yield {ours: (row[column] or "").strip() for ours, column in chosen.items()}
    except csv.Error as error:
        raise ValueError(f"line {reader.reader.line_num}: {error}") from error
    if too_long:
        where = f"lines with more cells than columns ({len(too_long)}, the first is line {too_long[0]})"
        notes.append(f"{table.name} has {where}: put cells that hold {cut!r} in quotes")


def rows_of_jsonl(table: Path, lines: Iterable[str], notes: list[str]) -> Iterator[Row]:
    def records() -> Iterator[Any]:
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    yield json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}: {error.msg}") from error

    return rows_of_records(table, records(), notes)


def rows_of_json(table: Path, lines: Iterable[str], notes: list[str]) -> Iterator[Row]:
    """One list, which is held in memory: JSONL is for long ones."""
    records = json.loads("".join(lines) or "[]")
    if not isinstance(records, list):
        raise ValueError('expected a list like [{"path": ...}, ...]')
    return rows_of_records(table, records, notes)


def rows_of_records(table: Path, records: Iterable[Any], notes: list[str]) -> Iterator[Row]:
    """Its columns are known at its end; nothing has been done with its rows by then but to look for their files."""
    columns: dict[str, None] = {}
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise ValueError(f'song {number}: expected an object like {{"path": ...}}, found {json.dumps(record)[:40]}')
        columns |= dict.fromkeys(record)
        yield {ours: to_cell(record[column]) for ours, column in choose_columns(tuple(record)).items()}
    check_columns(table, list(columns), notes)


def to_cell(value: Any) -> str:
    """What a CSV would hold: a list, as of genres, is one cell, and of a sound it is the path."""
    if isinstance(value, dict):
        value = value.get("path")
    return ";".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value).strip()


def unlist(cell: str) -> str:
    """`["Rock", "Pop"]`, as programs write lists, is `Rock;Pop`."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return cell
    return ";".join(name.strip(" '\"") for name in cell[1:-1].split(","))


TABLES: dict[str, Callable[[Path, Iterable[str], list[str]], Iterator[Row]]] = {
    ".csv": rows_of_csv,
    ".tsv": rows_of_csv,
    ".jsonl": rows_of_jsonl,
    ".json": rows_of_json,
}
