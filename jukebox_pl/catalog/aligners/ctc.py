"""Forced alignment by a network that hears characters: which word runs through which frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from jukebox_pl.catalog.aligners.aligner import complete, require_alignment, seconds_of
from jukebox_pl.catalog.aligners.viterbi import word_frames
from jukebox_pl.types import Word


class Emissions(NamedTuple):
    """Log-probabilities [T, V] of tokens in frames of `frame_seconds`; `delimiter` goes between words where there is one."""

    log_probs: np.ndarray
    frame_seconds: float
    blank: int = 0
    delimiter: tuple[int, ...] = ()


class CTCAligner(ABC):
    """Words at the frames of the likeliest path. A word that the network cannot spell fits between its neighbours."""

    @abstractmethod
    def emissions(self, vocals: np.ndarray, sample_rate: int) -> Emissions:
        """Of vocals [C, T]."""

    @abstractmethod
    def tokenize(self, word: str) -> list[int]:
        """The tokens of a word, none for one that cannot be spelt."""

    def __call__(self, vocals: np.ndarray, sample_rate: int, lyrics: str) -> list[Word]:
        seconds, texts = seconds_of(vocals, sample_rate), lyrics.split()
        if not texts:
            return []
        log_probs, frame_seconds, blank, delimiter = self.emissions(vocals, sample_rate)
        # Each word and the delimiter behind it; behind a word without tokens there is none, or two would have to be heard.
        tokens = [self.tokenize(text) for text in texts]
        parts = [part for word in tokens for part in (word, delimiter if word else ())]
        frames = word_frames(log_probs, parts, blank)[::2]
        spans = [None if run is None else (run[0] * frame_seconds, min(run[1] * frame_seconds, seconds)) for run in frames]
        return require_alignment(complete(texts, spans, seconds), lyrics, seconds)
