import pytest

from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.studio.takes import Studio


@pytest.fixture(scope="session")
def ensemble(finished):
    return ModelPool(finished)


@pytest.fixture
def studio(ensemble, tmp_path):
    made = Studio(ensemble, Computing(), Session(tmp_path / "songs"), formats=["flac"])
    yield made
    made.close()
