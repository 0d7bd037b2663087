"""What a song costs on its way into a shard, step by step.

Command:  python benchmarks/prepare.py SONGS [--songs 12] [--sample-rate 44100] [--separator hpss] [--aligner activity]
Cost:     about the time that it reports: 30 s for 12 songs, with a separator minutes
Result:   CPU seconds and speed by step, on one thread

SONGS is a folder or a table, as for `prepare`. Speed is seconds of music per second of one core's time; the songs of an hour
are those of the mean length. Songs without lyrics are separated too, and aligned to those of a song that has some.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jukebox_pl import audio
from jukebox_pl.audio import decode
from jukebox_pl.catalog.alignment import TRUSTED, build
from jukebox_pl.catalog.doctor import examine
from jukebox_pl.catalog.lyrics import read_text
from jukebox_pl.catalog.shards import ShardSample, store, write_shard
from jukebox_pl.catalog.sources import Source, discover
from jukebox_pl.cli.command import recipes_folder
from jukebox_pl.types import Song

LYRICS = "la la la la\n" * 50


class Stopwatch:
    """CPU seconds of this process by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def __call__(self, step: str, function: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.process_time()
        answer = function(*arguments)
        self.seconds[step] += time.process_time() - begun
        return answer


def from_recipe(group: str, name: str | None) -> Any:
    """What a YAML of recipes/GROUP describes."""
    return build(yaml.safe_load((recipes_folder() / group / f"{name}.yaml").read_text()), TRUSTED) if name else None


def prepare_song(
    source: Source, rate: int, models: tuple[Any, Any], folder: Path, watch: Stopwatch
) -> tuple[ShardSample, float]:
    """The steps of `prepare`; returns what goes into the shard, and the length in seconds."""
    separator, aligner = models
    sound, original = watch("decode", decode, source.root / source.path)
    watch("examine", examine, sound, original)
    seconds = sound.shape[1] / original
    sound = watch("resample", convert, sound, original, rate)
    flac = watch("encode to FLAC", audio.encode, sound, rate)
    watch("write", store, folder / f"{source.id}.flac", flac)
    if aligner:
        vocals = watch("separate", separator, sound, rate) if separator else sound
        watch("align", aligner, vocals, rate, read_text(source)[0] or LYRICS)
    return ShardSample(Song(source.id, sound.shape[1], rate), audio=flac), seconds


def convert(sound: np.ndarray, original: int, rate: int) -> np.ndarray:
    return audio.resample(audio.to_channels(sound, 1), original, rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--songs", type=int, default=12)
    parser.add_argument("--sample-rate", type=int, default=audio.SAMPLE_RATE)
    parser.add_argument("--separator")
    parser.add_argument("--aligner")
    options = parser.parse_args()
    sources = discover(options.catalog)[0][: options.songs]
    models = from_recipe("separator", options.separator), from_recipe("aligner", options.aligner)
    watch = Stopwatch()
    importlib.import_module("webdataset")  # once a run of `prepare`, not once a shard
    with tempfile.TemporaryDirectory() as folder:
        songs = [prepare_song(source, options.sample_rate, models, Path(folder), watch) for source in sources]
        watch("pack", write_shard, Path(folder) / "0.tar", [sample for sample, _ in songs])
    report(watch.seconds, [seconds for _, seconds in songs])


def report(spent: dict[str, float], lengths: list[float]) -> None:
    music = sum(lengths)
    print(f"{len(lengths)} songs, {music:.0f} s of music\n")
    print("| step | CPU seconds | times real time | songs an hour |\n|---|---|---|---|")
    for step, seconds in [*spent.items(), ("all", sum(spent.values()))]:
        speed = music / max(seconds, 1e-6)
        print(f"| {step} | {seconds:.2f} | {speed:,.0f} | {3600 * speed / np.mean(lengths):,.0f} |")


if __name__ == "__main__":
    main()
