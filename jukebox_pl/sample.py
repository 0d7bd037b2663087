"""`python -m jukebox_pl.sample run_dir=RUN artist=… lyrics=…`: songs by a run's models. Parse, build, call."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection
from functools import partial

from omegaconf import DictConfig

from jukebox_pl.cli import command
from jukebox_pl.cli.sample_arguments import order_of, place_of, require_device
from jukebox_pl.errors import UserError
from jukebox_pl.sessions.models import ModelPool
from jukebox_pl.sessions.nodes import Session


def cli_main(argv: list[str] | None = None) -> None:
    words = sys.argv[1:] if argv is None else argv
    command.run(partial(main, given={word.partition("=")[0].lstrip("+") for word in words}), "sample", argv)


def main(config: DictConfig, given: Collection[str]) -> None:
    """`given` are the settings that were named: all else a song takes over from the one that it is made of."""
    folder, name = place_of(config)
    order = order_of(config, given, name)
    ensemble = ModelPool(config.run_dir, require_device(config.device), config.compile, together=config.stream)
    from jukebox_pl.sessions.modes import MODES  # imports matplotlib: --help and mistakes answer at once without it
    from jukebox_pl.sessions.work import SessionContext

    if config.mode not in MODES:
        near = difflib.get_close_matches(str(config.mode), MODES, n=1, cutoff=0.0)
        raise UserError(f"unknown mode {config.mode!r}, nearest is {near[0]!r}; known are {', '.join(MODES)}")
    MODES[config.mode](SessionContext(Session(folder), ensemble), order)


if __name__ == "__main__":
    cli_main()
