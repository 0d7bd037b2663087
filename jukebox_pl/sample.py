"""`python -m jukebox_pl.sample run_dir=RUN artist=… lyrics=…`: songs by a run's models. Parse, build, call."""

from __future__ import annotations

if __name__ == "__main__":  # before anything heavy is imported
    from jukebox_pl.cli.help import answer

    answer("sample")


import difflib
import sys
from collections.abc import Collection
from functools import partial
from typing import Any

from omegaconf import DictConfig

from jukebox_pl.cli import command
from jukebox_pl.cli.output import Output
from jukebox_pl.cli.sample_arguments import adapters_of, command_of, place_of, require_device
from jukebox_pl.errors import UserError
from jukebox_pl.report.song_page import PAGE
from jukebox_pl.sessions.commands import MODES, SessionContext
from jukebox_pl.sessions.models import ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.sessions.page import write_session_page

LOOK_ON = ("show", "replay")  # modes that change nothing


def cli_main(argv: list[str] | None = None) -> None:
    words = sys.argv[1:] if argv is None else argv
    command.run(partial(main, named=names_in(words)), "sample", argv)


def names_in(words: Collection[str]) -> set[str]:
    """The settings on the command line, under their usual names."""
    names = (word.partition("=")[0].lstrip("+") for word in words)
    return {command.ALIASES["sample"].get(name, name) for name in names} - set(Output._fields)


def main(config: DictConfig, named: Collection[str]) -> dict[str, Any]:
    """`named` are the settings on the command line: all else a song takes over from the one that it is made of."""
    folder, name = place_of(config)
    sample_command = command_of(config, named, name)
    device, adapters = require_device(config.device), adapters_of(config)
    pool = ModelPool(config.run_dir, device, config.compile, together=config.stream, adapters=adapters)
    if config.mode not in MODES:
        near = difflib.get_close_matches(str(config.mode), MODES, n=1, cutoff=0.0)
        raise UserError(f"unknown mode {config.mode!r}, nearest is {near[0]!r}; known are {', '.join(MODES)}")
    session = Session(folder)
    names = MODES[config.mode](SessionContext(session, pool), sample_command)
    # Around an `out` that is anywhere lies no session's.
    if config.mode not in LOOK_ON and (config.out is None or config.session is not None):
        write_session_page(session)
    songs = [{"name": name, "folder": str(session.place(name)), "page": str(session.place(name) / PAGE)} for name in names]
    return {"mode": config.mode, "session": str(folder), "songs": songs}


if __name__ == "__main__":
    cli_main()
