"""Tiers of intervals: Praat's TextGrid in its long and its short form, and ELAN's .eaf."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from jukebox_pl.catalog.word_times.records import SILENCE
from jukebox_pl.catalog.word_times.timed import Line, TimedLyrics, spread
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

VALUE = re.compile(r'"((?:[^"]|"")*)"|(?<![\w.\[])(-?\d+(?:\.\d+)?(?:[eE]-?\d+)?)(?![\w\]])')
Tier = tuple[str, list[Word]]


def read_textgrid(text: str) -> TimedLyrics:
    """Both forms are the same values in the same order, the long one with their names between. Raises UserError else."""
    values = [text if number == "" else float(number) for text, number in VALUE.findall(text)]
    try:
        return from_tiers(textgrid_tiers(iter(values)))
    except (StopIteration, TypeError, RuntimeError) as error:
        raise UserError("is no whole TextGrid") from error


def textgrid_tiers(values: Iterator[str | float]) -> list[Tier]:
    """Raises StopIteration where values are missing, TypeError where they are others."""
    if (next(values), next(values)) != ("ooTextFile", "TextGrid"):
        raise TypeError
    next(values), next(values)
    tiers: list[Tier] = []
    for _ in range(int(next(values))):
        kind, name = next(values), str(next(values))
        next(values), next(values)
        words = []
        for _ in range(int(next(values))):
            start = float(next(values))
            end = float(next(values)) if kind == "IntervalTier" else start
            words.append(Word(str(next(values)).replace('""', '"').strip(), start, end))
        tiers += [(name, words)] if kind == "IntervalTier" else []
    return tiers


def read_elan(text: str) -> TimedLyrics:
    """Raises UserError when it is no such XML."""
    if "<!DOCTYPE" in text:  # may be made to grow without end
        raise UserError("has a DOCTYPE, which ELAN does not write")
    try:
        root = ElementTree.fromstring(text.encode())
        slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
        tiers = []
        for tier in root.iter("TIER"):
            words = []
            for each in tier.iter("ALIGNABLE_ANNOTATION"):
                start, end = (slots.get(each.get(f"TIME_SLOT_REF{at}")) for at in (1, 2))
                if start and end:
                    words.append(Word((each.findtext("ANNOTATION_VALUE") or "").strip(), int(start) / 1000, int(end) / 1000))
            tiers.append((tier.get("TIER_ID") or "", words))
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(f"is no file of ELAN: {error}") from error
    return from_tiers(tiers)


def from_tiers(tiers: Iterable[Tier]) -> TimedLyrics:
    """The tier of words by its name, else the first that is not one of phones; lines in it are spread over their time."""
    filled = [(name, [word for word in words if word.text not in SILENCE]) for name, words in tiers]
    filled = [(name, words) for name, words in filled if words]
    wanted = [words for name, words in filled if "word" in name.lower()]
    wanted += [words for name, words in filled if not re.search("phon|segment|syll", name.lower())]
    if not wanted:
        raise UserError("no tier with words")
    words = sorted(wanted[0], key=lambda word: word.start)
    if any(" " in word.text for word in words):
        return spread(Line(start, text, {len(text): end}) for text, start, end in words)
    return TimedLyrics(" ".join(word.text for word in words), tuple(words))
