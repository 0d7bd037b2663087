import pytest

from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.studio.jobs import Studio


@pytest.fixture(scope="session")
def pool(finished):
    return ModelPool(finished)


@pytest.fixture
def studio(pool, tmp_path):
    made = Studio(pool, Computing(), Session(tmp_path / "songs"), formats=["flac"])
    yield made
    made.close()
