"""Words as records: the JSON of whisper, WhisperX, whisper.cpp, Gentle, MFA; CSV tables of aligners; labels of Audacity."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jukebox_pl.catalog.word_times.timed import Line, TimedLyrics, spread
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

# What a word, its start and its end are called; the unit is seconds but for names that end in _ms.
WORD = ("word", "text", "label", "token", "lyric", "lyrics", "mark", "punctuated_word", "content", "name")
START = ("word_start", "start", "start_time", "starttime", "begin", "onset", "xmin", "tmin", "from", "start_ms", "begin_ms")
END = ("word_end", "end", "end_time", "endtime", "offset", "xmax", "tmax", "to", "end_ms", "stop")
SILENCE = ("", "sil", "sp", "spn", "<eps>", "<sil>", "[silence]")


def read_json(text: str) -> TimedLyrics:
    """A list of [word, start, end] or of records, or what the programs above write. Raises UserError on anything else."""
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"is not JSON: {error}") from error
    lines = [(words, spoken) for words, spoken in lines_of(record) if words or spoken]
    if not any(words for words, _ in lines):
        found = ", ".join(map(str, list(record)[:6])) if isinstance(record, dict) else type(record).__name__
        raise UserError(f"no words with times: expected [[word, start, end], ...], or segments or words; found {found}")
    return TimedLyrics("\n".join(spoken for _, spoken in lines), tuple(word for words, _ in lines for word in words))


def lines_of(record: Any) -> Iterator[tuple[list[Word], str]]:
    """Line by line the words with times, and the text."""
    if isinstance(record, list):
        nested = [each for each in record if isinstance(each, dict) and isinstance(each.get("words"), list)]
        if nested or any(" " in str(text_of(each)).strip() for each in record if isinstance(each, dict)):
            for each in record:
                yield from segment(each)
        else:
            yield one_line(record)
    elif isinstance(record, dict):
        tiers = record.get("tiers")
        if isinstance(tiers, dict):  # MFA: [start, end, label]
            name = next((name for name in tiers if "word" in name.lower()), next(iter(tiers), ""))
            entries = tiers[name].get("entries", []) if isinstance(tiers.get(name), dict) else []
            yield one_line([[label, start, end] for start, end, label in entries if str(label).strip() not in SILENCE])
            return
        for key in ("segments", "transcription", "chunks", "words", "word_segments", "fragments", "results"):
            if isinstance(record.get(key), list) and record[key]:
                yield from lines_of(record[key])
                return


def segment(record: Any) -> Iterator[tuple[list[Word], str]]:
    """A line with its words; one without them is spread over its time."""
    if isinstance(record, dict) and record.get("words"):
        words, spoken = one_line(record["words"])
        yield words, spoken
    elif word := to_word(record):
        line = Line(word.start, word.text, {len(word.text): word.end})
        yield list(spread([line]).words), word.text


def one_line(records: Sequence[Any]) -> tuple[list[Word], str]:
    words = [to_word(record) for record in records]
    return [word for word in words if word], " ".join(filter(None, (text_of(record) for record in records)))


def text_of(record: Any) -> str:
    if isinstance(record, dict):
        return str(pick(record, WORD) or "").strip()
    return str(record[0]).strip() if isinstance(record, list) and record else ""


def to_word(record: Any) -> Word | None:
    """None where it has no times. Raises UserError where they are no numbers."""
    scale = 1.0
    if isinstance(record, dict):
        if isinstance(offsets := record.get("offsets"), dict):  # whisper.cpp
            start, end, scale = offsets.get("from"), offsets.get("to"), 1e-3
        elif isinstance(stamp := record.get("timestamp"), list) and len(stamp) == 2:  # pipelines of transformers
            start, end = stamp
        else:
            start, end = pick(record, START), pick(record, END)
            scale = 1e-3 if "start_ms" in record or "begin_ms" in record else 1.0
    elif isinstance(record, list) and len(record) == 3:
        _, start, end = record
    else:
        raise UserError(f"expected [word, start, end], found {json.dumps(record, ensure_ascii=False)[:40]}")
    if start is None or end is None or "" in (start, end):
        return None
    try:
        return Word(text_of(record), scale * float(start), scale * float(end))
    except (TypeError, ValueError):
        raise UserError(f"expected times in seconds, found {str(start)[:20]} and {str(end)[:20]}") from None


def pick(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def read_csv(text: str) -> TimedLyrics:
    """A table of words with a header, or rows of start, end, word (Audacity) or word, start, end without one.

    Raises UserError when it has no such columns.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\\")]  # \: Audacity's frequencies
    separator = max("\t;,|", key=(lines or [""])[0].count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=separator)]
    if not rows:
        raise UserError("is empty")
    header = [re.sub(r"\W+", "_", cell.lower()).strip("_") for cell in rows[0]]
    if not any(name in START for name in header):
        header = headless(rows[0])
    else:
        rows = rows[1:]
    columns = [next((header.index(name) for name in names if name in header), -1) for names in (WORD, START, END)]
    if -1 in columns[1:]:
        raise UserError(f"no columns word_start and word_end (or start and end), found {', '.join(rows[0])[:80] or 'none'}")
    scale = 1e-3 if header[columns[1]].endswith("_ms") else 1.0
    kind = header.index("type") if "type" in header else -1  # MFA lists phones, too
    words = []
    for number, row in enumerate(rows, start=1):
        row += [""] * (len(header) - len(row))
        word, start, end = (row[at] if at >= 0 else "" for at in columns)
        if (kind < 0 or row[kind] in ("words", "word")) and (columns[0] < 0 or word not in SILENCE):
            words.append(Word(word, scale * to_number(start, number), scale * to_number(end, number)))
    return TimedLyrics(" ".join(word.text for word in words).strip(), tuple(words))


def headless(row: Sequence[str]) -> list[str]:
    """The columns of a table without a header, by its first row."""
    numbers = [bool(re.fullmatch(r"-?\d+(?:[.,]\d+)?", cell)) for cell in row]
    if numbers[:2] == [True, True]:
        return ["start", "end", "word"][: len(row)]
    return ["word", "start", "end"] if numbers[1:3] == [True, True] else list(row)


def to_number(cell: str, row: int) -> float:
    try:
        return float(cell.replace(",", ".")) if cell else math.nan
    except ValueError:
        raise UserError(f"row {row}: expected a time in seconds, found {cell[:20]!r}") from None
