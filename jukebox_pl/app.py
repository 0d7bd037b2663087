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
from jukebox_pl.cli.sample_arguments import (
    adapters_of,
    artist_and_genres,
    formats_of,
    params_and_computing,
    read_lyrics,
    require_device,
)
from jukebox_pl.errors import UserError
from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.studio.form import OFFSET, SECONDS, SEED, TOTAL, Limits
from jukebox_pl.studio.studio import Studio
from jukebox_pl.types import SamplingParams, SongRequest
from jukebox_pl.utils.files import read_bytes

if TYPE_CHECKING:
    from jukebox_pl.studio.page import Page


LOCAL = ("127.0.0.1", "localhost", "::1")
EVERYBODY = "none"


def main(config: DictConfig) -> dict[str, Any]:
    accounts = accounts_of(config.host, config.auth)
    page = page_of(config)
    try:
        socket.create_server((config.host, config.port or 0)).close()  # gradio would try a hundred ports one by one
        address = page.launch(config.host, config.port, config.open_browser, accounts)
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
    words = artist_and_genres({"artist": config.artist, "genre": config.genre})
    request = SongRequest(
        **words,
        lyrics=read_lyrics(str(config.lyrics or "")),
        seconds=SECONDS.read(config.seconds),
        total_seconds=TOTAL.read(config.total_seconds or 0) or None,
        offset_seconds=OFFSET.read(config.offset_seconds),
    )
    limits = Limits(config.most_seconds, config.most_candidates, config.most_upload_mb, config.most_waiting)
    params_fields, computing_fields = params_and_computing(config)
    params, seed = SamplingParams(**params_fields), SEED.read(config.seed)
    computing, formats = Computing(**computing_fields), formats_of(config)
    device, adapters = require_device(config.device), adapters_of(config)
    if any(len(set(use.strengths.values())) > 1 for use in adapters):
        raise UserError("strength: the app takes one for all levels of an adapter; `sample` takes one a level")
    pool = ModelPool(config.run_dir, device, config.compile, together=True, adapters=adapters)
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the app needs gradio: pip install 'jukebox_pl[app]'")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from jukebox_pl.studio.page import Page

    session = Session(Path(config.session or Path(config.run_dir) / "songs"))
    studio = Studio(pool, computing, session, formats, limits)
    return Page(studio, request, params, seed, config.candidates, config.levels)


def accounts_of(host: str, auth: str | None) -> list[tuple[str, str]] | None:
    """Who may enter: None is everybody. `auth` is NAME:PASSWORD, or a file with one a line.

    Raises UserError where a page that others in the network can reach would stand open unawares.
    """
    if auth is None and host not in LOCAL:
        raise UserError(
            f"host={host} lets others in: say who with auth=NAME:PASSWORD, or with a file of them, one a line; "
            f"auth={EVERYBODY} lets everybody in"
        )
    if auth in (None, EVERYBODY):
        return None
    lines = read_bytes(Path(auth)).decode(errors="replace").splitlines() if Path(auth).is_file() else [str(auth)]
    accounts = [tuple(line.strip().split(":", 1)) for line in lines if line.strip()]
    if not accounts or any(len(account) != 2 or not all(account) for account in accounts):
        raise UserError("auth: expected NAME:PASSWORD, or a file with one a line")
    return [(account[0], account[1]) for account in accounts]


if __name__ == "__main__":
    command.run(main, "app")
