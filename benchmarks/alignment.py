"""How far from where they are sung do aligners find the words?

Command:  python benchmarks/alignment.py [--model RUN/aligner/model] [--catalog SONGS [--leave-one-out STEPS]]
Cost:     minutes; --leave-one-out trains a network for each song, a CPU minute for 400 steps each
Result:   a table of word onsets: mean and median absolute error and the share within 0.3 s, averaged over songs

The demo songs, whose times are exact, are others than those of `data=demo`, on which --model may have been trained. Of
SONGS, a catalog as for `prepare`, those with word times count; with --leave-one-out each of them is also aligned by a
network that was trained on the others. --work FOLDER keeps what is made.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mir_eval.alignment import absolute_error, percentage_correct
from rich.console import Console
from rich.table import Table

from datamodules.demo import make_song
from datamodules.demo.bands import GENRES
from datamodules.demo.voices import ARTISTS
from jukebox_pl import audio
from jukebox_pl.catalog.aligners.activity import ActivityAligner
from jukebox_pl.catalog.aligners.aligner import Aligner
from jukebox_pl.catalog.aligners.linear import LinearAligner
from jukebox_pl.catalog.aligners.sphinx import SphinxAligner
from jukebox_pl.catalog.aligners.trained import TrainedAligner
from jukebox_pl.catalog.prepare import prepare
from jukebox_pl.catalog.separators.hpss import HPSS
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog, SongEntry, Split, read_shard, shard_file, write_shard
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

DEMO_SEED, DEMO_SONGS, DEMO_RATE, REAL_RATE = 1, 12, 11_025, 16_000


@dataclass
class Sung:
    """A song [1, T], and what is known of its words."""

    name: str
    sound: np.ndarray
    rate: int
    lyrics: str
    words: tuple[Word, ...]


def demo_songs() -> Iterator[tuple[Sung, np.ndarray]]:
    """Songs that no demo catalog has, and their true vocals [1, T]."""
    for number in range(DEMO_SONGS):
        artist, genre = list(ARTISTS)[number % len(ARTISTS)], list(GENRES)[number % len(GENRES)]
        song = make_song(artist, genre, 12.0, DEMO_RATE, np.random.default_rng([DEMO_SEED, number]))
        yield Sung(song.title, song.mix[None], DEMO_RATE, song.lyrics, tuple(song.words)), song.vocal[None]


def real_songs(catalog: Catalog) -> Iterator[Sung]:
    for shard in catalog.shards(TRAIN):
        for sample in read_shard(shard):
            if sample.song.words:
                sound, rate = audio.read(sample.audio or b"")
                yield Sung(sample.song.title, sound, rate, sample.song.lyrics, sample.song.words)


class Errors(NamedTuple):
    """Of one song: seconds, seconds, a share."""

    mean: float
    median: float
    within: float


def errors(aligner: Aligner, song: Sung, vocals: np.ndarray) -> Errors | None:
    """None where the aligner has no answer."""
    try:
        found = aligner(vocals, song.rate, song.lyrics)
    except UserError as error:
        print(f"{type(aligner).__name__} on {song.name}: {error}", file=sys.stderr)
        return None
    true, guessed = (np.array([word.start for word in words]) for words in (song.words, found))
    median, mean = absolute_error(true, guessed)
    return Errors(mean, median, percentage_correct(true, guessed, window=0.3))


def row(table: Table, name: str, sound: str, scores: Iterable[Errors | None]) -> None:
    """The means over the songs that have an answer."""
    all_scores = list(scores)
    known = [score for score in all_scores if score]
    shown = [f"{value:.2f}" for value in np.mean(known, axis=0)] if known else ["-"] * 3
    table.add_row(name, sound, f"{len(known)}/{len(all_scores)}", *shown)


def others(catalog: Catalog, song: SongEntry, folder: Path) -> Path:
    """Shards of a catalog whose training songs are all but one, which is held out."""
    samples = [sample for shard in catalog.shards(TRAIN) for sample in read_shard(shard)]
    splits = {TRAIN: [entry for entry in catalog.songs(TRAIN) if entry != song], HELD_OUT: [song]}
    for split, entries in splits.items():
        ids = {entry["id"] for entry in entries}
        write_shard(folder / shard_file(split, 0), (sample for sample in samples if sample.song.id in ids))
    shards = {
        split: Split(shards=[{"file": shard_file(split, 0), "songs": len(entries)}], songs=entries)
        for split, entries in splits.items()
    }
    replace(catalog, folder=folder, splits=shards).save()
    return folder


def trained_without(catalog: Catalog, song: SongEntry, steps: int, work: Path) -> TrainedAligner:
    run_dir = work / song["id"]
    words = f"recipe=aligner data=shards logger=csv max_steps={steps}".split()
    paths = [f"data.path={others(catalog, song, run_dir / 'shards')}", f"run_dir={run_dir}"]
    subprocess.run([sys.executable, "-m", "jukebox_pl.fit", *words, *paths], check=True)
    return TrainedAligner(str(run_dir / "aligner/model"))


def score_demo(model: str | None) -> Table:
    songs = list(demo_songs())
    sounds = {
        "mix": [song.sound for song, _ in songs],
        "hpss": [HPSS()(song.sound, song.rate) for song, _ in songs],
        "true vocals": [vocals for _, vocals in songs],
    }
    table = new_table(f"{len(songs)} demo songs")
    aligners = {"linear": LinearAligner(), "activity": ActivityAligner()} | (
        {"trained": TrainedAligner(model)} if model else {}
    )
    for name, aligner in aligners.items():
        for sound, vocals in sounds.items():
            row(table, name, sound, (errors(aligner, song, v) for (song, _), v in zip(songs, vocals, strict=True)))
    return table


def score_real(source: Path, steps: int | None, work: Path) -> Table:
    catalog = prepare(PrepareSettings(source, work / "shards", sample_rate=REAL_RATE, held_out=0, workers=0))
    songs = list(real_songs(catalog))
    sounds = {"mix": [song.sound for song in songs], "hpss": [HPSS()(song.sound, song.rate) for song in songs]}
    table = new_table(f"{len(songs)} real songs")
    for name, aligner in {"linear": LinearAligner(), "activity": ActivityAligner(), "sphinx": SphinxAligner()}.items():
        for sound, vocals in sounds.items():
            row(table, name, sound, (errors(aligner, song, v) for song, v in zip(songs, vocals, strict=True)))
    if steps:
        entries = [entry for entry in catalog.songs(TRAIN) if entry["words"]]
        networks = [trained_without(catalog, entry, steps, work) for entry in entries]
        scores = [errors(network, song, song.sound) for network, song in zip(networks, songs, strict=True)]
        row(table, f"trained on the others, {steps} steps", "mix", scores)
        for song, score in zip(songs, scores, strict=True):
            print(song.name, score, file=sys.stderr)
    return table


def new_table(title: str) -> Table:
    return Table("aligner", "hears", "answers", "mean, s", "median, s", "within 0.3 s", title=title)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--leave-one-out", type=int, metavar="STEPS")
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    Console().print(score_demo(asked.model))
    if asked.catalog:
        with tempfile.TemporaryDirectory() as folder:
            Console().print(score_real(asked.catalog, asked.leave_one_out, asked.work or Path(folder)))


if __name__ == "__main__":
    main()
