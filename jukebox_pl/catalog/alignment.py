"""When each word is sung, found from the sound: a separator takes the voice out, an aligner places the words.

Both are built in the process that uses them, from a config of YAML: `_target_` names the class, the rest are its
arguments, which may hold further ones. What they answer is not trusted: they wrap programs and models from anywhere.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from jukebox_pl.catalog.aligners.aligner import Aligner, require_alignment
from jukebox_pl.catalog.separators.separator import Separator, require_vocals
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word

TARGET = "_target_"
TRUSTED = ("jukebox_pl.catalog.",)
SECOND_DIGITS = 3  # no aligner knows better, and one thread more or less shall not change a shard


class Parts(NamedTuple):
    """What finds the words; `separator` None leaves the voice in the mix."""

    separator: Separator | None
    aligner: Aligner

    @property
    def name(self) -> str:
        return " of ".join(type(part).__name__ for part in (self.aligner, self.separator) if part)


def parts_of(settings: PrepareSettings) -> Parts:
    """Built once a process. Raises UserError when a config names something else than a class to trust, or misfits it."""
    return _parts(json.dumps([settings.separator, settings.aligner, settings.trusted]))


@cache
def _parts(configs: str) -> Parts:
    separator, aligner, trusted = json.loads(configs)
    trusted = (*TRUSTED, *(f"{package}." for package in trusted or ()))
    return Parts(build_part(separator, trusted) if separator else None, build_part(aligner, trusted))


def build_part(config: Any, trusted: Sequence[str]) -> Any:
    part = build(config, trusted)
    if not callable(part):
        raise UserError(f"{config} names nothing that can be called: expected a class in {TARGET}")
    return part


def build(config: Any, trusted: Sequence[str]) -> Any:
    """What a config describes: mappings with `_target_` become objects of that class, innermost first."""
    if isinstance(config, Mapping):
        parts = {key: build(value, trusted) for key, value in config.items() if key != TARGET}
        return construct(str(config[TARGET]), parts, trusted) if TARGET in config else parts
    return [build(item, trusted) for item in config] if isinstance(config, list) else config


def construct(target: str, arguments: dict[str, Any], trusted: Sequence[str]) -> Any:
    module, _, name = target.rpartition(".")
    if not f"{module}.".startswith(tuple(trusted)):
        packages = ", ".join(package.rstrip(".") for package in trusted)
        raise UserError(f"{target} is not from {packages}: add its package to trusted=[...] if you trust it")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise UserError(f"{target} cannot be imported: {error}") from error
    if not isinstance(found, type):
        raise UserError(f"{module} has no class {name!r}")
    try:
        return found(**arguments)
    except TypeError as error:
        raise UserError(f"{target} does not take these settings: {error}") from error


def find_words(sound: np.ndarray, song: Song, parts: Parts) -> tuple[Word, ...]:
    """The words of the lyrics with their times in `sound` [C, T], to the millisecond.

    Raises UserError on answers that cannot be.
    """
    vocals = require_vocals(parts.separator(sound, song.sample_rate), sound) if parts.separator else sound
    words = parts.aligner(vocals, song.sample_rate, song.lyrics)
    found = require_alignment(words, song.lyrics, song.duration_seconds)
    return tuple(Word(text, round(start, SECOND_DIGITS), round(end, SECOND_DIGITS)) for text, start, end in found)
