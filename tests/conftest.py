"""Songs, shards and trained models small enough to make in every session."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # more threads are slower at these sizes

from datamodules.demo import write_demo_catalog
from jukebox_pl import fit as fit_command
from jukebox_pl.catalog.prepare import prepare
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import SPLITS, Catalog, ShardSample, read_shard, write_shard
from jukebox_pl.text import phonemes
from jukebox_pl.utils.stopping import SIGNALS

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs deaf to Ctrl-C

# What makes size=tiny small enough for a test: seconds for a whole hierarchy.
MINUSCULE = [
    "logger=csv",
    "held_out_crops=4",
    "size.vqvae.clip=4096",
    "size.vqvae.batch_size=2",
    "size.vqvae.model.bins=16",
    "size.vqvae.model.code_dim=8",
    "size.vqvae.model.width=4",
    "size.vqvae.model.depth=1",
    *(f"size.{prior}.batch_size=2" for prior in ("top_prior", "upsampler_1", "upsampler_0")),
    *(f"size.{prior}.transformer.ctx=64" for prior in ("top_prior", "upsampler_1", "upsampler_0")),
    *(f"size.{stage}.every_steps=2" for stage in ("vqvae", "top_prior", "upsampler_1", "upsampler_0")),
    "size.top_prior.transformer.width=16",
    *(f"size.{level}.{part}.width=16" for level in ("upsampler_1", "upsampler_0") for part in ("transformer", "upper")),
    "size.lyrics_prior.encoder.width=16",
]
HARD_OF_HEARING = ["stages.song.recogniser.songs=2", "stages.song.recogniser.steps=2"]  # recipe=demo

# Stands where espeak-ng would: every letter with a prime behind it, a word a line; one voice it does not know.
ESPEAK = """#!/bin/sh
[ "$4" = xx ] && { echo "Error: The specified espeak-ng voice does not exist." >&2; exit 1; }
echo called >> "$CALLS"
sed -e '/^$/d' -e "s/./&ˈ/g"
"""


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Libraries, as Ray's nodes, answer signals in a way of their own and leave it to whatever runs next."""
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    yield
    for signum, answer in before.items():
        signal.signal(signum, answer)


@pytest.fixture(scope="session")
def demo_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six songs of four seconds, sung, as audio shards."""
    folder = tmp_path_factory.mktemp("demo")
    songs = write_demo_catalog(folder / "songs", songs=6, seconds=4.0)
    prepare(PrepareSettings(songs, folder / "shards", sample_rate=11025, songs_per_shard=2, workers=0))
    return folder / "shards"


@pytest.fixture(scope="session")
def code_shards(demo_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same songs as codes: the code at position t of level l is (t + l) % 16."""
    catalog, out = Catalog.load(demo_shards), tmp_path_factory.mktemp("codes") / "shards"
    for split in SPLITS:
        for shard in catalog.shards(split):
            write_shard(out / split / shard.name, (with_codes(sample) for sample in read_shard(shard)))
    codes = {"bins": 16, "hops": [8, 32, 128], "fingerprint": "made up"}
    dataclasses.replace(catalog, folder=out, codes=codes).save()
    return out


def with_codes(sample: ShardSample) -> ShardSample:
    top = sample.song.duration // 128
    levels = ((np.arange(top * factor) + level) % 16 for level, factor in ((0, 16), (1, 4), (2, 1)))
    return ShardSample(sample.song, codes=tuple(level.astype(np.uint16) for level in levels))


@pytest.fixture(scope="session")
def minuscule() -> list[str]:
    return [*MINUSCULE, "trainer.log_every_n_steps=1"]


@pytest.fixture(scope="session")
def fit(minuscule: list[str]) -> Callable[..., None]:
    """`python -m jukebox_pl.fit` in this process, at a size for tests."""
    return lambda *words: fit_command.cli_main([*minuscule, *map(str, words)])


@pytest.fixture(scope="session")
def start_fit(minuscule: list[str]) -> Callable[..., subprocess.Popen[str]]:
    """`python -m jukebox_pl.fit` in a process of its own, at a size for tests."""

    def start(*words: object, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "jukebox_pl.fit", *minuscule, *map(str, words)]
        root, environment = Path(__file__).parents[1], os.environ | {"OMP_NUM_THREADS": "1"}
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell starts background jobs deaf to Ctrl-C
        return subprocess.Popen(
            command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heard, **options
        )

    return start


@pytest.fixture(scope="session")
def finished(fit: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of recipe=demo with every stage done. Not to be changed: tests that do copy it first."""
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    songs = "data.source.songs=6", "data.source.seconds=4", "stages.song.request.seconds=1", "+stages.catalog.workers=0"
    fit("recipe=demo", f"run_dir={run_dir}", "max_steps=4", *songs, *HARD_OF_HEARING)
    return run_dir


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`ESPEAK` on the path, and a file with a line for every time it was started."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "espeak-ng").write_text(ESPEAK)
    (folder / "espeak-ng").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(folder / "calls"))
    monkeypatch.setattr(phonemes, "KNOWN", {})
    return folder / "calls"
