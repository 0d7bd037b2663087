"""`python -m jukebox_pl.evaluate run_dir=RUN data.path=SHARDS`: a bundle on held-out songs. Parse, build, call."""

from __future__ import annotations

if __name__ == "__main__":  # before anything heavy is imported
    from jukebox_pl.cli.help import answer

    answer("evaluate")


import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor

from jukebox_pl import audio, checkpoints
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog, SongEntry
from jukebox_pl.catalog.urls import Place
from jukebox_pl.cli import command
from jukebox_pl.cli.sample_arguments import adapters_of, listed, number
from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.suite import Evidence, SongAudio, evaluate
from jukebox_pl.evaluation.windows import evenly
from jukebox_pl.report.evaluation_page import write_evaluation_page
from jukebox_pl.report.terminal import print_evaluation
from jukebox_pl.sampling.checks import MOST_SECONDS
from jukebox_pl.sampling.levels import Progress
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import SampledSong, SamplingParams, Song, SongRequest
from jukebox_pl.utils.files import require_writable, write_json
from jukebox_pl.utils.locks import locked
from jukebox_pl.utils.progress import Meter, terminal_meter


def main(config: DictConfig) -> dict[str, Any]:
    names = list(config.questions) if config.what == "all" else listed(config.what)
    if unknown := [name for name in names if name not in config.questions] or not names:
        raise UserError(f"what={config.what}: expected all, or some of {', '.join(config.questions)}; found {unknown}")
    for name, value in (("run_dir", config.run_dir), ("data.path", config.data.path)):
        if value is None:
            raise UserError(f"{name} is missing, as in run_dir=runs/demo data.path=runs/demo/shards")
    counts = {name: number(config, name, least, whole=True) for name, least in (("windows", 1), ("samples", 0), ("seed", 0))}
    seconds, drawn = number(config, "sample_seconds", most=MOST_SECONDS), OmegaConf.to_container(config.params)
    if unheard_of := sorted(set(config.params) - {field.name for field in fields(SamplingParams)}):
        raise UserError(f"params.{unheard_of[0]} is no setting of how samples are drawn: leave it out")
    params = SamplingParams.from_json(cast(dict[str, Any], drawn))
    if (out := Path(config.out or Path(config.run_dir) / "evaluation")).is_file():
        raise UserError(f"out={out} is a file, expected a folder for evaluation.json and index.html: choose another out")
    bundle, catalog = checkpoints.load_bundle(config.run_dir, adapters=adapters_of(config)), Catalog.load(config.data.path)
    require_writable(out, "out")
    questions = {name: instantiate(config.questions[name]) for name in names}
    with locked(out, "out"), terminal_meter("songs") as meter:
        evidence = Evidence(
            bundle,
            held_out_songs(catalog, bundle, counts["windows"]),
            catalog_songs(catalog, TRAIN, catalog.songs(TRAIN), bundle),
            SampleBeginnings(bundle, params, seconds, meter),
            counts["seed"],
            held_out=bool(catalog.songs(HELD_OUT)),
            sample_count=counts["samples"],
        )
        protocol = {"version": metadata.version("jukebox_pl"), **counts, "sample_seconds": seconds, "params": drawn}
        found = evaluate(evidence, questions, meter, protocol)
    write_json(out / "evaluation.json", found.to_json())
    print_evaluation(Console(), found)
    page = write_evaluation_page(out, found)
    print(f"to see and hear: {page}", file=sys.stderr)
    return {"evaluation": str(out / "evaluation.json"), "page": str(page), "questions": names}


@dataclass(frozen=True)
class CatalogSongs:
    """The songs `ids`, read from their shards one after the other and cut to a whole number of `hop` samples."""

    catalog: Catalog
    ids: frozenset[str]
    shards: list[Place]
    hop: int

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[SongAudio]:
        for shard in self.shards:
            for sample in self.catalog.read(shard, self.ids):
                mono = torch.from_numpy(audio.downmix(sample.sound())).view(1, 1, -1)  # [1, 1, T]
                yield SongAudio(sample.song, mono[..., : mono.shape[-1] // self.hop * self.hop])


def catalog_songs(catalog: Catalog, split: str, songs: Sequence[SongEntry], bundle: checkpoints.Bundle) -> CatalogSongs:
    """Some songs of a split. Raises UserError when the catalog has another sample rate than the bundle."""
    if catalog.sample_rate != bundle.sample_rate:
        found = f"{catalog.folder} has {catalog.sample_rate} samples a second, the bundle {bundle.sample_rate}"
        raise UserError(f"{found}; prepare the songs again with sample_rate={bundle.sample_rate}")
    ids, shard_of = frozenset(song["id"] for song in songs), catalog.shard_of(split)
    shards = list(dict.fromkeys(shard_of[song["id"]] for song in catalog.songs(split) if song["id"] in ids))
    return CatalogSongs(catalog, ids, shards, bundle.vqvae.hops[-1])


def held_out_songs(catalog: Catalog, bundle: checkpoints.Bundle, count: int) -> CatalogSongs:
    """At most `count` held-out songs (training songs where none is held out), evenly from all over the catalog.

    Those that fill a window of every prior come before shorter ones.
    """
    split, hops = HELD_OUT if catalog.songs(HELD_OUT) else TRAIN, bundle.vqvae.hops
    songs, longest_window = catalog.songs(split), max(prior.ctx * hops[level] for level, prior in bundle.priors.items())
    filling = [song for song in songs if song["samples"] >= longest_window]
    shorter = [song for song in songs if song["samples"] < longest_window]
    chosen: list[SongEntry] = []
    for group in (filling, shorter):
        chosen += evenly(group, count - len(chosen))
    return catalog_songs(catalog, split, chosen, bundle)


@dataclass(frozen=True)
class SampleBeginnings:
    """Samples the beginnings of songs, all of one length: `seconds`, or what the shortest has."""

    bundle: checkpoints.Bundle
    params: SamplingParams
    seconds: float
    meter: Meter

    def __call__(
        self,
        songs: Sequence[Song],
        seed: int,
        codes: Mapping[int, Tensor] | None = None,
        levels: Collection[int] | None = None,
        seconds: float | None = None,
    ) -> list[SampledSong]:
        bundle, top = self.bundle, len(self.bundle.vqvae.hops) - 1
        seconds = min(seconds or self.seconds, *(song.duration / song.sample_rate for song in songs))
        asked = partial(request, seconds=seconds, labeller=bundle.labellers[top])
        sampler = Sampler(bundle.vqvae, bundle.priors, bundle.labellers, bundle.sample_rate)
        seeds, meter = range(seed, seed + len(songs)), Meter(self.meter.face, "codes")

        def on_window(now: Progress) -> None:
            meter.update(f"sampling, level {now.level}", now.done, now.total)

        return sampler.sample_batch(list(map(asked, songs)), self.params, seeds, codes, on_window, levels=levels)


def request(song: Song, seconds: float, labeller: Labeller) -> SongRequest:
    """The first `seconds` of a song under its labels, as far as the models know them."""
    artist = song.artist if labeller.artists.id(song.artist) else ""
    genres = tuple(genre for genre in song.genres if all(labeller.genres.ids(genre)))
    return SongRequest(artist, genres, song.lyrics, seconds, total_seconds=song.duration / song.sample_rate)


if __name__ == "__main__":
    command.run(main, "evaluate")
