"""Which songs are the same recording: found through the words their fingerprints share, never by comparing all with all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jukebox_pl.audio.fingerprint import BITS, SECONDS_PER_WORD, SILENCE, span_seconds, words_of

NEIGHBOURS = 8  # of the songs that share a word, each is paired with this many in a row
LEAST_VOTES = 2  # words that two songs share at one offset
LEAST_SECONDS = 8.0
MOST_WRONG_BITS = 0.25  # chance is 0.5; real songs as mp3 of 16 kbit/s came to 0.14
OFFSETS = 2**20  # in words, 54 hours: which offsets are told apart
PARTS = 16  # that the words are sorted in, for the memory's sake


@dataclass(frozen=True)
class Duplicate:
    """Songs `first` and `second` are the same for `shared_seconds`, in which they differ in `wrong_bits` of all bits.

    `second` begins `offset_seconds` after `first` (negative: before).
    """

    first: str
    second: str
    offset_seconds: float
    shared_seconds: float
    wrong_bits: float


class Candidate(NamedTuple):
    """Two songs, as places in a list, and how many words the second begins later."""

    first: int
    second: int
    offset: int


class Overlap(NamedTuple):
    """The share of bits that differ between two songs at an offset, and in how many words both are heard."""

    wrong_bits: float
    offset: int
    words: int


def find_duplicates(fingerprints: Mapping[str, str]) -> list[Duplicate]:
    """Pairs of songs, by id, that hold the same recording: also encoded again, trimmed, louder or softer.

    Another speed or pitch is another recording; what is shared for less than LEAST_SECONDS is not reported. Where many
    songs are the same they hang together by pairs, but not every pair is named.
    """
    ids, songs = list(fingerprints), [words_of(fingerprint) for fingerprint in fingerprints.values()]
    found = []
    for first, second, offset in candidates(songs):
        best = min(overlap(songs[first], songs[second], offset + step) for step in (-1, 0, 1))
        seconds = span_seconds(best.words)
        if seconds >= LEAST_SECONDS and best.wrong_bits <= MOST_WRONG_BITS:
            found.append(Duplicate(ids[first], ids[second], best.offset * SECONDS_PER_WORD, seconds, best.wrong_bits))
    return found


def group(pairs: Iterable[Duplicate]) -> list[list[str]]:
    """The ids that hang together by pairs."""
    groups: dict[str, list[str]] = {}
    for pair in pairs:
        first, second = (groups.setdefault(id, [id]) for id in (pair.first, pair.second))
        if first is not second:
            first += second
            groups |= dict.fromkeys(second, first)
    return [members for id, members in groups.items() if members[0] == id]


def candidates(songs: Sequence[np.ndarray]) -> Iterator[Candidate]:
    """Of each two songs that share LEAST_VOTES words at one offset, the offset at which they share most."""
    codes, votes = np.unique(np.concatenate([np.empty(0, np.int64), *shared_words(songs)]), return_counts=True)
    often = np.flatnonzero(votes >= LEAST_VOTES)
    pairs = set()
    for code in codes[often][np.argsort(-votes[often], kind="stable")]:
        pair, offset = divmod(int(code), OFFSETS)
        if pair not in pairs:
            pairs.add(pair)
            yield Candidate(*divmod(pair, len(songs)), offset - OFFSETS // 2)


def shared_words(songs: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """A number that stands for a candidate, once for each word its songs share; of a word its first place counts."""
    words = np.concatenate([np.empty(0, np.uint32), *songs])
    starts = np.cumsum([0, *map(len, songs)])
    for part in range(PARTS):
        places = np.flatnonzero(words % PARTS == part)
        places = places[np.argsort(words[places], kind="stable")]
        word, song = words[places], np.searchsorted(starts, places, side="right") - 1
        is_first = np.append(True, (word[1:] != word[:-1]) | (song[1:] != song[:-1]))[: len(word)]
        word, song, place = word[is_first], song[is_first], (places - starts[song])[is_first]
        for step in range(1, NEIGHBOURS + 1):
            same = np.flatnonzero(word[step:] == word[:-step])
            pair = song[same] * len(songs) + song[same + step]
            yield pair * OFFSETS + OFFSETS // 2 + place[same] - place[same + step]


def overlap(first: np.ndarray, second: np.ndarray, offset: int) -> Overlap:
    """Of words [N] and [M]; wholly wrong where they do not overlap."""
    first, second = first[max(offset, 0) :], second[max(-offset, 0) :]
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    heard = (first != SILENCE) & (second != SILENCE)
    wrong = int(np.bitwise_count(first[heard] ^ second[heard]).sum())
    words = int(heard.sum())
    return Overlap(wrong / (BITS * words) if words else 1.0, offset, words)
