"""Singing for the aligner: audio shards with word times to AlignedBatch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from datamodules.audio import DecodedSongs
from datamodules.crops import Crop, require_split
from datamodules.loading import ShardDataModule
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, SongEntry
from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import letters
from jukebox_pl.types import AlignedBatch


class SungWord(NamedTuple):
    """Where in a clip a word is sung, in samples, and its letters as tokens; none for one that the clip cuts."""

    span: tuple[float, float]
    letters: list[int]


class LyricsDataModule(ShardDataModule):
    """Clips of `seconds` of the songs with word times, in training up to e ** `speed` times faster or slower.

    `characters` are the letters that are told apart. Times that an aligner has found are no truth to learn from. Raises
    UserError when no song was given its word times.
    """

    def __init__(self, path: str, seconds: float, characters: str, speed: float = 0.15, **loading: Any):
        super().__init__(path, **loading)
        self.clip, self.speed = round(seconds * self.catalog.sample_rate), speed
        self.letters = {letter: token for token, letter in enumerate(characters, start=1)}
        self.decoded = DecodedSongs()
        for split in (TRAIN, require_split(self.catalog, HELD_OUT)):
            if not any(map(self.positions, self.catalog.songs(split))):
                raise UserError(
                    f"no {split} song in {path} was given its word times: prepare songs that have them, in both splits"
                )

    @property
    def crop_length(self) -> int:
        return math.ceil(self.clip * math.exp(self.speed))

    def positions(self, song: SongEntry) -> int:
        return song["samples"] if song["words"] and not song.get("aligner") else 0

    def collate(self, crops: list[Crop]) -> AlignedBatch:
        speeds = [self._speed(crop) for crop in crops]
        sounds = [self._sound(crop, speed) for crop, speed in zip(crops, speeds, strict=True)]
        words = [list(self._words(crop, speed)) for crop, speed in zip(crops, speeds, strict=True)]
        most = max(map(len, words))
        longest = max((len(word.letters) for clip in words for word in clip), default=0)
        spans, spelt = np.zeros((len(crops), most, 2), np.float32), np.zeros((len(crops), most, longest), np.int64)
        for i, clip in enumerate(words):
            for j, word in enumerate(clip):
                spans[i, j], spelt[i, j, : len(word.letters)] = word.span, word.letters
        return AlignedBatch(
            torch.from_numpy(np.stack(sounds)).unsqueeze(1), torch.from_numpy(spans), torch.from_numpy(spelt)
        )

    def _speed(self, crop: Crop) -> float:
        """Samples of the song a sample of the clip; a crop without dropout_draws keeps its own."""
        return math.exp(self.speed * (2 * crop.dropout_draws[0] - 1)) if crop.dropout_draws[0] < 1 else 1.0

    def _sound(self, crop: Crop, speed: float) -> np.ndarray:
        """Float32 [clip] in [-1, 1]."""
        song = self.decoded(crop.sample)[crop.start : crop.start + self.crop_length]
        return np.interp(np.arange(self.clip) * speed, np.arange(len(song)), song / np.float32(32767)).astype(np.float32)

    def _words(self, crop: Crop, speed: float) -> Iterator[SungWord]:
        rate = crop.sample.song.sample_rate
        for word in crop.sample.song.words:
            start, end = ((seconds * rate - crop.start) / speed for seconds in (word.start, word.end))
            if start < self.clip and end > 0:
                spelt = letters(word.text)
                known = start >= 0 and end <= self.clip and set(spelt) <= self.letters.keys()
                yield SungWord((max(start, 0), min(end, self.clip)), [self.letters[x] for x in spelt] if known else [])
