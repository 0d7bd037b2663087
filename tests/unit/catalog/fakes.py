"""An aligner and a separator that behave as the lyrics, or their settings, tell them to."""

from __future__ import annotations

import ctypes
import os
import signal
import time

import numpy as np

from jukebox_pl.types import Word

PLACE = {"_target_": f"{__name__}.MoodyAligner"}
TRUSTED = [__name__.rpartition(".")[0]]


class MoodyAligner:
    """Places word number n at n tenths of a second, unless the first word is the name of one of `MOODS`."""

    def __call__(self, vocals: np.ndarray, sample_rate: int, lyrics: str) -> object:
        words = [Word(text, n / 10, n / 10 + 0.05) for n, text in enumerate(lyrics.split())]
        return MOODS.get(words[0].text, lambda words: words)(words)


class MoodySeparator:
    """Halves the sound, or answers as `mood` says."""

    def __init__(self, mood: str = ""):
        self.mood = mood

    def __call__(self, audio: np.ndarray, sample_rate: int) -> object:
        return ANSWERS[self.mood](audio)


def hang(words: list[Word]) -> None:
    """As native code does: deaf to signals, and no other thread of Python runs meanwhile."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    ctypes.PyDLL(None).sleep(60)


def fail(words: list[Word]) -> None:
    raise RuntimeError("out of tune")


MOODS = {
    "dies": lambda words: os._exit(1),
    "crashes": lambda words: os.kill(os.getpid(), signal.SIGSEGV),
    "hangs": hang,
    "sleeps": lambda words: time.sleep(60),
    "raises": fail,
    "nothing": lambda words: None,
    "prose": lambda words: "la la la",
    "too-few": lambda words: words[1:],
    "others": lambda words: [word._replace(text="x") for word in words],
    "backwards": lambda words: [word._replace(start=9 - n, end=9 - n) for n, word in enumerate(words)],
    "late": lambda words: [word._replace(start=1e6, end=1e6) for word in words],
    "nan": lambda words: [word._replace(start=float("nan")) for word in words],
}
ANSWERS = {
    "": lambda audio: audio / 2,
    "short": lambda audio: audio[:, 1:],
    "nan": lambda audio: audio * np.nan,
    "silent": lambda audio: audio * 0,
    "nothing": lambda audio: None,
}
