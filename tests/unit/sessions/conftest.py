"""A session in which songs of a tenth of a second a top code are asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_run import sample, save_run

from jukebox_pl.sessions import jobs
from jukebox_pl.sessions.commands import SessionContext
from jukebox_pl.sessions.models import ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.utils.codes import Codes


@pytest.fixture(scope="module", autouse=True)  # longer, and it would be there in other folders' tests
def _plain_pages() -> Iterator[None]:
    """Pictures take a second a song."""

    def write(folder: Path, song: Any, *rest: Any, **page: Any) -> Path:
        (folder / "index.html").write_text(str(song.codes))
        return folder / "index.html"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "write_song_page", write)
        yield


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def context(run_dir: Path, tmp_path: Path) -> SessionContext:
    return SessionContext(Session(tmp_path / "songs"), ModelPool(run_dir))


@pytest.fixture(scope="session")
def begun(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of a whole song, and of another one of which there is only the top."""
    context = SessionContext(Session(tmp_path_factory.mktemp("begun") / "songs"), ModelPool(run_dir))
    sample(context, name="whole")
    sample(context, name="top", seed=2, lowest=2)
    return context.session.folder


@pytest.fixture
def songs(begun: Path, context: SessionContext) -> dict[str, Codes]:
    """The codes of `whole` and `top`, which are there from now on."""
    shutil.copytree(begun, context.session.folder)
    return {name: context.session.codes(name) for name in ("whole", "top")}
