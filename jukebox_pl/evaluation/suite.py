"""Questions about a bundle, asked on songs it was not trained on. Each is a class in a file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.inference.convolutions import fast_convolutions
from jukebox_pl.types import Song
from jukebox_pl.utils.progress import Meter

Figures = dict[int, dict[str, Any]]  # by level and name; None where the songs could not tell


class SongAudio(NamedTuple):
    """A song and its sound [1, 1, N], N a multiple of the top hop."""

    song: Song
    audio: Tensor


class Songs(Protocol):
    """Songs to ask about, chosen before one is read. Each is read when it is its turn, every time they are iterated."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[SongAudio]: ...


class Question(Protocol):
    """Goes through the songs and holds one at a time: `map` lets go of a song before the next is read, `for` does not."""

    def __call__(self, bundle: Bundle, songs: Songs) -> Figures: ...


@dataclass(frozen=True)
class MeteredSongs:
    """Songs that tell a meter how many were gone through."""

    songs: Songs
    meter: Meter
    task: str

    def __len__(self) -> int:
        return len(self.songs)

    def __iter__(self) -> Iterator[SongAudio]:
        done = 0
        self.meter.update(self.task, done, len(self))
        for song in self.songs:
            yield song
            del song  # not held while the next is read
            done += 1
            self.meter.update(self.task, done, len(self))


@torch.inference_mode()
def evaluate(bundle: Bundle, songs: Songs, questions: Iterable[Question], meter: Meter) -> list[dict[str, Any]]:
    """What the questions find, as one record a level, bottom first; the songs are gone through once a question."""
    for network in (bundle.vqvae, *bundle.priors.values()):
        fast_convolutions(network)
    records: list[dict[str, Any]] = [{"level": level, "hop": hop} for level, hop in enumerate(bundle.vqvae.hops)]
    for question in questions:
        figures = question(bundle, MeteredSongs(songs, meter, type(question).__name__))
        for level, found in figures.items():
            records[level] |= found
    return records
