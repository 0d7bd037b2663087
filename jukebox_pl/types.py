"""The records that cross a seam. Batches are NamedTuples, because pin_memory does not look into dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

BOTTOM, MIDDLE, TOP = 0, 1, 2


class Word(NamedTuple):
    """One sung word and when it is sung, in seconds from the start of the song."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Song:
    """What is known about one song. `duration` is in samples per channel at `sample_rate`."""

    id: str
    duration: int
    sample_rate: int
    title: str = ""
    artist: str = ""
    genres: tuple[str, ...] = ()
    lyrics: str = ""
    words: tuple[Word, ...] = ()
    language: str = ""
    license: str = ""
    source: str = ""

    @property
    def duration_seconds(self) -> float:
        return self.duration / self.sample_rate

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"genres": list(self.genres), "words": [list(word) for word in self.words]}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Song:
        """Raises TypeError on unknown or missing fields."""
        words = tuple(Word(str(text), float(start), float(end)) for text, start, end in record.get("words", ()))
        return cls(**(record | {"genres": tuple(record.get("genres", ())), "words": words}))


class Labels(NamedTuple):
    """What a prior is told about a window. Lengths in samples; -1 is an empty genre slot; lyric token 0 is padding."""

    artist: Tensor  # [B]
    genres: Tensor  # [B, G]
    total: Tensor  # [B] length of the whole song
    offset: Tensor  # [B] where the window starts
    duration: Tensor  # [B] length of the window
    lyrics: Tensor  # [B, L]

    def to(self, device: torch.device | str) -> Labels:
        return Labels(*(field.to(device) for field in self))

    @staticmethod
    def stack(items: list[Labels]) -> Labels:
        return Labels(*(torch.stack(fields) for fields in zip(*items, strict=True)))


class AudioBatch(NamedTuple):
    """Clips of songs: audio [B, 1, N] in [-1, 1]."""

    audio: Tensor

    @property
    def tokens(self) -> int:
        return self.audio.numel()

    @property
    def samples(self) -> int:
        return self.audio.numel()


class CodesBatch(NamedTuple):
    """Windows of codes [B, T] of one level, the codes above them [B, T / factor] (None at the top) and their labels."""

    codes: Tensor
    upper: Tensor | None
    labels: Labels

    @property
    def tokens(self) -> int:
        return self.codes.numel()

    @property
    def samples(self) -> int:
        """Of the sound that the codes stand for."""
        return int(self.labels.duration.sum())


@dataclass(frozen=True)
class SongRequest:
    """What to sing. `offset_seconds` is where in the imagined song of `total_seconds` the sampling starts."""

    artist: str = ""
    genres: tuple[str, ...] = ()
    lyrics: str = ""
    seconds: float = 10.0
    total_seconds: float | None = None
    offset_seconds: float = 0.0


class LevelParams(NamedTuple):
    """How to draw the codes of one level. 0 switches top_k and top_p off."""

    temperature: float
    top_k: int
    top_p: float
    hop_fraction: float


@dataclass(frozen=True)
class SamplingParams:
    """How to draw. One value serves every level; a tuple gives one per level, bottom first.

    `hop_fraction`: the part of a window by which the next one moves on (released: 0.5, 0.5, 0.125).
    """

    temperature: float | tuple[float, ...] = 0.99
    top_k: int | tuple[int, ...] = 0
    top_p: float | tuple[float, ...] = 0.0
    hop_fraction: float | tuple[float, ...] = (0.5, 0.5, 0.125)

    def at(self, level: int) -> LevelParams:
        """The parameters of one level; the last of a tuple serves the levels above it too."""
        values = (v[min(level, len(v) - 1)] if isinstance(v, tuple) else v for v in vars(self).values())
        return LevelParams(*values)


@dataclass
class SampledSong:
    """A song made by the models: audio [1, N], the codes of every level [T_l] and what is needed to make it again."""

    audio: Tensor
    sample_rate: int
    codes: dict[int, Tensor]
    request: SongRequest
    params: SamplingParams
    seed: int
    words: tuple[Word, ...] = field(default=())
