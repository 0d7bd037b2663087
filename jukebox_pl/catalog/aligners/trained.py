"""Alignment by a network that `recipe=aligner` has trained."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from jukebox_pl import audio, checkpoints
from jukebox_pl.catalog.aligners.ctc import CTCAligner, Emissions
from jukebox_pl.errors import UserError
from jukebox_pl.inference.convolutions import fast_convolutions
from jukebox_pl.models.aligner import AcousticModel
from jukebox_pl.text.characters import letters
from jukebox_pl.utils.files import read_json

NETWORK = "jukebox_pl.models.aligner.AcousticModel"


class TrainedAligner(CTCAligner):
    """`path`: the folder RUN/aligner/model. Raises UserError when it holds no such network.

    What is heard everywhere counts less: log-probabilities lose `prior` times the log of their mean over the song, which
    on real songs keeps words out of the long vowels and silences that the network is too sure of.
    """

    def __init__(self, path: str, prior: float = 0.4):
        self.path, self.prior = path, prior
        try:
            found = read_json(Path(path) / "config.json", "a trained model")["model"]["_target_"]
        except (UserError, LookupError, TypeError):
            found = "nothing"
        if found != NETWORK:
            raise UserError(f"path={path} holds {found}, expected RUN/aligner/model of a run of recipe=aligner")

    @cached_property
    def model(self) -> AcousticModel:
        """Loaded at the first call, in the process that aligns."""
        model = checkpoints.load(self.path).model
        assert isinstance(model, AcousticModel)
        fast_convolutions(model)
        return model

    def emissions(self, vocals: np.ndarray, sample_rate: int) -> Emissions:
        mono = audio.resample(audio.downmix(vocals)[None], sample_rate, self.model.sample_rate)
        with torch.inference_mode():
            log_probs = self.model(torch.from_numpy(mono))[0].numpy()
        common = np.log(np.exp(log_probs).mean(axis=0))
        return Emissions(log_probs - self.prior * common, self.model.frame_seconds)

    def tokenize(self, word: str) -> list[int]:
        """Token 0 is the blank."""
        characters = self.model.characters
        return [1 + characters.index(letter) for letter in letters(word) if letter in characters]
