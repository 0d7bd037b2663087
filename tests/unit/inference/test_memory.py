import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.inference import memory
from jukebox_pl.openai.configs import released_config
from jukebox_pl.utils.files import write_json

GIGA = 1e9
TINY = {
    "_target_": "jukebox_pl.models.prior.Prior",
    "bins": 16,
    "transformer": {
        "_target_": "jukebox_pl.nn.transformer.Transformer",
        "width": 32,
        "heads": 1,
        "pattern": "RCP",
        "ctx": 64,
        "block": 8,
    },
}


@pytest.fixture
def bundle(tmp_path):
    """The records of a bundle of released shapes; there are no weights."""
    parts = {"vqvae": "vqvae", "0": "upsampler_bottom_1b", "1": "upsampler_middle_1b", "2": "top_prior_5b_lyrics"}
    parts["vqvae"] = "vqvae_jukebox"
    for name, size in parts.items():
        write_json(tmp_path / name / checkpoints.CONFIG, {"model": released_config(size), "fingerprint": name})
    record = {"sample_rate": 44100, "vqvae": "vqvae", "priors": {level: level for level in "012"}}
    write_json(tmp_path / checkpoints.BUNDLE, record)
    return tmp_path


def test_half_weights_of_the_largest_model_fit_a_card_of_24_gb_and_whole_ones_do_not(bundle):
    assert memory.estimate_memory(bundle, dtype=torch.bfloat16).peak() < 24 * GIGA < memory.estimate_memory(bundle).peak()


def test_what_the_released_models_take_is_what_is_worked_out_by_hand(bundle):
    top = memory.estimate_memory(bundle, [2], dtype=torch.bfloat16).levels[2]
    assert top.weights == pytest.approx(11.5 * GIGA, rel=0.05)  # 5.39 billion halves, the lyrics encoder, tables
    assert top.cache == pytest.approx(0.983 * GIGA, rel=0.05)


def test_one_level_at_a_time_takes_what_the_largest_takes(bundle):
    estimate = memory.estimate_memory(bundle, dtype=torch.bfloat16)
    alone = [memory.estimate_memory(bundle, [level], dtype=torch.bfloat16).peak() for level in range(3)]
    assert estimate.peak() == max(alone)
    assert estimate.peak(together=True) > 1.2 * estimate.peak()


def test_memory_grows_with_the_batch_and_with_narrow_copies():
    prior = checkpoints.on_meta(TINY)
    one, four = (memory.prior_memory(prior, batch, torch.float32, 0) for batch in (1, 4))
    assert (four.weights, four.cache, four.work) == (one.weights, 4 * one.cache, 4 * one.work)
    dense = sum(p.numel() for name, p in prior.named_parameters() if checkpoints.DENSE.search(name))
    assert memory.prior_memory(prior, 1, torch.float32, 1).weights == one.weights + dense


def test_too_little_room_is_one_line(bundle, monkeypatch):
    estimate = memory.estimate_memory(bundle, dtype=torch.bfloat16)
    monkeypatch.setattr(memory, "free_bytes", lambda device: estimate.peak())
    memory.require_room(estimate, "cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda device: estimate.peak() - 1)
    with pytest.raises(UserError, match=r"needs about \d+\.\d GB on cpu, .* level 2 alone .* try dtype=bfloat16"):
        memory.require_room(estimate, "cpu")


def test_free_memory_is_known_where_the_system_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    assert memory.free_bytes("cpu") is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    7 kB\n")
    assert memory.free_bytes("cpu") == 7 * 1024
