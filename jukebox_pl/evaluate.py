"""`python -m jukebox_pl.evaluate run_dir=RUN data.path=SHARDS`: a bundle on held-out songs. Parse, build, call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from jukebox_pl import audio, checkpoints
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog, SongEntry, read_shard
from jukebox_pl.catalog.urls import Place
from jukebox_pl.cli import command
from jukebox_pl.cli.sample_arguments import listed
from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.suite import SongAudio, evaluate
from jukebox_pl.utils.files import write_json
from jukebox_pl.utils.progress import terminal_meter


def main(config: DictConfig) -> None:
    names = list(config.questions) if config.what == "all" else listed(config.what)
    if unknown := [name for name in names if name not in config.questions] or not names:
        raise UserError(f"what={config.what}: expected all, or some of {', '.join(config.questions)}; found {unknown}")
    for name, value in (("run_dir", config.run_dir), ("data.path", config.data.path)):
        if value is None:
            raise UserError(f"{name} is missing, as in run_dir=runs/demo data.path=runs/demo/shards")
    bundle, catalog = checkpoints.load_bundle(config.run_dir), Catalog.load(config.data.path)
    songs = held_out_songs(catalog, bundle, config.windows)
    with terminal_meter("songs") as meter:
        records = evaluate(bundle, songs, [instantiate(config.questions[name]) for name in names], meter)
    write_json(Path(config.out or Path(config.run_dir) / "evaluation.json"), records)
    Console().print(table_of(records))
    if any(record.get("conditioning") for record in records):
        Console().print(conditioning_table(records))
    elif "conditioning" in names:
        Console().print("whether conditioning is used cannot be told: that takes two held-out songs that fill a window")


@dataclass(frozen=True)
class CatalogSongs:
    """The songs `ids`, read from their shards one after the other and cut to a whole number of `hop` samples."""

    ids: frozenset[str]
    shards: list[Place]
    hop: int

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[SongAudio]:
        for shard in self.shards:
            for sample in read_shard(shard, self.ids):
                sound, _ = audio.read(sample.audio or b"")
                mono = torch.from_numpy(audio.downmix(sound)).view(1, 1, -1)  # [1, 1, T]
                yield SongAudio(sample.song, mono[..., : mono.shape[-1] // self.hop * self.hop])


def held_out_songs(catalog: Catalog, bundle: checkpoints.Bundle, count: int) -> CatalogSongs:
    """At most `count` held-out songs (training songs where none is held out), evenly from all over the catalog.

    Those that fill a window of every prior come before shorter ones. Raises UserError when the catalog has another sample
    rate than the bundle.
    """
    if catalog.sample_rate != bundle.sample_rate:
        found = f"{catalog.folder} has {catalog.sample_rate} samples a second, the bundle {bundle.sample_rate}"
        raise UserError(f"{found}; prepare the songs again with sample_rate={bundle.sample_rate}")
    split, hops = HELD_OUT if catalog.songs(HELD_OUT) else TRAIN, bundle.vqvae.hops
    songs, longest_window = catalog.songs(split), max(prior.ctx * hops[level] for level, prior in bundle.priors.items())
    filling = [song for song in songs if song["samples"] >= longest_window]
    shorter = [song for song in songs if song["samples"] < longest_window]
    chosen: list[SongEntry] = []
    for group in (filling, shorter):
        room = count - len(chosen)
        chosen += group if len(group) <= room else [group[i * len(group) // room] for i in range(room)]
    ids = frozenset(song["id"] for song in chosen)
    shard_of = catalog.shard_of(split)
    shards = list(dict.fromkeys(shard_of[song["id"]] for song in songs if song["id"] in ids))
    return CatalogSongs(ids, shards, hops[-1])


def table_of(records: list[dict[str, Any]]) -> Table:
    table = Table("level", "hop", "codes, dB", "shuffled, dB", "silence, dB", "bits per dim", title="held-out songs")
    for record in records:
        figures = [(record.get(name), "{:.1f}") for name in ("reconstruction", "shuffled_codes", "silence")]
        shown = ["-" if value is None else form.format(value) for value, form in [*figures, (record.get("bpd"), "{:.3f}")]]
        table.add_row(str(record["level"]), str(record["hop"]), *shown)
    return table


def conditioning_table(records: list[dict[str, Any]]) -> Table:
    """What the priors use of what they are given, the top level first."""
    table = Table("level", "conditioning", "a wrong one costs, bits", "95 % over songs", "verdict", title="conditioning")
    for record in reversed(records):
        for name, found in record["conditioning"].items():
            low, high = found["interval"]
            interval = f"{low:+.4f} to {high:+.4f}, {found['songs']} songs"
            table.add_row(str(record["level"]), name, f"{found['wrong_costs_bits']:+.4f}", interval, found["verdict"])
    return table


if __name__ == "__main__":
    command.run(main, "evaluate")
