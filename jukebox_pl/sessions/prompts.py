"""What a song may go on from: a recording of any rate and format, or codes.npz of another song."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from jukebox_pl import audio
from jukebox_pl.catalog.decoding import decode
from jukebox_pl.errors import UserError
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.sessions.models import Models
from jukebox_pl.utils import codes as codes_file
from jukebox_pl.utils.codes import Codes

QUIETEST = 1e-3  # the loudest sample of what is no silence: -60 dB


class Prompt(NamedTuple):
    """A file, and how much of its beginning is taken; None takes all."""

    path: Path
    seconds: float | None = None

    def fingerprint(self) -> str:
        """Names the contents of the file. Raises UserError when there is none."""
        try:
            with open(self.path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        except OSError as error:
            raise UserError(f"prompt={self.path} cannot be read: {error.strerror}") from None

    def codes(self, models: Models, sampler: Sampler) -> Codes:
        """Of a recording every level, of codes.npz those that it holds; all of one length in seconds.

        Raises UserError for what the models cannot go on from.
        """
        if self.path.suffix.lower() == ".npz":
            return self._stored(models)
        try:
            recording, rate = decode(self.path)
        except (UserError, OSError) as error:
            raise UserError(f"prompt={self.path} is no recording that can be read: {error}") from None
        sound = audio.resample(audio.to_channels(recording, 1), rate, models.sample_rate)  # [1, N]
        hop = models.hops[models.top]
        sound = sound[:, : self._top_codes(sound.shape[1] // hop, models) * hop]
        if not np.isfinite(sound).all() or np.abs(sound).max() < QUIETEST:
            raise UserError(f"prompt={self.path} is silent: give another part of it, or another recording")
        return {level: codes.numpy() for level, codes in sampler.encode(torch.from_numpy(sound)).items()}

    def _stored(self, models: Models) -> Codes:
        """Codes [T] of a finished song: in range, of one length, the top among them."""
        try:
            codes = codes_file.from_npz(self.path.read_bytes())
            expected = models.lengths(len(codes.get(models.top, ())))
            if models.top not in codes or any(len(array) != expected.get(level) for level, array in codes.items()):
                lengths = {level: len(array) for level, array in sorted(codes.items())}
                raise ValueError(f"{lengths} codes by level found, expected {expected} (or the top ones of them)")
            for level, array in codes.items():
                if len(array) and not 0 <= array.min() <= array.max() < models.bins:
                    found = f"codes {array.min()} to {array.max()} found at level {level}"
                    raise ValueError(f"{found}, expected 0 to {models.bins - 1}")
        except (OSError, ValueError) as error:
            raise UserError(f"prompt={self.path} holds no codes of these models: {error}") from None
        taken = models.lengths(self._top_codes(len(codes[models.top]), models))
        return {level: array[: taken[level]] for level, array in codes.items()}

    def _top_codes(self, there: int, models: Models) -> int:
        """How many of those that are there are taken."""
        seconds, shortest = models.seconds(models.top, there), models.seconds(models.top, 1)
        taken = there if self.seconds is None else round(self.seconds * models.sample_rate) // models.hops[models.top]
        if taken > there:
            raise UserError(f"prompt_seconds={self.seconds:g}: {self.path} lasts {seconds:.2f} s only")
        if taken < 1:
            raise UserError(f"prompt={self.path} is too short: less than the {shortest:.4f} s of one top code are taken")
        return taken
