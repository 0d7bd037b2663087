"""Singing for the aligner: audio shards with word times to AlignedBatch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from datamodules.audio import DecodedSongs
from datamodules.crops import Crop
from datamodules.loading import ShardDataModule
from jukebox_pl.catalog.shards import TRAIN, SongEntry
from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import letters
from jukebox_pl.types import AlignedBatch


class ClipWord(NamedTuple):
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
        self.crop_length = math.ceil(self.clip * math.exp(self.speed))  # what the fastest clip takes
        self.letters = {letter: token for token, letter in enumerate(characters, start=1)}
        self.decoded = DecodedSongs()
        for split in (TRAIN, self.held_out_split):
            if not any(map(self.positions, self.catalog.songs(split))):
                raise UserError(
                    f"no {split} song in {path} was given its word times: prepare songs that have them, in both splits"
                )

    def positions(self, song: SongEntry) -> int:
        return song["samples"] if song["words"] and not song.get("aligner") else 0

    def collate(self, crops: list[Crop]) -> AlignedBatch:
        sounds: list[np.ndarray] = []
        words: list[list[ClipWord]] = []
        for crop in crops:
            # Samples of the song a sample of the clip. Held-out crops, whose draws are 1, keep their own speed.
            draw = crop.dropout_draws[0]
            speed = math.exp(self.speed * (2 * draw - 1)) if draw < 1 else 1.0
            song = self.decoded(crop.sample)[crop.start : crop.start + self.crop_length] / np.float32(32767)
            sounds.append(np.interp(np.arange(self.clip) * speed, np.arange(len(song)), song).astype(np.float32))
            words.append(list(self._words(crop, speed)))
        most = max(map(len, words))
        longest = max((len(word.letters) for clip in words for word in clip), default=0)
        spans, spelt = np.zeros((len(crops), most, 2), np.float32), np.zeros((len(crops), most, longest), np.int64)
        for i, clip in enumerate(words):
            for j, word in enumerate(clip):
                spans[i, j], spelt[i, j, : len(word.letters)] = word.span, word.letters
        audio = torch.from_numpy(np.stack(sounds)).unsqueeze(1)  # [B, 1, clip]
        return AlignedBatch(audio, torch.from_numpy(spans), torch.from_numpy(spelt))

    def _words(self, crop: Crop, speed: float) -> Iterator[ClipWord]:
        """The words that can be heard in a clip, whole or cut."""
        rate = crop.sample.song.sample_rate
        for word in crop.sample.song.words:
            start, end = ((seconds * rate - crop.start) / speed for seconds in (word.start, word.end))
            if start < self.clip and end > 0:
                spelt = letters(word.text)
                known = start >= 0 and end <= self.clip and set(spelt) <= self.letters.keys()
                yield ClipWord((max(start, 0), min(end, self.clip)), [self.letters[x] for x in spelt] if known else [])
