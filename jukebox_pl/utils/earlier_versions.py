"""What version 0.1.0 called things, in files and in settings, and what they are called now. No other place knows."""

from __future__ import annotations

import re
from typing import Any

# Records of a stage: `config.json` was `asked.json`, `result.json` was `done.json`.
RECORDS = {"config.json": "asked.json", "result.json": "done.json"}

# Where the classes that YAML names have moved to.
TARGETS = {
    "jukebox_pl.stages.training.": "jukebox_pl.pipeline.train.",
    "jukebox_pl.stages.catalog.": "jukebox_pl.pipeline.prepare.",
    "jukebox_pl.stages.encode.": "jukebox_pl.pipeline.encode.",
    "jukebox_pl.stages.finetune.": "jukebox_pl.pipeline.finetune.",
    "jukebox_pl.stages.bundle.": "jukebox_pl.pipeline.bundle.",
    "jukebox_pl.stages.song.": "jukebox_pl.pipeline.song.",
    "jukebox_pl.stages.optim.": "jukebox_pl.training.optim.",
    "jukebox_pl.stages.": "jukebox_pl.training.modules.",
    "jukebox_pl.catalog.views.": "jukebox_pl.audio.augmentations.",
}
# Arguments of networks: keys of their configs, and the last part of settings below `size.`
ARGUMENTS = {"emb": "code_dim", "growth": "dilation_growth"}
# Beginnings of the names of numbers: columns of metrics.csv.
METRICS = {"held_out/": "val/"}

_BEGINNINGS = TARGETS | METRICS
_BEGINNING = re.compile("|".join(map(re.escape, _BEGINNINGS)))


def renamed(record: Any) -> Any:
    """A record of version 0.1.0 under the names of today; one of today stays as it is."""
    if isinstance(record, dict):
        return {ARGUMENTS.get(key) or renamed(key): renamed(value) for key, value in record.items()}
    if isinstance(record, list):
        return [renamed(value) for value in record]
    if isinstance(record, str) and (old := _BEGINNING.match(record)):
        return _BEGINNINGS[old[0]] + record[old.end() :]
    return record
