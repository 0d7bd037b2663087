"""`python -m jukebox_pl.report run_dir=RUN`: a run on one page. Parse, build, call."""

from __future__ import annotations

if __name__ == "__main__":  # before anything heavy is imported
    from jukebox_pl.cli.help import answer

    answer("report")


import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from jukebox_pl.cli import command
from jukebox_pl.cli.sample_arguments import number
from jukebox_pl.errors import UserError
from jukebox_pl.report.run_page import name_of, write_run_page
from jukebox_pl.utils.locks import is_locked


def main(config: DictConfig) -> dict[str, Any]:
    if config.run_dir is None:
        raise UserError("run_dir is missing, as in run_dir=runs/demo: the folder of a run")
    run_dir, compare = Path(config.run_dir), None if config.compare is None else Path(config.compare)
    every = number(config, "every", least=1, most=86_400, whole=True)
    path = None if compare is None else run_dir / f"compare_{name_of(compare)}.html"
    path = path if config.out is None else Path(config.out)
    if config.live:
        while is_locked(run_dir):
            print(write_run_page(run_dir, compare, path, refresh=every), flush=True)
            time.sleep(every)
    page = write_run_page(run_dir, compare, path)
    print(page)
    return {"page": str(page)}


def cli_main(argv: list[str] | None = None) -> None:
    command.run(main, "report", argv)


if __name__ == "__main__":
    cli_main()
