"""What a song may go on from: a recording of any rate and format, or codes.npz of another song."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from jukebox_pl import audio
from jukebox_pl.audio.mix import mix_matrix
from jukebox_pl.audio.streams import cut, open_regular
from jukebox_pl.errors import UserError
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.sessions.models import Models
from jukebox_pl.utils import codes as codes_file
from jukebox_pl.utils.codes import Codes

MOST_SECONDS = 1200  # of a prompt whose length is not said
MOST_BYTES = 2**28  # of a codes.npz: three hours have 32 MB
QUIETEST = 1e-3  # the loudest sample of what is no silence: -60 dB


class Prompt(NamedTuple):
    """A file, how much of it is taken, and where that begins; None takes all that follows."""

    path: Path
    seconds: float | None = None
    from_seconds: float = 0.0

    def fingerprint(self) -> str:
        """Names the contents of the file. Raises UserError when there is none."""
        try:
            with open_regular(self.path) as file:
                return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()[:16]
        except (UserError, OSError) as error:
            raise UserError(f"prompt={self.path} cannot be read: {error}") from None

    def codes(self, models: Models, sampler: Sampler, most_seconds: float = math.inf) -> Codes:
        """Of a recording every level, of codes.npz those that it holds; all of one length in seconds.

        Raises UserError for what the models cannot go on from, and before anything is encoded for more than `most_seconds`.
        """
        if self.path.suffix.lower() == ".npz":
            return self._stored(models)
        try:
            sound = self._recorded(models.sample_rate)
        except (UserError, OSError) as error:
            raise UserError(f"prompt={self.path} is no recording that can be read: {error}") from None
        hop = models.hops[models.top]
        taken = self._top_codes(sound.shape[1] // hop, models)
        require_within(taken, models, most_seconds)
        sound = sound[:, : taken * hop]
        if not np.isfinite(sound).all() or np.abs(sound).max() < QUIETEST:
            heard = f"{self.from_seconds:g} to {self.from_seconds + sound.shape[1] / models.sample_rate:g} s"
            raise UserError(
                f"prompt={self.path} is silent from {heard}: begin at another second with prompt_from, "
                "or give another recording"
            )
        return {level: codes.numpy() for level, codes in sampler.encode(torch.from_numpy(sound)).items()}

    def _recorded(self, sample_rate: int) -> np.ndarray:
        """The part [1, N] that is asked for; nothing behind it is decoded."""
        with audio.open_sound(self.path) as stream:
            start = round(self.from_seconds * stream.rate)
            # A second more: what is resampled hears a little of what follows.
            length = round(((MOST_SECONDS if self.seconds is None else self.seconds) + 1) * stream.rate)
            nothing = np.empty((len(stream.speakers), 0), np.float32)
            part = np.concatenate([nothing, *cut(stream.blocks, start, length)], axis=1)
        mono = mix_matrix(stream.speakers, 1) @ part
        if np.abs(mono).max(initial=0.0) < QUIETEST and len(part) > 1:  # channels may cancel
            mono = part[np.abs(part).max(axis=1, initial=0.0).argmax()][None]
        resampled = audio.resample(mono, stream.rate, sample_rate)
        if resampled.shape[1] > MOST_SECONDS * sample_rate and self.seconds is None:
            raise UserError(f"longer than {MOST_SECONDS} s: say how much of it with prompt_seconds")
        return resampled

    def _stored(self, models: Models) -> Codes:
        """Codes [T] of a finished song: in range, of one length, the top among them."""
        try:
            with open_regular(self.path) as file:
                data = file.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                raise ValueError(f"over {MOST_BYTES} bytes")
            codes = codes_file.from_npz(data)
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
        skipped = self._hops(self.from_seconds, models)
        taken = models.lengths(self._top_codes(max(len(codes[models.top]) - skipped, 0), models))
        before = models.lengths(skipped)
        return {level: array[before[level] : before[level] + taken[level]] for level, array in codes.items()}

    def _hops(self, seconds: float, models: Models) -> int:
        """How many top codes fit into so many seconds."""
        return round(seconds * models.sample_rate) // models.hops[models.top]

    def _top_codes(self, there: int, models: Models) -> int:
        """How many of those that are there are taken."""
        seconds, shortest = models.seconds(models.top, there), models.seconds(models.top, 1)
        taken = there if self.seconds is None else self._hops(self.seconds, models)
        if there < 1 and self.from_seconds:
            raise UserError(f"prompt_from={self.from_seconds:g}: {self.path} does not last that long")
        if taken > there:
            behind = f" behind prompt_from={self.from_seconds:g}" if self.from_seconds else ""
            raise UserError(f"prompt_seconds={self.seconds:g}: {self.path} lasts {seconds:.2f} s only{behind}")
        if taken < 1:
            raise UserError(f"prompt={self.path} is too short: less than the {shortest:.4f} s of one top code are taken")
        return taken


def require_within(top_codes: int, models: Models, seconds: float) -> None:
    """Raises UserError when a prompt of so many codes of the top is longer than the song."""
    if (lasts := models.seconds(models.top, top_codes)) >= seconds + models.seconds(models.top, 1):
        raise UserError(
            f"the prompt lasts {lasts:.3f} s, longer than seconds={seconds:g}: ask for more seconds, or take less of it "
            "with prompt_seconds"
        )
