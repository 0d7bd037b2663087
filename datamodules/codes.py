"""Codes for the priors: code shards to CodesBatch. No VQ-VAE in memory."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.crops import Crop
from datamodules.loading import ShardDataModule
from jukebox_pl.catalog.shards import CodesInfo, SongEntry
from jukebox_pl.errors import UserError
from jukebox_pl.text.labels import Labeller, Vocabulary, characters_from
from jukebox_pl.types import CodesBatch, Labels, Song


class CodesDataModule(ShardDataModule):
    """Windows of `ctx` codes of `level`, cut where codes of the top level begin, with the codes above and labels.

    With `label_dropout` a training window is told nothing at all that often, and does without each of artist, genres
    and lyrics on its own that often: what a request leaves out has then been trained too.

    Raises UserError when the shards hold no codes, or a window is no whole number of top codes.
    """

    def __init__(
        self,
        path: str,
        level: int,
        ctx: int,
        lyric_tokens: int = 0,
        genre_slots: int = 5,
        label_dropout: float = 0.0,
        **loading: Any,
    ):
        super().__init__(path, **loading)
        if not 0 <= label_dropout <= 1:
            raise UserError(f"label_dropout={label_dropout}: expected a share from 0 to 1")
        self.label_dropout = label_dropout
        self.info = self._require_codes()
        self.level, self.ctx, self.hops = level, ctx, self.info["hops"]
        self.per_top_code = self.hops[-1] // self.hops[level]
        if ctx % self.per_top_code:
            raise UserError(f"ctx={ctx} at level {level} is no multiple of {self.per_top_code}, the codes of one top code")
        vocabularies = Vocabulary(self.catalog.artists), Vocabulary(self.catalog.genres)
        self.labeller = Labeller(*vocabularies, characters_from(self.catalog.characters), lyric_tokens, genre_slots)

    def _require_codes(self) -> CodesInfo:
        if self.catalog.codes is None:
            raise UserError(f"{self.path} holds audio, not codes; encode it with recipe=codes")
        return self.catalog.codes

    @property
    def crop_length(self) -> int:
        return self.ctx // self.per_top_code

    def positions(self, song: SongEntry) -> int:
        return song["samples"] // self.hops[-1]

    def collate(self, crops: list[Crop]) -> CodesBatch:
        codes = torch.stack([self._cut(crop, self.level) for crop in crops])
        above = self.level + 1
        upper = torch.stack([self._cut(crop, above) for crop in crops]) if above < len(self.hops) else None
        return CodesBatch(codes, upper, Labels.stack([self._labels(crop) for crop in crops]))

    def _cut(self, crop: Crop, level: int) -> Tensor:
        scale = self.hops[-1] // self.hops[level]
        song = crop.sample.codes[level] if crop.sample.codes else np.empty(0)
        return torch.from_numpy(song[crop.start * scale : (crop.start + self.crop_length) * scale].astype(np.int64))

    def _labels(self, crop: Crop) -> Labels:
        song = without_labels(crop.sample.song, [chance < self.label_dropout for chance in crop.dropout_draws])
        return self.labeller.labels(song, crop.start * self.hops[-1], self.ctx * self.hops[self.level])


def without_labels(song: Song, left_out: list[bool]) -> Song:
    """`left_out`: everything, the artist, the genres, the lyrics."""
    everything, artist, genres, lyrics = left_out
    return dataclasses.replace(
        song,
        artist="" if everything or artist else song.artist,
        genres=() if everything or genres else song.genres,
        lyrics="" if everything or lyrics else song.lyrics,
        words=() if everything or lyrics else song.words,
    )
