"""Lyrics with times, whatever file they come from: lines to words, and words to those of other lyrics."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Indel

from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import letters
from jukebox_pl.types import Word

SLOWEST, TIMES_SLOWER = 0.4, 2.0  # seconds a character, and times the song's median: what takes longer is a pause
LEAST_MATCHED = 0.8  # of the words of the lyrics
LONGEST_WORD = 20.0  # seconds; what takes longer on the whole was counted in milliseconds
UNSPACED = re.compile(
    "[\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)  # scripts without blanks


class TimedLyrics(NamedTuple):
    """Lyrics and words with times, in order; words may be fewer, and have no text. `notes` say what was passed over."""

    lyrics: str
    words: tuple[Word, ...] = ()
    notes: tuple[str, ...] = ()


class Line(NamedTuple):
    """A line of a song and when it begins; `anchors` are seconds of some of its characters, in order."""

    start: float
    text: str
    anchors: Mapping[int, float] = {}


def spread(lines: Iterable[Line], notes: Sequence[str] = ()) -> TimedLyrics:
    """Words without a time of their own are spread by their characters between the times around them.

    A line ends where the next one begins, unless that is long after; an empty line is a pause.
    """
    lines = sorted(lines, key=lambda line: line.start)
    paces = [(two.start - one.start) / len(one.text) for one, two in pairwise(lines) if one.text and two.start > one.start]
    slowest = min(SLOWEST, TIMES_SLOWER * median(paces or [SLOWEST]))
    ends = [line.start for line in lines[1:]] + [math.inf]
    words = [word for line, end in zip(lines, ends, strict=True) for word in place(line, end, slowest)]
    return TimedLyrics("\n".join(line.text for line in lines), tuple(words), tuple(notes))


def place(line: Line, next_start: float, slowest: float) -> list[Word]:
    """The words of a line that ends before the next one starts, and takes at most `slowest` seconds a character."""
    at, time = max(line.anchors.items(), default=(0, line.start))
    end = min(next_start, time + slowest * max(len(line.text) - at, 0))
    anchors = {0: line.start, **line.anchors, max(len(line.text), at): max(end, time)}
    places, seconds = zip(*sorted(anchors.items()), strict=True)
    found = [(word[0], *np.interp(word.span(), places, seconds)) for word in re.finditer(r"\S+", line.text)]
    return [Word(text, min(float(start), next_start), min(float(end), next_start)) for text, start, end in found]


def fit(words: Sequence[Word], lyrics: str, written: str = "") -> TimedLyrics:
    """One Word for every word of the lyrics, as split at white space, with the times of `words`.

    Words without texts are those of the lyrics, or of `written`, the lyrics with all that is not sung. Others are found
    by their letters, whatever their case and signs; those that are not found get the time between their neighbours, and
    a note where these are many. Raises UserError when few of the shorter of both texts are found, or times cannot be.
    """
    words, texts = in_seconds(words), lyrics.split()
    if words and texts and not any(word.text.strip() for word in words):
        same = next((split for split in (texts, written.split()) if len(split) == len(words)), None)
        if not same:
            raise UserError(f"has times for {len(words)} words, the lyrics have {len(texts)}")
        words = [Word(text, start, end) for text, (_, start, end) in zip(same, words, strict=True)]
    require_order(words)
    if [word.text for word in words] == texts:
        return TimedLyrics(lyrics, tuple(words))
    heard = [pieces(word.text) for word in words]
    times = match(heard, words, [pieces(text) for text in texts])
    spoken = [at for at, text in enumerate(texts) if pieces(text)]
    found = [at for at in spoken if at in times]
    share = f"{len(found)} of the {len(spoken)} words of the lyrics are among its {len(words)}"
    expected = min(LEAST_MATCHED * len(spoken), len(spoken) - 1)
    if not found or len(found) < min(expected, LEAST_MATCHED * sum(map(bool, heard))):
        raise UserError(f"{share}, expected {LEAST_MATCHED:.0%}: are they of the same song?")
    guessed = (f"{share}: the times of the others are guessed",) if len(found) < expected else ()
    return TimedLyrics(lyrics, tuple(between(texts, times)), guessed)


def in_seconds(words: Sequence[Word]) -> list[Word]:
    lengths = [word.end - word.start for word in words]
    if lengths and median(lengths) >= LONGEST_WORD:
        return [Word(text, start / 1000, end / 1000) for text, start, end in words]
    return list(words)


def require_order(words: Sequence[Word]) -> None:
    """Raises UserError on times that are none, or go backwards."""
    for number, (text, start, end) in enumerate(words, start=1):
        if not 0 <= start <= end < math.inf:  # false for NaN, too
            raise UserError(f"word {number} ({text}) does not end after it starts: {start:g} to {end:g} s")
    for number, (one, two) in enumerate(pairwise(words), start=2):
        if two.start < one.start:
            raise UserError(
                f"word {number} ({two.text}) starts at {two.start:g} s, before the one before it: {one.start:g} s"
            )


def pieces(text: str) -> list[str]:
    """What a word is compared by: its letters, one by one in scripts that do not write blanks."""
    if UNSPACED.search(text):
        return [letter for character in text if (letter := letters(character))]
    return [heard] if (heard := letters(text)) else []


def match(theirs: Sequence[list[str]], words: Sequence[Word], ours: Sequence[list[str]]) -> dict[int, tuple[float, float]]:
    """The times of those of our words of which a piece is also one of theirs, in order; pieces share the time of a word."""
    spans: list[tuple[float, float]] = []
    for parts, (_, start, end) in zip(theirs, words, strict=True):
        edges = np.linspace(start, end, len(parts) + 1).tolist()
        spans += pairwise(edges)
    owners = [at for at, parts in enumerate(ours) for _ in parts]
    times: dict[int, tuple[float, float]] = {}
    for block in Indel.opcodes([piece for parts in theirs for piece in parts], [piece for parts in ours for piece in parts]):
        if block.tag == "equal":
            for shift in range(block.src_end - block.src_start):
                at, (start, end) = owners[block.dest_start + shift], spans[block.src_start + shift]
                times[at] = (times.get(at, (start, end))[0], end)
    return times


def between(texts: Sequence[str], times: Mapping[int, tuple[float, float]]) -> Iterable[Word]:
    """Every word; those without times share what is between the end of the last that has some and the next.

    Before the first and behind the last they take as long a character as the others.
    """
    known = sorted(times)
    pace = sum(end - start for start, end in times.values()) / sum(len(texts[at]) for at in known)
    for at, text in enumerate(texts):
        if at in times:
            yield Word(text, *times[at])
            continue
        after = next((other for other in known if other > at), len(texts))
        before = max((other for other in known if other < at), default=-1)
        length = pace * sum(map(len, texts[before + 1 : after]))
        closes = times[after][0] if after < len(texts) else times[before][1] + length
        opens = min(times[before][1], closes) if before >= 0 else max(closes - length, 0.0)
        step = (closes - opens) / (after - before - 1)
        yield Word(text, opens + step * (at - before - 1), opens + step * (at - before))
