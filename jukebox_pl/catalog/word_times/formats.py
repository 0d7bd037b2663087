"""Every kind of file that lyrics or their times come in, by its ending or by how it begins."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jukebox_pl.catalog.word_times.lrc import read_lrc
from jukebox_pl.catalog.word_times.records import read_csv, read_json
from jukebox_pl.catalog.word_times.subtitles import read_subtitles
from jukebox_pl.catalog.word_times.tiers import read_elan, read_textgrid
from jukebox_pl.catalog.word_times.timed import TimedLyrics
from jukebox_pl.errors import UserError


class Format(NamedTuple):
    """`begins` is searched in a text whose ending is of no format."""

    name: str
    endings: tuple[str, ...]
    begins: str
    read: Callable[[str], TimedLyrics]


FORMATS = (
    Format("LRC", (".lrc",), r"\A(?:\s*\[[a-z]+:[^\n]*\]\s*\n)*\s*\[\d+:\d\d(?:[.:,]\d+)?\]", read_lrc),
    Format("SubRip", (".srt",), r"\A\s*\d+\s*\n\d+:\d\d:\d\d[,.]\d+\s*-->", read_subtitles),
    Format("WebVTT", (".vtt",), r"\AWEBVTT\b", read_subtitles),
    Format("TextGrid", (".textgrid",), r'\A\s*(?:File type = )?"ooTextFile', read_textgrid),
    Format("ELAN", (".eaf",), r"<ANNOTATION_DOCUMENT\b", read_elan),
    Format("JSON", (".json",), r'\A\s*(?:\[\s*[\[{]|\{\s*")', read_json),
    Format("table", (".csv", ".tsv"), r"\A\s*-?\d+[.,]\d+\t-?\d+[.,]\d+\t\S", read_csv),
)
PLAIN = (".txt", ".lyrics", ".text", ".md", "")


def read_timed(text: str, name: str, is_times: bool = False) -> TimedLyrics:
    """The text of the file `name` as what it is; plain lyrics, which have no words, where it is of no format.

    Raises UserError when it cannot be read, or holds no times though it `is_times`.
    """
    if text.startswith("{\\rtf"):
        raise UserError("is RTF: save it as plain text")
    ending = Path(name).suffix.lower()
    of_ending = [each for each in FORMATS if ending in each.endings]
    if not of_ending and ending not in PLAIN and is_times:
        raise UserError(f"is none of {', '.join(ending for each in FORMATS for ending in each.endings)}")
    found = next((each for each in of_ending or FORMATS if of_ending or re.search(each.begins, text[:5000])), None)
    if found is None and is_times:
        raise UserError("no word with a time was found in it")
    if found is None:
        return TimedLyrics(text)
    try:
        return found.read(text)
    except UserError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, csv.Error) as error:
        raise UserError(f"cannot be read as {found.name}: it is cut off or of another kind") from error
