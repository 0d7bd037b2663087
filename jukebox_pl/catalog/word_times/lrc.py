"""LRC: lyrics with times, of lines `[mm:ss.xx]line` or of words `[mm:ss.xx]<mm:ss.xx>word <mm:ss.xx>word`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np

from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

TIME = r"(\d{1,3}:[0-5]?\d(?:[.:]\d{1,3})?)"
LINE = re.compile(rf"\s*((?:\[{TIME}\]\s*)+)(.*)")
LINE_TIME, WORD_TIME, MARK = re.compile(rf"\[{TIME}\]"), re.compile(rf"<{TIME}>"), re.compile(rf"( *)<{TIME}>( *)")
TAG = re.compile(r"\s*\[(#|[A-Za-z]+):([^\]]*)\]\s*")
SLOWEST, TIMES_SLOWER = 0.4, 2.0  # seconds a character, and times the song's median: what takes longer is a pause


class TimedLyrics(NamedTuple):
    """The words are those of the lyrics, as white space separates them, in order."""

    lyrics: str
    words: tuple[Word, ...]


class Line(NamedTuple):
    """A line of a song and when it begins; `anchors` are seconds of some of its characters, in order."""

    start: float
    text: str
    anchors: dict[int, float]


def read_lrc(text: str) -> TimedLyrics:
    """Words without a time of their own are spread by their characters between the times around them.

    A line ends where the next one begins, unless that is long after; an empty line is a pause. `[offset:ms]` moves what
    comes after it, a line with several times is sung as often. Raises UserError when a line has no time or its times go
    backwards.
    """
    lines = sorted(parse(text), key=lambda line: line.start)
    if not any(line.text for line in lines):
        raise UserError("no line of words begins with a time, as [00:12.34]")
    paces = [(two.start - one.start) / len(one.text) for one, two in pairwise(lines) if one.text and two.start > one.start]
    slowest = min(SLOWEST, TIMES_SLOWER * median(paces or [SLOWEST]))
    ends = [line.start for line in lines[1:]] + [math.inf]
    words = [word for line, end in zip(lines, ends, strict=True) for word in place(line, end, slowest)]
    return TimedLyrics("\n".join(line.text for line in lines), tuple(words))


def parse(text: str) -> Iterator[Line]:
    """Lines in the order of the file, one with several times as often. Raises UserError naming a line that is none."""
    offset = 0.0
    for number, written in enumerate(text.splitlines(), start=1):
        if tag := TAG.fullmatch(written):
            if tag[1].lower() == "offset":  # positive: words come earlier than written
                try:
                    offset = int(tag[2]) / 1000
                except ValueError:
                    way_out = "expected milliseconds as +250 or -250"
                    raise UserError(f"line {number}: offset {tag[2]!r}, {way_out}") from None
        elif found := LINE.fullmatch(written):
            times = [to_seconds(time) for time in LINE_TIME.findall(found[1])]
            plain, anchors = split(found[3])
            if any(two < one for one, two in pairwise([times[0], *anchors.values()])):
                raise UserError(f"line {number}: its times go backwards, found {written.strip()[:60]!r}")
            for time in times:
                moved = time - times[0] - offset
                yield Line(max(time - offset, 0), plain, {at: max(second + moved, 0) for at, second in anchors.items()})
        elif written.strip():
            raise UserError(f"line {number} has no time, found {written.strip()[:40]!r}, expected [mm:ss.xx] before it")


def to_seconds(time: str) -> float:
    """Of mm:ss, mm:ss.xx or mm:ss:xx."""
    minutes, seconds = time.split(":", 1)
    return 60 * int(minutes) + float(seconds.replace(":", "."))


def split(marked: str) -> tuple[str, dict[int, float]]:
    """A line without the times in it, and those times by the character that comes next."""
    joined = MARK.sub(lambda mark: f"{' ' if mark[1] or mark[3] else ''}<{mark[2]}>", " ".join(marked.split()))
    parts = WORD_TIME.split(joined)
    plain, anchors = "", {}
    for before, time in zip(parts[::2], [*parts[1::2], None], strict=True):
        plain = (plain + before).lstrip()
        if time:
            anchors[len(plain)] = to_seconds(time)
    return plain.rstrip(), anchors


def place(line: Line, next_start: float, slowest: float) -> list[Word]:
    """The words of a line that ends before the next one starts, and takes at most `slowest` seconds a character."""
    at, time = max(line.anchors.items(), default=(0, line.start))
    end = min(next_start, time + slowest * max(len(line.text) - at, 0))
    anchors = {0: line.start} | line.anchors | {max(len(line.text), at): max(end, time)}
    places, seconds = zip(*sorted(anchors.items()), strict=True)
    found = [(word[0], *np.interp(word.span(), places, seconds)) for word in re.finditer(r"\S+", line.text)]
    return [Word(text, min(float(start), next_start), min(float(end), next_start)) for text, start, end in found]


def write_lrc(lyrics: str, words: Sequence[Word]) -> str:
    """Words of the lyrics, in order, line by line with the time of each; `read_lrc` reads them, but for pauses in a line.

    Lines of which no word has a time are left out.
    """
    lines, left = [], list(words)
    for line in lyrics.splitlines():
        timed = [left.pop(0) for text in line.split() if left and left[0].text == text]
        if timed:
            sung = " ".join(f"<{to_time(word.start)}>{word.text}" for word in timed)
            lines.append(f"[{to_time(timed[0].start)}]{sung}<{to_time(timed[-1].end)}>\n")
    return "".join(lines)


def to_time(seconds: float) -> str:
    """mm:ss.xx"""
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    return f"{minutes:02d}:{hundredths / 100:05.2f}"
