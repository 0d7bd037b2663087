"""Questions about a bundle, asked on songs it was not trained on. Each is a class in a file of its own."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.inference.convolutions import fast_convolutions
from jukebox_pl.types import SampledSong, Song
from jukebox_pl.utils.progress import Meter

CANNOT_TELL = "cannot_tell"  # the one figure of a question without an answer


class CannotTell(Exception):
    """One line: what these songs or this bundle cannot answer, and what it would take."""


class Table(NamedTuple):
    """Shown in the terminal and on the page; all cells are text. `note`: protocol and published anchor."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class Picture(NamedTuple):
    """A heat map: values [rows, columns], row 0 at the bottom, the columns over `seconds`; `rows` says what the rows are."""

    values: np.ndarray
    seconds: float
    rows: str


class Answer(NamedTuple):
    """`figures` go to evaluation.json under the question's name; pictures and sounds [T] go by caption."""

    figures: dict[str, Any]
    tables: tuple[Table, ...] = ()
    pictures: Mapping[str, Picture] = MappingProxyType({})
    sounds: Mapping[str, Tensor] = MappingProxyType({})


class SongAudio(NamedTuple):
    """A song and its sound [1, 1, N], N a multiple of the top hop."""

    song: Song
    audio: Tensor


class Songs(Protocol):
    """Songs to ask about, chosen before one is read. Each is read when it is its turn, every time they are iterated."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[SongAudio]: ...


class SampledFor(NamedTuple):
    """The beginning of a song as the bundle makes it under its labels and lyrics.

    `song` is the whole song; `sampled` has the codes of all levels and the audio [1, N] of `sampled.request.seconds`.
    """

    song: Song
    sampled: SampledSong


class SampleSongs(Protocol):
    def __call__(
        self,
        songs: Sequence[Song],
        seed: int,
        codes: Mapping[int, Tensor] | None = None,
        levels: Collection[int] | None = None,
        seconds: float | None = None,
    ) -> list[SampledSong]:
        """The beginnings of songs, side by side, each under its own labels, lyrics and length.

        `codes` [B, T_l] given are kept; `levels` are those to draw (all by default). `seconds` of each, or as many as the
        settings say; never more than the shortest has.
        """


@dataclass(frozen=True)
class Evidence:
    """What a question may look at. Where no song is held out, `songs` are training songs and `held_out` is False."""

    bundle: Bundle
    songs: Songs
    training: Songs  # all songs that it was trained on
    sample: SampleSongs
    seed: int = 0
    held_out: bool = True
    sample_count: int = 3

    @property
    def kind(self) -> str:
        """What every text calls the songs."""
        return "held-out songs" if self.held_out else "training songs (none is held out)"

    @cached_property
    def samples(self) -> Sequence[SampledFor]:
        """Songs made under the labels of `sample_count` of the songs, those with lyrics first; all of one duration.

        Made at the first use. Raises CannotTell when there is no song.
        """
        songs = sorted((song for song, _ in self.songs), key=lambda song: not song.lyrics)[: self.sample_count]
        if not songs:
            raise CannotTell("there is no song to sample under the labels of: that takes one, and samples=1")
        return list(map(SampledFor, songs, self.sample(songs, self.seed)))


class Question(Protocol):
    """Goes through the songs and holds one at a time: `map` lets go of a song before the next is read, `for` does not."""

    def __call__(self, evidence: Evidence) -> Answer:
        """Raises CannotTell."""


@dataclass
class MeteredSongs:
    """Songs that tell a meter how many were gone through; those that no model can read are passed over and noted."""

    songs: Songs
    meter: Meter
    task: str = ""
    skipped: set[str] = field(default_factory=set)  # ids

    def __len__(self) -> int:
        return len(self.songs)

    def __iter__(self) -> Iterator[SongAudio]:
        done = 0
        self.meter.update(self.task, done, len(self))
        for song in self.songs:
            if song.audio.shape[-1] and song.audio.isfinite().all():
                yield song
            else:
                self.skipped.add(song.song.id)
            del song  # not held while the next is read
            done += 1
            self.meter.update(self.task, done, len(self))


class Evaluation(NamedTuple):
    """What came of the questions, by name, and under which protocol."""

    answers: dict[str, Answer]
    protocol: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"protocol": self.protocol} | {name: answer.figures for name, answer in self.answers.items()}


@torch.inference_mode()
def evaluate(
    evidence: Evidence, questions: Mapping[str, Question], meter: Meter, protocol: Mapping[str, Any] = MappingProxyType({})
) -> Evaluation:
    """Asks one question after the other; one that cannot tell answers with that line, and the others go on."""
    bundle, songs, training = evidence.bundle, *(MeteredSongs(songs, meter) for songs in (evidence.songs, evidence.training))
    for network in (bundle.vqvae, *bundle.priors.values()):
        fast_convolutions(network)
    evidence = replace(evidence, songs=songs, training=training)
    answers = {}
    for name, question in questions.items():
        songs.task, training.task = name, f"{name}, training songs"
        try:
            answer = question(evidence)
            answers[name] = answer._replace(figures=to_json(answer.figures))
        except CannotTell as reason:
            answers[name] = Answer({CANNOT_TELL: str(reason)})
    known = {"songs": len(songs), "skipped": len(songs.skipped), "held_out": evidence.held_out, "seed": evidence.seed}
    levels = [{"level": level, "hop": hop} for level, hop in enumerate(bundle.vqvae.hops)]
    return Evaluation(answers, {**known, **protocol, "sample_rate": bundle.sample_rate, "levels": levels})


def to_json(value: Any) -> Any:
    """Figures as JSON has them: keys are text, and what is no finite number is None."""
    if isinstance(value, Mapping):
        return {str(key): to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
