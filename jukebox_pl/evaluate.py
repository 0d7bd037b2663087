"""`python -m jukebox_pl.evaluate run_dir=RUN data.path=SHARDS`: a bundle on held-out songs. Parse, build, call."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.cli import command
from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.suite import LevelScore, evaluate
from jukebox_pl.utils.files import write_json


def main(config: DictConfig) -> None:
    for name, value in (("run_dir", config.run_dir), ("data.path", config.data.path)):
        if value is None:
            raise UserError(f"{name} is missing, as in run_dir=runs/demo data.path=runs/demo/shards")
    bundle, catalog = checkpoints.load_bundle(config.run_dir), Catalog.load(config.data.path)
    scores = evaluate(bundle, catalog, config.windows, lambda line: print(line, file=sys.stderr, flush=True))
    write_json(Path(config.out or Path(config.run_dir) / "evaluation.json"), [score.to_json() for score in scores])
    Console().print(table_of(scores))


def table_of(scores: list[LevelScore]) -> Table:
    table = Table("level", "hop", "codes, dB", "shuffled, dB", "silence, dB", "bits per dim", title="held-out songs")
    for score in scores:
        sounds = (f"{value:.1f}" for value in (score.reconstruction, score.shuffled_codes, score.silence))
        table.add_row(str(score.level), str(score.hop), *sounds, "-" if score.bpd is None else f"{score.bpd:.3f}")
    return table


if __name__ == "__main__":
    command.run(main, "evaluate")
