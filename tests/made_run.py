"""The folder of a run as `fit` leaves it, without a training."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from jukebox_pl import audio
from jukebox_pl.report.plots import raster

RATE = 11025
STEPS = (0, 100, 200, 300)
CONDITIONING: dict[str, Any] = {
    "artist": {"wrong_costs_bits": 0.0123, "interval": [0.01, 0.02], "songs": 9, "verdict": "used"}
}
CONDITIONING["timing"] = {"wrong_costs_bits": None, "interval": None, "songs": 0, "verdict": "unknown"}


def write_stage(
    run_dir: Path,
    name: str,
    needs: tuple[str, ...] = (),
    losses: tuple[float, ...] = (4.0, 2.0, 1.0, 1.5),
    finished: bool = True,
    seconds: float = 0.1,
    **settings: Any,
) -> Path:
    """A trained stage with media at every step but the first; its loss is the lowest at step 200 by default."""
    folder = run_dir / name
    (folder / "media").mkdir(parents=True)
    write(folder / "config.json", {"_target_": "TrainStage", "lr": 0.1, **settings, "needs": dict.fromkeys(needs, "x")})
    if finished:
        summary = {"val/loss at step 0": losses[0], f"at step {STEPS[-1]}": losses[-1]}
        write(folder / "result.json", {"fingerprint": "x", "summary": summary, "steps": STEPS[-1], "max_steps": STEPS[-1]})
    write(folder / "conditioning.json", {"conditioning": CONDITIONING})
    columns = ["step", "train/loss", "val/loss", "lr-AdamW", "train/grad_norm", "train/level_0/codebook_usage"]
    with open(folder / "metrics.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(
            [step, loss, loss, 0.1, "nan" if step == 100 else 2.0, 0.5] for step, loss in zip(STEPS, losses, strict=True)
        )
    for step in STEPS[1:]:
        sound = np.full((1, round(seconds * RATE)), step / 1000, np.float32)
        audio.write(folder / "media" / f"sample_step_{step:07d}.wav", sound, RATE)
        (folder / "media" / f"sample_step_{step:07d}.png").write_bytes(raster(np.eye(4), "magma"))
    return folder


def write_run(run_dir: Path, **settings: Any) -> Path:
    """Codec, codes and prior; the last is still going on."""
    write_stage(run_dir, "vqvae", **settings)
    write_stage(run_dir, "a_prior", needs=("codes",), finished=False)
    codes = run_dir / "codes"
    codes.mkdir()
    write(codes / "config.json", {"needs": {"vqvae": "x"}})
    write(codes / "result.json", {"fingerprint": "x", "summary": {"songs": 3}})
    return run_dir


def write(path: Path, record: Any) -> None:
    path.write_text(json.dumps(record))
