"""What there is to hear and see of a stage, and what of it a logger keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Clip(NamedTuple):
    """A sound, float32 [C, T] from -1 to 1, and what it is: song, level, artist, seed, as far as there is one."""

    audio: np.ndarray
    about: Mapping[str, Any] = {}


class Picture(NamedTuple):
    """The bytes of a PNG, and what they show."""

    png: bytes
    caption: str = ""


class Media(NamedTuple):
    """Sounds, pictures, numbers and the values [N] of histograms, by name. Sounds that belong together, an original and what
    each level makes of it, are of one Media; `title` is what they are together."""

    title: str = ""
    audio: Mapping[str, Clip] = {}
    images: Mapping[str, Picture] = {}
    numbers: Mapping[str, float] = {}
    histograms: Mapping[str, np.ndarray] = {}


class Output(NamedTuple):
    """What a stage has left: `place`, a folder or a URL, of some `kind` (catalog, codes, model, bundle, song) under a
    `fingerprint`, from the outputs with the fingerprints in `made_from`; the numbers of its `summary`."""

    kind: str
    place: str
    fingerprint: str
    made_from: Mapping[str, str]
    summary: Mapping[str, Any]
    steps: int = 0


class MediaLogger(ABC):
    """A logger that keeps sounds and pictures beside numbers.

    No structural protocol: Lightning's own WandbLogger has methods of these names that take something else.
    """

    @abstractmethod
    def log_media(self, media: Media, sample_rate: int, step: int) -> None:
        """Keeps what was made of the network as it is at `step`."""

    def log_output(self, output: Output) -> None:  # noqa: B027  # files are there already
        """Keeps what a stage has left, now that it is complete."""


def caption(name: str, about: Mapping[str, Any], step: int) -> str:
    """One line on a clip: `level_1: Mira Hush - Lodu, level 1, step 100`."""
    song = " - ".join(str(about[part]) for part in ("artist", "song") if about.get(part))
    others = [f"{part} {about[part]}" for part in ("level", "seed") if part in about]
    return f"{name}: {', '.join(filter(None, (song, *others, f'step {step}')))}"


def table_of(media: Media, step: int) -> tuple[Sequence[str], list[list[Any]]]:
    """Columns and rows, one a clip: of every step the same, so that steps can be set side by side. `audio` is a Clip."""
    columns = ["step", "name", "song", "artist", "genres", "lyrics", "level", "seed", "audio"]
    rows = [
        [step, name, *(str(clip.about.get(column, "")) for column in columns[2:-1]), clip]
        for name, clip in media.audio.items()
    ]
    return columns, rows


def section_of(stage: str, order: Sequence[str]) -> str:
    """The name of a stage in a dashboard, which sorts by name: `s2_vqvae`, the second of those in `order`."""
    return f"s{list(order).index(stage) + 1}_{stage}" if stage in order else stage
