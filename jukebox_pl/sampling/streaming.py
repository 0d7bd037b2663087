"""A song while it is made: sound as soon as its codes are there."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from jukebox_pl.models.vqvae import VQVAE


class AudioChunk(NamedTuple):
    """audio [1, n] of a song from `start_sample` on, decoded from the codes of `level`."""

    level: int
    start_sample: int
    audio: Tensor


class ChunkDecoder:
    """Decodes the `total` codes of a level as they come. Its chunks joined are what decoding them all at once gives."""

    def __init__(self, vqvae: VQVAE, level: int, total: int):
        self.vqvae, self.level, self.total = vqvae, level, total
        self.hop, self.margin = vqvae.hops[level], vqvae.decoder_margin(level)
        self.done = 0

    def __call__(self, codes: Tensor) -> AudioChunk | None:
        """The sound, if any, that codes [1, T] from the first one on have settled since the last call.

        The last codes are heard on in what follows them: until that is there, their sound is not settled.
        """
        ready = codes.shape[1] - (self.margin if codes.shape[1] < self.total else 0)
        if ready <= self.done:
            return None
        start, first = self.done, max(self.done - self.margin, 0)
        self.done = ready
        audio = self.vqvae.decode_long(codes[:, first:], self.level)[0].cpu()
        return AudioChunk(self.level, start * self.hop, audio[:, (start - first) * self.hop : (ready - first) * self.hop])
