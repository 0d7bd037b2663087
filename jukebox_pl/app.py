"""`python -m jukebox_pl.app run_dir=RUN`: a page on which a run's models sing. Parse, build, call."""

from __future__ import annotations

if __name__ == "__main__":  # before anything heavy is imported
    from jukebox_pl.cli.help import answer

    answer("app")


import importlib.util
import os
import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from jukebox_pl.cli import command
from jukebox_pl.cli.sample_arguments import formats_of, listed, params_and_computing, read_lyrics, require_device
from jukebox_pl.errors import UserError
from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.studio.form import SEED, request_of
from jukebox_pl.studio.jobs import Studio
from jukebox_pl.types import SamplingParams

if TYPE_CHECKING:
    from jukebox_pl.studio.page import Page


def main(config: DictConfig) -> dict[str, Any]:
    page = page_of(config)
    try:
        socket.create_server((config.host, config.port or 0)).close()  # gradio would try a hundred ports one by one
        address = page.launch(config.host, config.port, config.open_browser)
    except (OSError, OverflowError, TypeError) as error:
        raise UserError(f"host={config.host} port={config.port} cannot be used: {error}") from None
    print(f"singing at {address} until Ctrl-C", flush=True)
    with closing(page.studio):
        page.blocks.block_thread()
    return {"address": address}


def page_of(config: DictConfig) -> Page:
    """Raises UserError for what `sample` refuses, and where gradio is missing."""
    if config.run_dir is None:
        raise UserError("run_dir is missing, as in run_dir=runs/demo: the folder of a finished run")
    names = config.artist, listed(config.genre), read_lyrics(str(config.lyrics or ""))
    request = request_of(*names, config.seconds, config.total_seconds, config.offset_seconds)
    params_fields, computing_fields = params_and_computing(config)
    params, seed = SamplingParams(**params_fields), SEED.read(config.seed)
    computing, formats = Computing(**computing_fields), formats_of(config)
    pool = ModelPool(config.run_dir, require_device(config.device), config.compile, together=True)
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the app needs gradio: pip install 'jukebox_pl[app]'")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from jukebox_pl.studio.page import Page

    session = Session(Path(config.session or Path(config.run_dir) / "songs"))
    return Page(Studio(pool, computing, session, formats), request, params, seed)


if __name__ == "__main__":
    command.run(main, "app")
