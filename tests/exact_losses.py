"""`python tests/exact_losses.py OUT.json`: a few steps of every kind of stage, and all that a change must leave as it is.

Two files are equal when every loss, every trained tensor and every sampled code is, to the last bit. Compare those of one
machine: another processor, or another version of torch, may round differently.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))  # what is measured is the checkout that this file is in

from conftest import MINUSCULE
from exact import codes, digest, losses
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


def trained() -> Iterator[tuple[str, dict[str, object]]]:
    """What every stage in this folder came to."""
    for model in sorted(Path().glob("*/*/model/model.safetensors")):
        record: dict[str, object] = {"model": digest(load_file(model))}
        log = model.parents[1] / "metrics.csv"
        yield str(log.parent), record | (losses(log) if log.exists() else {})


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
