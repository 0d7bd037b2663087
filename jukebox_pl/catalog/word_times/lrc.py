"""LRC: lyrics with times, of lines `[mm:ss.xx]line` or of words `[mm:ss.xx]<mm:ss.xx>word <mm:ss.xx>word`, and dialects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from jukebox_pl.catalog.word_times.timed import Line, TimedLyrics, spread
from jukebox_pl.types import Word

TIME = r"(\d{1,3}:[0-5]?\d(?::[0-5]?\d)?(?:[.:,]\d{1,9})?)"
LINE = re.compile(rf"\s*((?:\[{TIME}\]\s*)+)(.*)")
LINE_TIME, WORD_TIME, MARK = re.compile(rf"\[{TIME}\]"), re.compile(rf"<{TIME}>"), re.compile(rf"( *)<{TIME}>( *)")
TAG = re.compile(r"\s*\[(#|[A-Za-z_]+)\s*:(.*)\]\s*")
SINGER = re.compile(r"(?:[FMD]|v\d|bg)\s*:\s+(?=\S)|(?:v\d|bg):")  # who sings it: woman, man, both; first voice, background
PAUSE = re.compile(r"\s*(?://|\.{3}|…)?\s*")


def read_lrc(text: str) -> TimedLyrics:
    """`[offset:ms]` moves what comes after it, a line with several times is sung as often. Of lines with one time, which are
    translations, the first counts. Odd lines are passed over, which a note says. A text without times is one of lyrics.
    """
    lines: list[Line] = []
    odd: list[str] = []
    offset, translations, latest = 0.0, 0, [-1.0]
    for number, written in enumerate(text.splitlines(), start=1):
        if not written.strip():
            continue
        here = f"line {number}: {written.strip()[:40]}"
        marked = LINE.fullmatch(written)
        if tag := TAG.fullmatch(written) if not marked else None:
            if tag[1].lower() == "offset" and not re.fullmatch(r"\s*[+-]?\d+\s*", tag[2]):
                odd.append(here)
            elif tag[1].lower() == "offset":  # positive: words come earlier than written
                offset = int(tag[2]) / 1000
            continue
        if not marked and not WORD_TIME.match(written.strip()):
            odd.append(here)
            continue
        sung = marked[3] if marked else written
        plain, anchors = split("" if PAUSE.fullmatch(sung) else sung)
        times = [to_seconds(time) for time in LINE_TIME.findall(marked[1])] if marked else [min(anchors.values())]
        if any(two < one for one, two in pairwise([times[0], *anchors.values()])):
            odd.append(here)
            anchors = {}
        if plain and times == latest:
            translations += 1
            continue
        latest = times if plain else [-1.0]
        for time in times:
            moved = time - times[0] - offset
            lines.append(Line(max(time - offset, 0), plain, {at: max(second + moved, 0) for at, second in anchors.items()}))
    if not any(line.text for line in lines):
        plain = re.sub(r"[\[<]-?[\d:.,]+[\]>]", "", text)
        return TimedLyrics(plain, (), ("no line of words begins with a time, as [00:12.34]: read as lyrics without times",))
    notes = [f"{len(odd)} odd line{'s' * (len(odd) > 1)} passed over ({odd[0]})"] if odd else []
    notes += (
        [f"{translations} line{'s' * (translations > 1)} with the time of the one before passed over, as of a translation"]
        if translations
        else []
    )
    return spread(lines, notes)


def to_seconds(time: str) -> float:
    """Of mm:ss, mm:ss.xx, mm:ss:xx, mm:ss,xx or hh:mm:ss.xx."""
    parts = re.split("[:]", time.replace(",", "."))
    if len(parts) == 3 and "." not in parts[2]:  # mm:ss:xx is more frequent than hours
        return 60 * int(parts[0]) + float(f"{parts[1]}.{parts[2]}")
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + float(part)
    return seconds


def split(marked: str) -> tuple[str, dict[int, float]]:
    """A line without the times and the singer in it, and those times by the character that comes next."""
    joined = MARK.sub(lambda mark: f"{' ' if mark[1] or mark[3] else ''}<{mark[2]}>", " ".join(marked.split()))
    parts = WORD_TIME.split(SINGER.sub("", joined, count=1) if SINGER.match(joined) else joined)
    plain, anchors = "", {}
    for before, time in zip(parts[::2], [*parts[1::2], None], strict=True):
        plain = (plain + before).lstrip()
        if time:
            anchors[len(plain)] = to_seconds(time)
    return plain.rstrip(), anchors


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
