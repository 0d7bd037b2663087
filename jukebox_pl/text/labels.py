"""From what is known about a song to the numbers a prior reads: names to ids, the window of lyrics, the timing."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import PADDING, Characters, ReleasedCharacters
from jukebox_pl.text.phonemes import Phonemes
from jukebox_pl.types import Labels, Song, Word

UNKNOWN = "unknown"
UNKNOWN_ID = 0
EMPTY_SLOT = -1


class Vocabulary:
    """Names to ids. Id 0 is `unknown`; names are compared without case and outer blanks."""

    def __init__(self, names: Iterable[str]):
        folded = {fold(name): name for name in names if fold(name) not in ("", UNKNOWN)}
        self.names = [UNKNOWN, *folded.values()]
        self._ids = {fold(name): i for i, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def keys(self, name: str) -> list[str]:
        """What is looked up for a name."""
        return [fold(name)]

    def ids(self, name: str) -> list[int]:
        """The ids of what is looked up, each 0 when it is not known."""
        return [self._ids.get(key, 0) for key in self.keys(name)]

    def id(self, name: str) -> int:
        """The id of a name, 0 when it is not known."""
        return self.ids(name)[0]

    def require(self, name: str, what: str) -> str:
        """Returns `name` when it is known or empty; raises UserError with the nearest names otherwise."""
        unknown = [key for key in self.keys(name) if key not in self._ids]
        if not name or not unknown:
            return name
        spelling = dict(zip(self._ids, self.names, strict=True))
        near = difflib.get_close_matches(unknown[0], list(spelling), n=3, cutoff=0.5)
        known = [spelling[key] for key in near] or self.names[1:6]
        raise UserError(
            f"unknown {what} {name!r}: this model knows {len(self) - 1}, nearest are {', '.join(map(repr, known))}"
        )

    def extended(self, other: Vocabulary) -> Vocabulary:
        """This one, every id as it is, and after it the names that only `other` knows."""
        return Vocabulary([*self.names, *(name for name in other.names if fold(name) not in self._ids)])

    def to_config(self) -> Any:
        return self.names[1:]


class ReleasedVocabulary(Vocabulary):
    """The (name, id) lines of a released list under its `rule` of looking up: v2_artists, v2_genres, v3_artists, v3_genres.

    v2 is that of 5b, 5b_lyrics and the upsamplers, whose genres are bags of words; v3 that of 1b_lyrics.
    Its length is the number of lines, which is that of the released tables, though some names share an id; of a name
    listed twice the later id counts.
    """

    def __init__(self, entries: Sequence[tuple[str, int]], rule: str):
        self.entries, self.rule = [(name, int(number)) for name, number in entries], rule
        self._ids = dict(self.entries)
        self.names = list(self._ids)

    def __len__(self) -> int:
        return len(self.entries)

    def keys(self, name: str) -> list[str]:
        if self.rule in ("v3_artists", "v3_genres"):
            return [name.lower()]
        # Each run of what is neither an ASCII letter nor a digit becomes one underscore, none stays at the ends.
        underscored = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        return {"v2_artists": [underscored], "v2_genres": underscored.split("_")}[self.rule]

    def extended(self, other: Vocabulary) -> Vocabulary:
        """`other` alone: whose names are looked up by its own rule, which cannot be added to a released list."""
        return other

    def to_config(self) -> Any:
        return {"entries": self.entries, "rule": self.rule}


def fold(name: str) -> str:
    return " ".join(name.casefold().split())


def characters_from(config: Any) -> Characters:
    """The vocabulary that `to_config` of any of them describes."""
    if isinstance(config, str):
        return Characters(config)
    return (Phonemes if "language" in config else ReleasedCharacters)(**config)


def frequent(names: Iterable[str], at_least: int = 1, at_most: int | None = None) -> list[str]:
    """The names that occur `at_least` times, of those the `at_most` most frequent, sorted: a vocabulary of a catalog.

    What is left out becomes `unknown`. A name is spelt as it is most often.
    """
    counts: Counter[str] = Counter()
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for name in names:
        if fold(name) not in ("", UNKNOWN):
            counts[fold(name)] += 1
            spellings[fold(name)][name] += 1
    ranked = sorted(counts, key=lambda key: (-counts[key], key))
    kept = [key for key in ranked if counts[key] >= at_least][:at_most]
    return sorted(min(spellings[key], key=lambda name: (-spellings[key][name], name)) for key in kept)


class Labeller:
    """Turns (song, offset, duration) into Labels of one window.

    The window of lyrics is the `lyric_tokens` characters around the moment in the middle of the window: found from
    the times of the words where the song has them (paper, section on lyrics conditioning), else by spreading the
    text evenly over the song (the released rule). Shorter texts are padded on the left.
    """

    def __init__(
        self,
        artists: Vocabulary,
        genres: Vocabulary,
        characters: Characters | None = None,
        lyric_tokens: int = 0,
        genre_slots: int = 5,
    ):
        if lyric_tokens % 2:
            raise ValueError(f"lyric_tokens must be even, found {lyric_tokens}")
        self.artists, self.genres = artists, genres
        self.characters = characters or Characters("")
        self.lyric_tokens, self.genre_slots = lyric_tokens, genre_slots

    def extended(self, other: Labeller) -> Labeller:
        """This one with the names and characters that only `other` knows; see `Vocabulary.extended`."""
        parts = self.artists.extended(other.artists), self.genres.extended(other.genres)
        return Labeller(*parts, self.characters.extended(other.characters), self.lyric_tokens, self.genre_slots)

    def to_config(self) -> dict[str, Any]:
        return {
            "artists": self.artists.to_config(),
            "genres": self.genres.to_config(),
            "characters": self.characters.to_config(),
            "lyric_tokens": self.lyric_tokens,
            "genre_slots": self.genre_slots,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Labeller:
        parts: dict[str, Any] = {"characters": characters_from(config["characters"])}
        for name in ("artists", "genres"):
            names = config[name]
            parts[name] = ReleasedVocabulary(**names) if isinstance(names, dict) else Vocabulary(names)
        return cls(**(config | parts))

    def labels(self, song: Song, offset: int, duration: int) -> Labels:
        """Labels of the window [offset, offset + duration) in samples, without a batch axis."""
        import torch  # not at the top: processes that only prepare songs start without it

        genres = [number for name in song.genres for number in self.genres.ids(name)][: self.genre_slots]
        values = (
            self.artists.id(song.artist),
            genres + [EMPTY_SLOT] * (self.genre_slots - len(genres)),
            song.duration,
            offset,
            duration,
            self.lyric_window(song, offset, duration),
        )
        return Labels(*(torch.tensor(value, dtype=torch.long) for value in values))

    def lyric_window(self, song: Song, offset: int, duration: int) -> list[int]:
        """The `lyric_tokens` lyric tokens of a window."""
        tokens = self.characters.encode(song.lyrics) if self.lyric_tokens else []
        start, end = self.lyric_span(song, offset, duration, len(tokens))
        window = tokens[start:end]
        return [PADDING] * (self.lyric_tokens - len(window)) + window

    def lyric_span(self, song: Song, offset: int, duration: int, length: int) -> tuple[int, int]:
        """The characters [start, end) of `length` in a window."""
        size = self.lyric_tokens
        if length <= size:
            return 0, length
        moment = offset + duration / 2
        middle = self._sung_at(song, moment / song.sample_rate) if song.words else int(length * moment / song.duration)
        middle = min(max(middle, size // 2), length - size // 2)
        return middle - size // 2, middle + size // 2

    def sung_tokens(self, song: Song, offset: int, duration: int, count: int) -> list[int]:
        """Which lyric token of the window is sung at each of its `count` codes: -1 between words, and without word times.

        The characters of a word share its time evenly.
        """
        text = self.characters.clean(song.lyrics)
        first, last = self.lyric_span(song, offset, duration, len(text))
        sung, shift = [-1] * count, self.lyric_tokens - last
        for word, (start, end) in zip(song.words, word_spans(text, song.words, self.characters), strict=True):
            for i in range(max(start, first), min(end, last)):
                edges = (word.start + (word.end - word.start) * (at - start) / (end - start) for at in (i, i + 1))
                begin, stop = (math.ceil((edge * song.sample_rate - offset) * count / duration - 0.5) for edge in edges)
                for code in range(max(begin, 0), min(stop, count)):
                    sung[code] = i + shift
        return sung

    def _sung_at(self, song: Song, seconds: float) -> int:
        """Index of the character sung at a moment, between words the end of the last one."""
        text = self.characters.clean(song.lyrics)
        at = 0
        for word, (start, end) in zip(song.words, word_spans(text, song.words, self.characters), strict=True):
            if seconds < word.start:
                break
            sung = min((seconds - word.start) / max(word.end - word.start, 1e-6), 1.0)
            at = start + round(sung * (end - start))
        return at


def without(labels: Labels, *names: str) -> Labels:
    """Labels without some of `artist`, `genres` and `lyrics`, as label dropout leaves them out."""
    missing = {"artist": UNKNOWN_ID, "genres": EMPTY_SLOT, "lyrics": PADDING}
    fields = {name: getattr(labels, name) for name in names}
    return labels._replace(**{name: field.new_full(field.shape, missing[name]) for name, field in fields.items()})


def word_spans(text: str, words: Sequence[Word], characters: Characters) -> list[tuple[int, int]]:
    """The characters [start, end) of each word in `text`; a word not found in order takes no characters."""
    spans, cursor = [], 0
    for word in words:
        piece = characters.clean(word.text)
        start = text.find(piece, cursor) if piece else -1
        spans.append((start, start + len(piece)) if start >= 0 else (cursor, cursor))
        cursor = spans[-1][1]
    return spans
