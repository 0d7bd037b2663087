"""How much of the singing do the separators find, and how fast are they?

Command:  python benchmarks/separation.py [--voices FOLDER] [--model-path FOLDER] [--demucs-repo FOLDER]
Cost:     about 5 minutes of one CPU core
Result:   two tables in Markdown: SI-SDR of the vocals against their known part, beside that of the mix left as it is (more
          is better), and seconds of song for a second of CPU.

The songs are the demo's, whose parts are known, and the demo's voices over the instrumentals (songs without a language) of
the catalog that JUKEBOX_CATALOG names; with --voices recordings of speech or singing over them too. A separator whose
weights are missing is timed at its true size with random ones, and its quality is left open.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio as si_sdr

from datamodules.demo import make_song
from datamodules.demo.bands import GENRES
from datamodules.demo.voices import ARTISTS
from jukebox_pl import audio
from jukebox_pl.catalog.separators.demucs import Demucs
from jukebox_pl.catalog.separators.hpss import HPSS
from jukebox_pl.catalog.separators.separator import Separator
from jukebox_pl.catalog.separators.spleeter import Spleeter, TwoStems
from jukebox_pl.errors import UserError

RATE = 44_100
SECONDS = 12.0
HTDEMUCS = {"sources": ["drums", "bass", "other", "vocals"], "bottom_channels": 512, "segment": 7.8}  # the published one


class Mix(NamedTuple):
    """A song float32 [1, T] and its vocals."""

    kind: str
    song: np.ndarray
    vocals: np.ndarray


def demo_songs() -> Iterator[Mix]:
    for number, (artist, genre) in enumerate((artist, genre) for genre in GENRES for artist in ARTISTS):
        song = make_song(artist, genre, SECONDS, RATE, np.random.default_rng([0, number]))
        yield Mix("demo songs", song.mix[None], song.vocal[None])


def over_instrumentals(kind: str, voices: list[np.ndarray], instrumentals: list[np.ndarray]) -> Iterator[Mix]:
    """Every instrumental with a voice of the same power."""
    for number, band in enumerate(instrumentals):
        voice = np.resize(voices[number % len(voices)], band.shape)
        vocals = 0.1 * voice / voice.std()
        yield Mix(kind, vocals + 0.1 * band / band.std(), vocals)


def instrumentals() -> list[np.ndarray]:
    """Twelve seconds from the middle of every song of the catalog that has no language."""
    table = Path(os.environ.get("JUKEBOX_CATALOG", "."), "catalog.csv")
    rows = list(csv.DictReader(table.open(encoding="utf-8"))) if table.is_file() else []
    return [excerpt(table.parent / row["path"]) for row in rows if not row["language"]]


def excerpt(path: Path, seconds: float = SECONDS) -> np.ndarray:
    """At most `seconds` from the middle of a file, float32 [1, T]."""
    sound, rate = audio.read(path)
    mono = audio.resample(audio.to_channels(sound, 1), rate, RATE)
    start = max(mono.shape[1] - int(seconds * RATE), 0) // 2
    return mono[:, start : start + int(seconds * RATE)]


def all_mixes(voices: Path | None) -> list[Mix]:
    demo, bands = list(demo_songs()), instrumentals()
    mixes = demo + list(over_instrumentals("demo voices, real instrumentals", [mix.vocals for mix in demo], bands))
    if voices:
        recordings = [np.concatenate([excerpt(file) for file in sorted(voices.iterdir())], axis=1)]
        mixes += over_instrumentals("recorded voices, real instrumentals", recordings, bands)
    return mixes


def quality(vocals: np.ndarray, truth: np.ndarray) -> float:
    """SI-SDR in dB."""
    return si_sdr(torch.from_numpy(vocals).double(), torch.from_numpy(truth).double()).item()


class RandomSpleeter(Spleeter):
    """At its true size, to be timed."""

    def __init__(self) -> None:
        self.device, self.network = "cpu", TwoStems().eval()


class RandomDemucs(Demucs):
    """At the size of htdemucs, to be timed."""

    def __init__(self) -> None:
        from demucs.apply import BagOfModels
        from demucs.htdemucs import HTDemucs

        self.device, self.network = "cpu", BagOfModels([HTDemucs(**HTDEMUCS)]).eval()


def trained_or_random(make: Callable[[], Separator], at_random: Callable[[], Separator]) -> tuple[Separator, bool]:
    """A separator, and whether its weights are trained."""
    try:
        return make(), True
    except UserError as error:
        print(f"random weights, for the speed only: {error}\n", flush=True)
        return at_random(), False


def seconds_of_song(separator: Separator, song: np.ndarray) -> float:
    """For a second of CPU time, the first call left out, which loads weights."""
    separator(song[:, :RATE], RATE)
    start = time.process_time()
    separator(song, RATE)
    return song.shape[1] / RATE / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", type=Path, help="a folder of recorded voices")
    parser.add_argument("--model-path", help="what MODEL_PATH names for spleeter")
    parser.add_argument("--demucs-repo", help="the folder of the weights of htdemucs")
    asked = parser.parse_args()
    torch.manual_seed(0)
    mixes = all_mixes(asked.voices)
    separators: dict[str, tuple[Separator, bool]] = {"hpss": (HPSS(), True)}
    separators["spleeter"] = trained_or_random(lambda: Spleeter(asked.model_path), RandomSpleeter)
    separators["demucs"] = trained_or_random(lambda: Demucs(repo=asked.demucs_repo), RandomDemucs)
    trained = {name: separator for name, (separator, is_trained) in separators.items() if is_trained}
    print(row("SI-SDR in dB", "mixes", "the mix as it is", *trained), rule(3 + len(trained)), sep="\n", flush=True)
    for kind in dict.fromkeys(mix.kind for mix in mixes):
        same = [mix for mix in mixes if mix.kind == kind]
        scores = [
            np.mean([quality(separator(mix.song, RATE), mix.vocals) for mix in same]) for separator in trained.values()
        ]
        untouched = np.mean([quality(mix.song, mix.vocals) for mix in same])
        print(row(kind, len(same), *(f"{score:+.1f}" for score in (untouched, *scores))), flush=True)
    minute = np.tile(mixes[0].song, (1, 5))
    print("", row("mono", "seconds of song for a second of CPU"), rule(2), sep="\n")
    for name, (separator, _) in separators.items():
        print(row(name, f"{seconds_of_song(separator, minute):.1f}"), flush=True)


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def rule(columns: int) -> str:
    return "|" + "---|" * columns


if __name__ == "__main__":
    main()
