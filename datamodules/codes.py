"""Codes for the priors: code shards to CodesBatch. No VQ-VAE in memory."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.crops import Crop
from datamodules.loading import ShardDataModule
from jukebox_pl.catalog.shards import SongEntry
from jukebox_pl.errors import UserError
from jukebox_pl.text.labels import Labeller, Vocabulary, characters_from
from jukebox_pl.types import CodesBatch, Labels, Song


class CodesDataModule(ShardDataModule):
    """Windows of `ctx` codes of `level`, cut where codes of the top level begin, with the codes above and labels.

    At a rate of `label_dropout` a training window goes without any labels, and at the same rate without each of artist,
    genres and lyrics on its own: what a request leaves out has then been trained too. With lyrics a batch says where
    in them each code is, as far as word times tell. With `crop_seconds` a batch has only so much of the beginning of
    each window: what is not heard together is not learned by heart.

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
        crop_seconds: float | None = None,
        **loading: Any,
    ):
        super().__init__(path, **loading)
        if not 0 <= label_dropout <= 1:
            raise UserError(f"label_dropout={label_dropout}: expected a share from 0 to 1")
        self.label_dropout = label_dropout
        if self.catalog.codes is None:
            raise UserError(f"{self.path} holds audio, not codes; encode it with recipe=codes")
        self.level, self.ctx, self.hops = level, ctx, self.catalog.codes["hops"]
        self.per_top_code = self.hops[-1] // self.hops[level]
        if ctx % self.per_top_code:
            raise UserError(f"ctx={ctx} at level {level} is no multiple of {self.per_top_code}, the codes of one top code")
        self.crop_length = ctx // self.per_top_code
        if crop_seconds is not None:
            if not crop_seconds > 0:
                raise UserError(f"crop_seconds={crop_seconds}: expected a number above zero, or null for whole windows")
            self.crop_length = min(max(int(crop_seconds * self.catalog.sample_rate) // self.hops[-1], 1), self.crop_length)
        vocabularies = Vocabulary(self.catalog.artists), Vocabulary(self.catalog.genres)
        self.labeller = Labeller(*vocabularies, characters_from(self.catalog.characters), lyric_tokens, genre_slots)

    def positions(self, song: SongEntry) -> int:
        return song["samples"] // self.hops[-1]

    def collate(self, crops: list[Crop]) -> CodesBatch:
        above = self.level + 1
        upper = self._cut(crops, above) if above < len(self.hops) else None
        songs = [self._song(crop) for crop in crops]
        windows = [
            (song, crop.start * self.hops[-1], self.ctx * self.hops[self.level])
            for song, crop in zip(songs, crops, strict=True)
        ]
        labels = Labels.stack([self.labeller.labels(*window) for window in windows])
        sung = None
        if self.labeller.lyric_tokens:
            length = self.crop_length * self.per_top_code
            sung = torch.tensor([self.labeller.sung_tokens(*window, self.ctx)[:length] for window in windows])
        return CodesBatch(self._cut(crops, self.level), upper, labels, sung)

    def _cut(self, crops: list[Crop], level: int) -> Tensor:
        """The windows as codes [B, T] of `level`; starts and lengths of crops are in top codes."""
        scale, codes = self.hops[-1] // self.hops[level], []
        for crop in crops:
            song = crop.sample.codes[level] if crop.sample.codes else np.empty(0)
            codes.append(song[crop.start * scale : (crop.start + self.crop_length) * scale].astype(np.int64))
        return torch.from_numpy(np.stack(codes))

    def _song(self, crop: Crop) -> Song:
        """The song of a crop, without what its dropout draws leave out."""
        everything, artist, genres, lyrics = (draw < self.label_dropout for draw in crop.dropout_draws)
        song = crop.sample.song
        return dataclasses.replace(
            song,
            artist="" if everything or artist else song.artist,
            genres=() if everything or genres else song.genres,
            lyrics="" if everything or lyrics else song.lyrics,
            words=() if everything or lyrics else song.words,
        )
