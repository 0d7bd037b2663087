"""Channels mixed down as ITU-R BS.775 has it, by what each loudspeaker is; the gains sum to one, so that nothing clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HALF_POWER = 0.5**0.5

# What each loudspeaker gives to the left and to the right one. A name that is not here gives the same to both.
SIDES = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (HALF_POWER, HALF_POWER),
    "LFE": (0.0, 0.0),  # BS.775 leaves it out
    "LFE2": (0.0, 0.0),
    "BL": (HALF_POWER, 0.0),
    "BR": (0.0, HALF_POWER),
    "SL": (HALF_POWER, 0.0),
    "SR": (0.0, HALF_POWER),
    "BC": (0.5, 0.5),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "TFL": (HALF_POWER, 0.0),
    "TFR": (0.0, HALF_POWER),
    "TBL": (HALF_POWER, 0.0),
    "TBR": (0.0, HALF_POWER),
    "TSL": (HALF_POWER, 0.0),
    "TSR": (0.0, HALF_POWER),
}
OTHERS = (HALF_POWER, HALF_POWER)
# Files that do not name their channels have them in the order of WAVE_FORMAT_EXTENSIBLE.
USUAL = {
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


def mix_matrix(speakers: Sequence[str], channels: int) -> np.ndarray:
    """[channels, C] for sound of C channels, to one or two: `mix_matrix(...) @ audio [C, T]`.

    Mono is the mean of two channels, two are the copy of one. `speakers` may hold "" where a channel has no name.
    """
    if len(speakers) == channels:
        return np.eye(channels, dtype=np.float32)
    named = speakers if all(speakers) else USUAL.get(len(speakers), speakers)
    sides = np.array([SIDES.get(name, OTHERS) for name in named]).T  # [2, C]
    if not sides.any():
        sides = np.ones_like(sides)
    matrix = sides.mean(axis=0, keepdims=True) if channels == 1 else sides
    total = matrix.sum(axis=1, keepdims=True)
    return (matrix / np.where(total == 0, 1, total)).astype(np.float32)
