"""`python tests/exact_losses.py OUT.json`: a few steps of every kind of stage, and all that a change must leave as it is.

Two files are equal when every loss, every trained tensor and every sampled code is, to the last bit. Compare those of one
machine: another processor, or another version of torch, may round differently.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))  # what is measured is the checkout that this file is in

import numpy as np
from conftest import MINUSCULE
from safetensors.numpy import load_file

from jukebox_pl import fit, sample

EVERY_STEP = ["trainer.accelerator=cpu", "trainer.log_every_n_steps=1", "seed=0", "max_steps=6"]
SMALL = [
    "size.joint_prior.batch_size=2",
    "size.joint_prior.every_steps=2",
    "size.joint_prior.ctx=64",
    "size.joint_prior.transformer.ctx=96",
    "size.joint_prior.transformer.width=16",
]
DEMO = ["data=demo", "data.source.songs=6", "data.source.seconds=4"]
SONG = ["stages.song.request.seconds=1", "+stages.catalog.workers=0"]
SHARDS = ["data=shards", "data.path=hierarchy/shards"]
FITS = {
    "hierarchy": [
        ["recipe=demo", *DEMO, *SONG],
        ["recipe=joint_hierarchy", *DEMO],
    ],
    "aligner": [["recipe=aligner", *SHARDS, "stages.aligner.every_steps=2", "stages.aligner.data.seconds=2"]],
    "finetune": [["recipe=finetune", "init_from=hierarchy", *SHARDS]],
}
SONG_OF_A_SECOND = ["artist=Ada Bell", "genre=Waltz", "lyrics=la na mi", "seconds=1", "seed=1"]
LOSSES = {"train": ("train/loss",), "val": ("val/loss", "held_out/loss")}


def losses(path: Path) -> dict[str, dict[str, str]]:
    """The loss by step, as text that tells floats apart; the last one where a step was measured more than once."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        split: {row["step"]: repr(float(row[name])) for row in rows for name in names if row.get(name)}
        for split, names in LOSSES.items()
    }


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Names the tensors of a network, whatever they are called and wherever they stand."""
    seen = [f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}" for array in arrays.values()]
    return hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()


def trained() -> Iterator[tuple[str, dict[str, object]]]:
    """What every stage in this folder came to."""
    for model in sorted(Path().glob("*/*/model/model.safetensors")):
        record: dict[str, object] = {"model": digest(load_file(model))}
        log = model.parents[1] / "metrics.csv"
        yield str(log.parent), record | (losses(log) if log.exists() else {})


def codes(path: Path) -> dict[str, str]:
    with np.load(path) as levels:
        return {name: hashlib.sha256(levels[name].astype("<i4").tobytes()).hexdigest() for name in sorted(levels)}


def measure() -> dict[str, object]:
    """Trains and samples in the working directory."""
    for run_dir, recipes in FITS.items():
        for words in recipes:
            fit.cli_main([*MINUSCULE, *EVERY_STEP, *SMALL, *words, f"run_dir={run_dir}"])
    sample.cli_main(["run_dir=hierarchy", "out=sampled/song", *SONG_OF_A_SECOND])
    songs = {str(path.parent): codes(path) for path in sorted(Path().glob("*/*/codes.npz"))}
    return dict(trained()) | songs


if __name__ == "__main__":
    out = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        measured = measure()
        os.chdir(out.parent)
    out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
