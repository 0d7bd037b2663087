"""From what is known about a song to the numbers a prior is told: names to ids, the window of lyrics, the timing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from jukebox_pl.errors import UserError
from jukebox_pl.text import PADDING, Characters
from jukebox_pl.types import Labels, Song, Word

UNKNOWN = "unknown"
EMPTY_SLOT = -1


class Vocabulary:
    """Names to ids. Id 0 is `unknown`; names are compared without case and outer blanks."""

    def __init__(self, names: Iterable[str]):
        folded = {fold(name): name for name in names if fold(name) not in ("", UNKNOWN)}
        self.names = [UNKNOWN, *folded.values()]
        self._ids = {fold(name): i for i, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return fold(name) in self._ids

    def id(self, name: str) -> int:
        """The id of a name, 0 when it is not known."""
        return self._ids.get(fold(name), 0)

    def require(self, name: str, what: str) -> str:
        """Returns `name` when it is known or empty; raises UserError with the nearest names otherwise."""
        if not name or name in self:
            return name
        near = difflib.get_close_matches(fold(name), list(self._ids), n=3, cutoff=0.5)
        known = [self.names[self._ids[n]] for n in near] or self.names[1:6]
        raise UserError(
            f"unknown {what} {name!r}: this model knows {len(self) - 1}, nearest are {', '.join(map(repr, known))}"
        )


def fold(name: str) -> str:
    return " ".join(name.casefold().split())


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

    def to_config(self) -> dict[str, Any]:
        return {
            "artists": self.artists.names[1:],
            "genres": self.genres.names[1:],
            "characters": self.characters.characters,
            "lyric_tokens": self.lyric_tokens,
            "genre_slots": self.genre_slots,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Labeller:
        parts = {
            "artists": Vocabulary(config["artists"]),
            "genres": Vocabulary(config["genres"]),
            "characters": Characters(config["characters"]),
        }
        return cls(**(config | parts))

    def labels(self, song: Song, offset: int, duration: int) -> Labels:
        """Labels of the window [offset, offset + duration) in samples, without a batch axis."""
        values = (
            self.artists.id(song.artist),
            self._genre_ids(song.genres),
            song.duration,
            offset,
            duration,
            self.lyric_window(song, offset, duration),
        )
        return Labels(*(torch.tensor(value, dtype=torch.long) for value in values))

    def _genre_ids(self, names: Sequence[str]) -> list[int]:
        ids = [self.genres.id(name) for name in names][: self.genre_slots]
        return ids + [EMPTY_SLOT] * (self.genre_slots - len(ids))

    def lyric_window(self, song: Song, offset: int, duration: int) -> list[int]:
        """The `lyric_tokens` tokens a window is told."""
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


def word_spans(text: str, words: Sequence[Word], characters: Characters) -> list[tuple[int, int]]:
    """The characters [start, end) of each word in `text`; a word not found in order takes no characters."""
    spans, cursor = [], 0
    for word in words:
        piece = characters.clean(word.text)
        start = text.find(piece, cursor) if piece else -1
        spans.append((start, start + len(piece)) if start >= 0 else (cursor, cursor))
        cursor = spans[-1][1]
    return spans
