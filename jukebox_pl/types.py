"""The records that cross a seam. Batches are NamedTuples, because pin_memory does not look into dataclasses."""

from __future__ import annotations

import base64
import html
import io
import math
import wave
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from msgspec import Meta

from jukebox_pl.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BOTTOM, MIDDLE, TOP = 0, 1, 2

# What fields of records may hold, beside their types: files come from anywhere, and nothing of ours comes near these.
Id = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^./\\\x00\n]+$")]  # also the name of a member of a shard
Name = Annotated[str, Meta(max_length=10_000)]
Names = Annotated[tuple[Name, ...], Meta(max_length=1000)]
Lyrics = Annotated[str, Meta(max_length=10_000_000)]
Samples = Annotated[int, Meta(ge=0, le=2**40)]
Rate = Annotated[int, Meta(ge=1, le=10_000_000)]
Hop = Annotated[int, Meta(ge=1, le=2**24)]
Bins = Annotated[int, Meta(ge=1, le=2**16)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]


class Word(NamedTuple):
    """One sung word and when it is sung, in seconds from the start of the song."""

    text: Name
    start: Seconds
    end: Seconds


@dataclass(frozen=True)
class Song:
    """What is known about one song. `duration` is in samples per channel at `sample_rate`.

    `aligner` names what found the times of `words`, "" where they were given.
    """

    id: Id
    duration: Samples
    sample_rate: Rate
    title: Name = ""
    artist: Name = ""
    genres: Names = ()
    lyrics: Lyrics = ""
    words: Annotated[tuple[Word, ...], Meta(max_length=1_000_000)] = ()
    language: Name = ""
    license: Name = ""
    source: Name = ""
    aligner: Name = ""

    def to_json(self) -> dict[str, Any]:
        """`aligner` only where there is one, as records have always been."""
        record = asdict(self) | {"genres": list(self.genres), "words": [list(word) for word in self.words]}
        return {name: value for name, value in record.items() if value or name != "aligner"}


class Labels(NamedTuple):
    """What is known about a window. Lengths in samples; -1 is an empty genre slot; lyric token 0 is padding."""

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
        import torch  # not at the top: processes that only prepare songs start without it

        return Labels(*(torch.stack(fields) for fields in zip(*items, strict=True)))


class AudioBatch(NamedTuple):
    """Clips of songs: audio [B, 1, N] in [-1, 1]."""

    audio: Tensor

    @property
    def token_count(self) -> int:
        return self.audio.numel()

    @property
    def samples(self) -> int:
        return self.audio.numel()


class AlignedBatch(NamedTuple):
    """Clips and their words: audio [B, 1, N]; spans [B, W, 2] in samples of the clip, (0, 0) where there is no word;
    tokens [B, W, L], the letters of each word from 1, 0 as padding and throughout for a word that the clip cuts."""

    audio: Tensor
    spans: Tensor
    tokens: Tensor

    @property
    def token_count(self) -> int:
        return self.audio.numel()

    @property
    def samples(self) -> int:
        return self.audio.numel()


class CodesBatch(NamedTuple):
    """Windows of codes [B, T] of one level, the codes above them [B, T / factor] (None at the top) and their labels.

    `sung` [B, T]: which of the lyric tokens is sung at each code, -1 where none is or nobody knows.
    """

    codes: Tensor
    upper: Tensor | None
    labels: Labels
    sung: Tensor | None = None

    @property
    def token_count(self) -> int:
        return self.codes.numel()

    @property
    def samples(self) -> int:
        """Of the sound that the codes stand for."""
        return int(self.labels.duration.sum())


# Names and their weights, above zero; what counts is each one's share of the sum.
Blend = Annotated[Mapping[str, float], Meta(max_length=1000)]


def genres_of(given: Any) -> Any:
    """The genres of a request: one name alone as a tuple of it."""
    if isinstance(given, str):
        return (given,) if given else ()
    return tuple(given) if isinstance(given, list) else given


@dataclass(frozen=True)
class Section:
    """What changes at `start_seconds` of a request and holds from there on; None stays as it was.

    New lyrics are spread over the time up to the next new lyrics, or the end of the song.
    """

    start_seconds: Seconds
    artist: Name | Blend | None = None
    genres: Names | Blend | None = None
    lyrics: Lyrics | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "genres", genres_of(self.genres))


@dataclass(frozen=True)
class SongRequest:
    """What to sing. `offset_seconds` is where in the imagined song of `total_seconds` the sampling starts.

    A mapping of weights blends artists or genres: {"Ada": 0.7, "Ben": 0.3}. A tuple of genres is a song that has them all,
    a name alone is one genre.
    """

    artist: Name | Blend = ""
    genres: Names | Blend = ()
    lyrics: Lyrics = ""
    seconds: Seconds = 10.0
    total_seconds: Seconds | None = None
    offset_seconds: Seconds = 0.0
    schedule: Annotated[tuple[Section, ...], Meta(max_length=10_000)] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "genres", genres_of(self.genres))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class LevelParams(NamedTuple):
    """How to draw the codes of one level. 0 switches top_k and top_p off."""

    temperature: float
    top_k: int
    top_p: float
    hop_fraction: float
    parallel_windows: int = 1
    guidance: float = 1.0


# What each parameter must be, as a test and in words.
LIMITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "temperature": (lambda value: 0 < value < math.inf, "be above zero"),
    "top_k": (lambda value: value >= 0 and value == int(value), "be a whole number of codes, or 0 for all"),
    "top_p": (lambda value: 0 <= value <= 1, "lie in [0, 1]"),
    "hop_fraction": (lambda value: 0 < value <= 1, "lie in (0, 1]"),
    "parallel_windows": (lambda value: value >= 1 and value == int(value), "be a whole number of at least 1"),
    "guidance": (lambda value: 0 <= value < math.inf, "be at least 0 (1 switches it off)"),
}


@dataclass(frozen=True)
class SamplingParams:
    """How to draw. One value serves every level; a tuple gives one per level, bottom first.

    `hop_fraction`: the part of a window by which the next one moves on (released: 0.5, 0.5, 0.125). `parallel_windows`: into
    how many segments a level is cut that are sampled side by side, each without what stands before it; one number is for
    the levels below the top, which alone remembers a song from window to window. `guidance`: how far to go from what the
    prior writes without artist, genres and lyrics to what it writes with them, and beyond (Ho and Salimans 2022); other than
    1 it costs a second pass. Raises UserError for values out of range.
    """

    temperature: float | tuple[float, ...] = 0.99
    top_k: int | tuple[int, ...] = 0
    top_p: float | tuple[float, ...] = 0.0
    hop_fraction: float | tuple[float, ...] = (0.5, 0.5, 0.125)
    parallel_windows: int | tuple[int, ...] = 1
    guidance: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        for name, (holds, expected) in LIMITS.items():
            given = getattr(self, name)
            for value in given if isinstance(given, tuple) and given else (given,):
                if not is_number(value) or not holds(value):
                    raise UserError(f"{name} must {expected}, found {value!r}")

    def at(self, level: int) -> LevelParams:
        """The parameters of one level; the last of a tuple serves the levels above it too."""
        values = (v[min(level, len(v) - 1)] if isinstance(v, tuple) else v for v in vars(self).values())
        return LevelParams(*values)

    @property
    def side_by_side(self) -> int:
        """The most windows of one song that are sampled at once."""
        return max(self.parallel_windows) if isinstance(self.parallel_windows, tuple) else self.parallel_windows

    def to_json(self) -> dict[str, Any]:
        """`guidance` only where there is some, as records, and the names of songs made from them, have always been."""
        return {name: value for name, value in asdict(self).items() if name != "guidance" or value != 1.0}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SamplingParams:
        """Raises TypeError on unknown fields, UserError for values out of range."""
        return cls(**without_lists(record))


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def without_lists(record: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}


@dataclass
class SampledSong:
    """A song made by the models: audio [1, N], the codes of every level [T_l] and what is needed to make it again.

    `attention` [columns, characters]: what the prior looks at in its lyrics while it goes on, None where that is not known.
    `took`: seconds that the sampling of each level took.
    """

    audio: Tensor
    sample_rate: int
    codes: dict[int, Tensor]
    request: SongRequest
    params: SamplingParams
    seed: int
    words: tuple[Word, ...] = field(default=())
    attention: Tensor | None = None
    took: dict[int, float] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """What a notebook shows: a player, who sings, from which seed, and the words; all that was asked is escaped."""
        pcm = (self.audio.detach().cpu().float()[0].clamp(-1, 1) * 32767).short().numpy().astype("<i2").tobytes()
        data = io.BytesIO()
        with wave.open(data, "wb") as file:
            file.setparams((1, 2, self.sample_rate, 0, "NONE", ""))
            file.writeframes(pcm)
        source = f"data:audio/wav;base64,{base64.b64encode(data.getvalue()).decode()}"
        asked = [self.request.artist, self.request.genres or "", f"{self.audio.shape[-1] / self.sample_rate:.1f} s"]
        facts = ", ".join(", ".join(part) if isinstance(part, tuple) else str(part) for part in asked if part)
        said = html.escape(f"{facts}, seed {self.seed}"), html.escape(self.request.lyrics)
        return f'<p>{said[0]}</p><audio controls src="{source}"></audio><pre style="white-space: pre-wrap">{said[1]}</pre>'
