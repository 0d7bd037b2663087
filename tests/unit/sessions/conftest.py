"""A desk at which songs of a tenth of a second a top code are asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_run import save_run, sing

from jukebox_pl.sessions import song_files
from jukebox_pl.sessions.models import ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.sessions.work import SessionContext
from jukebox_pl.utils.codes import Codes


@pytest.fixture(scope="session", autouse=True)
def _plain_pages() -> Iterator[None]:
    """Pictures take a second a song."""

    def write(folder: Path, song: Any, *rest: Any, **page: Any) -> Path:
        (folder / "index.html").write_text(str(song.codes))
        return folder / "index.html"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(song_files, "write_song_page", write)
        yield


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def desk(run_dir: Path, tmp_path: Path) -> SessionContext:
    return SessionContext(Session(tmp_path / "songs"), ModelPool(run_dir))


@pytest.fixture(scope="session")
def begun(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of a whole song, and of another one of which there is only the top."""
    desk = SessionContext(Session(tmp_path_factory.mktemp("begun") / "songs"), ModelPool(run_dir))
    sing(desk, name="whole")
    sing(desk, name="top", seed=2, lowest=2)
    return desk.session.folder


@pytest.fixture
def songs(begun: Path, desk: SessionContext) -> dict[str, Codes]:
    """The codes of `whole` and `top`, which are there from now on."""
    shutil.copytree(begun, desk.session.folder)
    return {name: desk.session.codes(name) for name in ("whole", "top")}
