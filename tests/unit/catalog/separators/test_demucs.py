import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from jukebox_pl.catalog.separators import demucs as adapter
from jukebox_pl.catalog.separators.demucs import Demucs
from jukebox_pl.errors import UserError

htdemucs = pytest.importorskip("demucs.htdemucs", reason="DEMUCS NOT CHECKED: pip install 'jukebox_pl[sep]'")

RATE = 44_100
SIZE = {"channels": 8, "t_layers": 1, "t_heads": 2, "bottom_channels": 16, "segment": 2}
CONFIG = {"sources": ["drums", "bass", "other", "vocals"], **SIZE}
KLASS = "demucs.htdemucs.HTDemucs"


def save(path, seed, klass=KLASS, config=CONFIG):
    """A random network in the format of the published ones."""
    torch.manual_seed(seed)
    state = {name: tensor.contiguous() for name, tensor in htdemucs.HTDemucs(**config).state_dict().items()}
    save_file(state, path, {"klass": klass, "args": "[]", "kwargs": json.dumps(config)})


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """Two networks, and a model in which only the second one sings."""
    folder = tmp_path_factory.mktemp("repo")
    save(folder / "aaa.safetensors", 1)
    save(folder / "bbb.safetensors", 2)
    (folder / "duet.yaml").write_text("models: [aaa, bbb]\nweights: [[1, 1, 1, 0], [0, 0, 0, 1]]\n")
    return folder


def test_vocals_as_demucs_itself_gives_them(repo, sung):
    from demucs.apply import apply_model
    from demucs.hf import load_safetensors_model

    song = np.repeat(sung[0][:, : 3 * RATE], 2, axis=0)
    mean, deviation = song[0].mean(), song[0].std()
    normal = torch.from_numpy((song - mean) / deviation)[None]
    stems = apply_model(load_safetensors_model(repo / "bbb.safetensors").eval(), normal, shifts=0)
    expected = stems[0, 3].numpy() * deviation + mean
    np.testing.assert_allclose(Demucs("bbb", str(repo))(song, RATE), expected, atol=1e-6)


def test_pieces_add_up_to_the_whole_and_every_call_is_the_same(repo, stereo, monkeypatch):
    song = stereo[:, : 7 * RATE]
    whole = Demucs("bbb", str(repo))(song, RATE)
    monkeypatch.setattr(adapter, "PIECE_STRIDES", 2)
    np.testing.assert_allclose(Demucs("bbb", str(repo))(song, RATE), whole, atol=1e-6)


def test_networks_that_give_no_vocals_are_not_asked(repo, sung):
    song = sung[0][:, : 3 * RATE]
    duet = pickle.loads(pickle.dumps(Demucs("duet", str(repo))))
    np.testing.assert_array_equal(duet(song, RATE), Demucs("bbb", str(repo))(song, RATE))
    assert len(duet.network.models) == 1


def test_missing_weights_are_told_at_once_and_nothing_is_fetched(repo, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))
    with pytest.raises(
        UserError, match=r"htdemucs lacks 955717e8\.safetensors in .*: fetch it from adefossez/HTDemucs on the Hub"
    ):
        Demucs(repo=str(repo))
    with pytest.raises(UserError, match=r"htdemucs_6s lacks 5c90dfd2\.safetensors in the cache of the Hugging Face Hub"):
        Demucs("htdemucs_6s")


def test_models_that_are_none_are_refused(repo, tmp_path):
    with pytest.raises(UserError, match=r"no model htdemuks: expected one of .*htdemucs_ft"):
        Demucs("htdemuks")
    (tmp_path / "away.yaml").write_text(f"models: [{repo}/aaa]")
    with pytest.raises(UserError, match="expected a name, not a path"):
        Demucs("away", str(tmp_path))
    (tmp_path / "empty.yaml").write_text("weights: []")
    with pytest.raises(UserError, match=r"empty\.yaml lists no `models`"):
        Demucs("empty", str(tmp_path))


def test_a_pickle_is_read_only_when_trusted(repo, tmp_path, sung):
    whole = {"klass": htdemucs.HTDemucs, "args": (), "kwargs": dict(CONFIG)}
    torch.manual_seed(2)
    state = htdemucs.HTDemucs(**CONFIG).state_dict()
    torch.save(whole | {"state": state, "training_args": {}}, tmp_path / "bbb.th")
    with pytest.raises(UserError, match=r"bbb\.th is a pickle, which may run any code: .* trust_pickle=true"):
        Demucs("bbb", str(tmp_path))
    song = sung[0][:, : 3 * RATE]
    trusted = Demucs("bbb", str(tmp_path), trust_pickle=True)
    np.testing.assert_array_equal(trusted(song, RATE), Demucs("bbb", str(repo))(song, RATE))


def test_safetensors_that_name_other_code_are_refused(tmp_path):
    save(tmp_path / "aaa.safetensors", 1, klass="os.system")
    with pytest.raises(UserError, match=r"aaa\.safetensors is of os\.system, or quantized: expected one of demucs"):
        _ = Demucs("aaa", str(tmp_path)).network


def test_damaged_and_unfit_networks_are_refused(repo, tmp_path):
    (tmp_path / "aaa.safetensors").write_bytes((repo / "aaa.safetensors").read_bytes()[:1000])
    save(tmp_path / "bbb.safetensors", 1, config=CONFIG | {"sources": ["drums", "bass"]})
    with pytest.raises(UserError, match=r"aaa\.safetensors does not hold a Demucs network"):
        _ = Demucs("aaa", str(tmp_path)).network
    with pytest.raises(UserError, match="bbb does not give vocals in stereo at 44100 Hz"):
        _ = Demucs("bbb", str(tmp_path)).network


def test_without_demucs_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(adapter, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"demucs is not installed: pip install 'jukebox_pl\[sep\]'"):
        Demucs()
