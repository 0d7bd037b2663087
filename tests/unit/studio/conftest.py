import pytest

from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.studio.form import Limits
from jukebox_pl.studio.studio import Studio


@pytest.fixture(scope="session")
def pool(finished):
    return ModelPool(finished, together=True)


@pytest.fixture
def studio(pool, tmp_path):
    made = Studio(pool, Computing(), Session(tmp_path / "songs"), limits=Limits(seconds=1000, waiting=3))
    yield made
    made.close()
