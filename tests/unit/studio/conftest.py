import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.checkpoints import AdapterUse, read_adapter
from jukebox_pl.nn.adapters import AdapterConfig
from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.studio.form import Limits
from jukebox_pl.studio.studio import Studio
from jukebox_pl.training.tuning import AdapterTuning, Base


@pytest.fixture(scope="session")
def pool(finished):
    return ModelPool(finished, together=True)


@pytest.fixture
def studio(pool, tmp_path):
    made = Studio(pool, Computing(), Session(tmp_path / "songs"), limits=Limits(seconds=1000, waiting=3))
    yield made
    made.close()


@pytest.fixture(scope="session")
def adapter(finished, tmp_path_factory):
    """Of the top prior, as if it had been trained."""
    folder = tmp_path_factory.mktemp("adapters") / "whisper"
    folder.mkdir()
    place = finished / checkpoints.read_bundle(finished).priors["2"]
    prior, tuning = checkpoints.load(place).model, AdapterTuning(layers=AdapterConfig(rank=2))
    tuning.prepare(prior)
    draws = torch.Generator().manual_seed(0)
    trained = {name: torch.randn(x.shape, generator=draws) for name, x in prior.named_parameters() if x.requires_grad}
    labeller = checkpoints.load_labeller(place)
    tuning.save(folder, Base("run", 2, checkpoints.fingerprint(place)), trained, None, labeller)
    return read_adapter(folder / checkpoints.ADAPTER)


@pytest.fixture
def adapted(finished, adapter, tmp_path):
    """The studio under an adapter, beside the songs of the one without."""
    adapters = [AdapterUse(adapter, {2: 1.0})]
    made = Studio(ModelPool(finished, together=True, adapters=adapters), Computing(), Session(tmp_path / "songs"))
    yield made
    made.close()
