"""The likeliest way for a text to run through the frames of a CTC network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from jukebox_pl.errors import UserError

SILENT = -1
FROM_BLANK, FROM_TOKEN = 1, 2

Frames = tuple[int, int]  # the first, and the one after the last


def word_frames(log_probs: np.ndarray, words: Sequence[Sequence[int]], blank: int = 0) -> list[Frames | None]:
    """From where to where each word, given by its tokens, runs through log_probs [T, V]; None for one without tokens.

    Raises UserError when no word has any, or when there are too few frames.
    """
    tokens = list(chain(*words))
    if not tokens:
        raise UserError("no character of the lyrics is one that the network knows")
    path = best_path(log_probs, tokens, blank)
    sung = np.flatnonzero(path != SILENT)
    ends = np.cumsum([len(word) for word in words])
    first = sung[np.searchsorted(path[sung], ends - [len(word) for word in words]) % len(sung)]
    last = sung[np.searchsorted(path[sung], ends - 1, side="right") - 1] + 1
    return [(int(a), int(b)) if word else None for word, a, b in zip(words, first, last, strict=True)]


def best_path(log_probs: np.ndarray, tokens: Sequence[int], blank: int = 0) -> np.ndarray:
    """The index into `tokens` of what each frame of `log_probs` [T, V] sings, SILENT where it is a blank: int [T].

    By the rules of CTC (Graves et al. 2006): every token in order for one frame or more, blanks anywhere between, at
    least one between two tokens that are alike. Takes 2 bytes a frame and token: 10 minutes of 20 ms frames with 4000
    characters are 240 MB. Raises UserError when there are too few frames.
    """
    wanted = np.asarray(tokens, dtype=np.int64)
    joins = np.append(False, wanted[1:] != wanted[:-1])
    silent, sung = np.full(len(wanted) + 1, -np.inf), np.full(len(wanted), -np.inf)
    silent[0] = 0.0
    steps = np.zeros((len(log_probs), len(wanted)), np.uint8)
    ends = np.zeros((len(log_probs), len(wanted) + 1), bool)
    for frame, row in enumerate(log_probs):
        joined = np.where(joins, np.append(-np.inf, sung[:-1]), -np.inf)
        begun = np.maximum(sung, silent[:-1])
        ended = np.append(-np.inf, sung)
        steps[frame] = np.where(joined > begun, FROM_TOKEN, silent[:-1] > sung)
        ends[frame] = ended > silent
        silent = np.maximum(silent, ended) + row[blank]
        sung = np.maximum(begun, joined) + row[wanted]
    if max(silent[-1], sung[-1]) == -np.inf:
        raise UserError(f"{len(wanted)} characters do not fit into {len(log_probs)} frames: is this the whole song?")
    return _trace(steps, ends, sung[-1] > silent[-1])


def _trace(steps: np.ndarray, ends: np.ndarray, sings: bool) -> np.ndarray:
    """Back from the last frame, which ends in the last token or in the blank after it. Blank i stands before token i."""
    path = np.full(len(steps), SILENT)
    at = steps.shape[1] - int(sings)
    for frame in range(len(steps) - 1, -1, -1):
        if sings:
            path[frame] = at
            step = steps[frame, at]
            sings, at = step != FROM_BLANK, at - int(step == FROM_TOKEN)
        elif ends[frame, at]:
            sings, at = True, at - 1
    return path
