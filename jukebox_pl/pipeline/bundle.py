"""Putting together what sings: the run's bundle.json, and a folder of all its models that can be copied alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import torch

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog, ShardSample
from jukebox_pl.checkpoints import LyricsHead
from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.lyric_attention import LyricHeads
from jukebox_pl.models.lyric_attention import lyric_layers
from jukebox_pl.models.prior import Prior
from jukebox_pl.pipeline.stage_folder import Stage, StageResult
from jukebox_pl.utils.locks import PART

SONGS, WINDOWS = 8, 2  # to find the lyrics head by, and of each: a few seconds


class BundleStage(Stage):
    """Lists in the run's bundle.json the VQ-VAE and, for each level, the first of the stages named that has a model, and
    which head of the top prior follows the lyrics, if it reads any. The stage's folder is a bundle of its own: its
    models are hard links to those of the stages, which take no room, or copies where the disk has no links.
    """

    makes = "bundle"

    def __init__(self, path: str, vqvae: str, priors: Mapping[int, Sequence[str]], codes: str = "codes"):
        self.path, self.vqvae, self.priors, self.codes = path, vqvae, priors, codes

    def complete(self, result: StageResult) -> bool:
        return False  # cheap, and a level may have been trained on since

    def run(self, folder: Path) -> StageResult:
        """Raises UserError where a level has no model."""
        run_dir, models = folder.parent, {}
        for level, stages in self.priors.items():
            trained = [stage for stage in stages if (run_dir / stage / "model" / checkpoints.CONFIG).exists()]
            if not trained:
                raise UserError(f"{run_dir} has no model of {' or '.join(stages)}: run a recipe with such a stage first")
            models[int(level)] = f"{trained[0]}/model"
        vqvae = f"{self.vqvae}/model"
        head = noted_lyrics_head(run_dir, models) or find_lyrics_head(run_dir, models, run_dir / self.codes / "shards")
        rate = Catalog.load(self.path).sample_rate
        checkpoints.save_bundle(run_dir, rate, vqvae, models, head)
        (folder / checkpoints.BUNDLE).unlink(missing_ok=True)  # until all models are there
        for model in (vqvae, *models.values()):
            link_or_copy(run_dir / model, folder / model)
        checkpoints.save_bundle(folder, rate, vqvae, models, head)
        return StageResult("-".join(checkpoints.fingerprint(run_dir / path) for path in (vqvae, *models.values())))


def link_or_copy(model: Path, to: Path) -> None:
    """A model's folder once more, its weights on the same disk where that can link. Files are only ever replaced, so a
    link stays what it was when a stage trains on."""
    to.mkdir(parents=True, exist_ok=True)
    for name in (checkpoints.WEIGHTS, checkpoints.CONFIG):
        beside = to / f".{name}{PART}"
        beside.unlink(missing_ok=True)
        try:
            os.link(model / name, beside)
        except OSError:
            shutil.copyfile(model / name, beside)
        os.replace(beside, to / name)
        beside.unlink(missing_ok=True)  # of two links to one file, replacing removes neither


def noted_lyrics_head(run_dir: Path, models: Mapping[int, str]) -> LyricsHead | None:
    """The head that bundle.json names, where the top prior is still the one it was found in."""
    if not (run_dir / checkpoints.BUNDLE).exists():
        return None
    record, top = checkpoints.read_bundle(run_dir), models[max(models)]
    same = record.fingerprints.get(top) == checkpoints.fingerprint(run_dir / top)
    return checkpoints.noted_head(record) if same else None


def find_lyrics_head(run_dir: Path, models: Mapping[int, str], shards: Path) -> LyricsHead | None:
    """The head of the top prior that looks most at what is sung; None where none does, or no song has lyrics."""
    top = max(models)
    labeller = checkpoints.load_labeller(run_dir / models[top])
    if labeller is None or not labeller.lyric_tokens or not (shards / "catalog.json").exists():
        return None
    cuda = torch.cuda.is_available()
    prior = cast(Prior, checkpoints.load(run_dir / models[top], dtype=torch.bfloat16 if cuda else torch.float32).model)
    if not lyric_layers(prior):
        return None
    catalog = Catalog.load(shards)
    hops = catalog.codes["hops"] if catalog.codes else []
    heads = LyricHeads(prior.to("cuda" if cuda else "cpu"), labeller, hops[top], WINDOWS)
    for sample in islice(songs_with_lyrics(catalog), SONGS):
        if sample.codes:
            heads.add(sample.song, torch.from_numpy(sample.codes[top].astype("int64")))
    best = heads.best()
    return LyricsHead(top, *best) if best and heads.follows(best) else None


def songs_with_lyrics(catalog: Catalog) -> Iterator[ShardSample]:
    """Held out, where any is, and first those whose words have times."""
    split = HELD_OUT if any(song["lyrics"] for song in catalog.songs(HELD_OUT)) else TRAIN
    shard_of = catalog.shard_of(split)
    for song in sorted(catalog.songs(split), key=lambda song: not song["words"]):
        if song["lyrics"]:
            yield from catalog.read(shard_of[song["id"]], {song["id"]})
