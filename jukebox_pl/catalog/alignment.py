"""When each word is sung, found from the sound: a separator takes the voice out, an aligner places the words.

Both are built in the process that uses them, from a config of YAML: `_target_` names the class, the rest are its
arguments, which may hold further ones. What they answer is not trusted: they wrap programs and models from anywhere.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
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


class WordFinder(NamedTuple):
    """An aligner behind a separator; `separator` None leaves the voice in the mix."""

    separator: Separator | None
    aligner: Aligner

    @classmethod
    def of(cls, settings: PrepareSettings) -> WordFinder:
        """Built once a process. Raises UserError when a config names anything but a class to trust, or does not fit it."""
        configs = json.dumps([settings.separator, settings.aligner, settings.trusted])
        if configs not in _FINDERS:
            separator, aligner, trusted = json.loads(configs)
            trusted = (*TRUSTED, *(f"{package}." for package in trusted or ()))
            finder = cls(build(separator, trusted) if separator else None, build(aligner, trusted))
            for config, built in zip((separator, aligner), finder, strict=True):
                if built is not None and not callable(built):
                    raise UserError(f"{config} names nothing that can be called: expected a class in {TARGET}")
            _FINDERS[configs] = finder
        return _FINDERS[configs]

    def __call__(self, sound: np.ndarray, song: Song) -> Song:
        """The song with the times of its words in `sound` [C, T], to the millisecond, and the classes that found them.

        Raises UserError on answers that cannot be.
        """
        vocals = require_vocals(self.separator(sound, song.sample_rate), sound) if self.separator else sound
        answer = self.aligner(vocals, song.sample_rate, song.lyrics)
        found = require_alignment(answer, song.lyrics, song.duration / song.sample_rate)
        words = tuple(Word(text, round(start, SECOND_DIGITS), round(end, SECOND_DIGITS)) for text, start, end in found)
        found_by = " of ".join(type(each).__name__ for each in (self.aligner, self.separator) if each)
        return replace(song, words=words, aligner=found_by)


_FINDERS: dict[str, WordFinder] = {}  # by their configs as JSON: models are loaded once a process


def build(config: Any, trusted: Sequence[str]) -> Any:
    """What a config describes: mappings with `_target_` become objects of that class, innermost first.

    Raises UserError on a class that is not from the `trusted` packages ("name."), is not there, or takes other settings.
    """
    if isinstance(config, list):
        return [build(item, trusted) for item in config]
    if not isinstance(config, Mapping):
        return config
    arguments = {key: build(value, trusted) for key, value in config.items() if key != TARGET}
    if TARGET not in config:
        return arguments
    target = str(config[TARGET])
    module, _, name = target.rpartition(".")
    if not f"{module}.".startswith(tuple(trusted)):
        packages = ", ".join(package.rstrip(".") for package in trusted)
        raise UserError(f"{target} is not from {packages}: add its package to trusted=[...] if you trust it")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise UserError(f"{target} cannot be imported: {error}") from error
    if not isinstance(found, type):  # a function of a trusted module may do anything
        raise UserError(f"{module} has no class {name!r}")
    try:
        return found(**arguments)
    except TypeError as error:
        raise UserError(f"{target} does not take these settings: {error}") from error
