"""What every aligner answers, and what of it is believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Protocol

import numpy as np

from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import letters
from jukebox_pl.types import Word

Span = tuple[float, float]  # start and end in seconds
USUAL_PACE = 0.1  # seconds a character


class Aligner(Protocol):
    """When each word of the lyrics is sung, in seconds; words are what white space separates.

    vocals [C, T]: the singing, taken out of its song or not. Raises UserError when it finds no answer. Aligners are
    built in one process and called in another: what cannot be pickled is loaded at the first call.
    """

    def __call__(self, vocals: np.ndarray, sample_rate: int, lyrics: str) -> list[Word]: ...


def seconds_of(vocals: np.ndarray, sample_rate: int) -> float:
    """Of sound [C, T]. Raises UserError on sound that no aligner can use."""
    if vocals.ndim != 2 or not vocals.size or not np.isfinite(vocals).all():
        raise UserError(f"cannot align lyrics to sound {list(vocals.shape)}: expected finite samples [channels, time]")
    return vocals.shape[1] / sample_rate


def require_alignment(words: Sequence[Word], lyrics: str, seconds: float) -> list[Word]:
    """The words, when they are those of the lyrics, in order, inside the sound. Raises UserError otherwise."""
    texts = lyrics.split()
    if [word.text for word in words] != texts:
        raise UserError(f"the aligner answered {len(words)} words, not the {len(texts)} of the lyrics in their order")
    for word in words:
        if not 0 <= word.start <= word.end <= seconds < math.inf:  # false for NaN, too
            raise UserError(f"the aligner has {word.text!r} from {word.start} to {word.end} s in {seconds:.2f} s of sound")
    for one, two in pairwise(words):
        if two.start < one.start:
            raise UserError(f"the aligner has {two.text!r} at {two.start:.2f} s, before {one.text!r} at {one.start:.2f} s")
    return list(words)


def spread(texts: Sequence[str], start: float, end: float) -> list[Word]:
    """Every character, and the blank after each word, takes as long as any other: the words fill [start, end]."""
    lengths = np.array([len(text) for text in texts])
    starts = np.append(0, np.cumsum(lengths + 1))[:-1]
    whole = max(int(lengths.sum()) + len(texts) - 1, 1)
    times = np.clip(start + (end - start) / whole * np.stack([starts, starts + lengths], axis=1), start, end)
    return [Word(text, float(first), float(last)) for text, (first, last) in zip(texts, times, strict=True)]


def complete(texts: Sequence[str], spans: Sequence[Span | None], seconds: float) -> list[Word]:
    """Words at their spans; those without one fill the time between their neighbours, or lie close to the only one."""
    words: list[Word] = []
    waiting: list[str] = []
    characters = 0  # of those that wait, a blank after each
    for text, span in zip(texts, spans, strict=True):
        if span is None:
            waiting.append(text)
            characters += len(text) + 1
        else:
            free = min(words[-1].end, span[0]) if words else max(span[0] - USUAL_PACE * characters, 0.0)
            words += [*spread(waiting, free, span[0]), Word(text, *span)]
            waiting, characters = [], 0
    end = words[-1].end if words else 0.0
    return words + spread(waiting, end, min(end + USUAL_PACE * characters, seconds))


def match(texts: Sequence[str], found: Sequence[Word], coverage: float) -> list[Span | None]:
    """The spans of the words of a text among `found`, words in order of which some may be missing or spelt otherwise.

    Raises UserError when less than the share `coverage` of the words that have letters is there.
    """
    spans: list[Span | None] = [None] * len(texts)
    places = [place for place, text in enumerate(texts) if letters(text)]
    wanted, had = [letters(texts[place]) for place in places], [letters(word.text) for word in found]
    for kind, first, last, start, end in SequenceMatcher(None, wanted, had, autojunk=False).get_opcodes():
        if kind == "equal" or (kind == "replace" and last - first == end - start):
            for place, word in zip(places[first:last], found[start:end], strict=True):
                spans[place] = word.start, word.end
    known = sum(span is not None for span in spans)
    if known < coverage * len(places):
        raise UserError(f"only {known} of {len(places)} words were found, expected {coverage:.0%}")
    return spans
