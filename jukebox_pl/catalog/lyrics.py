"""The lyrics of a song and the times of their words, from the files beside it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from jukebox_pl.catalog.sources import Source
from jukebox_pl.catalog.word_times.lrc import read_lrc
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

Parsed = TypeVar("Parsed")


def read_text(source: Source) -> tuple[str, tuple[Word, ...], tuple[str, ...]]:
    """Lyrics, times of their words, and a warning for each of the two that had to be left out.

    Lyrics in an LRC file bring the times of their words, where no other file has them.
    """
    lyrics = ""
    words: tuple[Word, ...] = ()
    warnings: list[str] = []
    is_lrc = Path(source.lyrics).suffix.lower() == ".lrc"
    try:
        lyrics = source.text
        if source.lyrics:
            lyrics = read_file(source, source.lyrics, (lambda text: read_lrc(text).lyrics) if is_lrc else str)
    except (UserError, OSError) as error:
        warnings.append(f"lyrics left out: {error}")
    try:
        if name := source.words or (source.lyrics if is_lrc else ""):
            words = read_words(source, name, lyrics)
    except (UserError, OSError) as error:
        warnings.append(f"word times left out: {error}")
    return lyrics, words, tuple(warnings)


def read_words(source: Source, name: str, lyrics: str) -> tuple[Word, ...]:
    """One Word per word of the lyrics, as split at white space, with the times of the file `name` in seconds."""
    parse = TIMES.get(Path(name).suffix.lower())
    if parse is None:
        raise UserError(f"{name} is none of {', '.join(TIMES)}")
    texts, times = lyrics.split(), read_file(source, name, parse)
    if len(texts) != len(times):
        raise UserError(f"{name} has times for {len(times)} words, the lyrics have {len(texts)}")
    if not all(0 <= start <= end < math.inf for start, end in times):  # false for NaN, too
        raise UserError(f"{name} has a word that does not end after it starts")
    return tuple(Word(text, start, end) for text, (start, end) in zip(texts, times, strict=True))


def read_file(source: Source, name: str, parse: Callable[[str], Parsed]) -> Parsed:
    """What `parse` makes of the text of a file of the catalog. Raises UserError, naming the file."""
    try:
        text = source.file(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8: save it as UTF-8") from error
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    try:
        return parse(text)
    except (csv.Error, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{name} cannot be read: {error if isinstance(error, UserError) else repr(error)}") from error


# Files of word times by their ending: their text to the (start, end) of each word in seconds.
TIMES: dict[str, Callable[[str], list[tuple[float, float]]]] = {
    ".csv": lambda text: [(float(row["word_start"]), float(row["word_end"])) for row in csv.DictReader(io.StringIO(text))],
    ".json": lambda text: [(float(start), float(end)) for _, start, end in json.loads(text)],
    ".lrc": lambda text: [(word.start, word.end) for word in read_lrc(text).words],
}
