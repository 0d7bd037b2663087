"""Small files in the released layout, made of our own networks with random weights."""

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.openai.configs import complete, prior_config, vqvae_config
from jukebox_pl.openai.keys import EMBEDDING, TIED_OUTPUT, expected_shapes

SHARED = {"levels": 2, "downs_t": [2, 1], "strides_t": [2, 2], "l_bins": 16, "sr": 8000}
VQVAE = SHARED | {"emb_width": 8, "width": 8, "depth": 2, "sample_length": 1024, "y_bins": 0}
TOP = SHARED | {
    "level": 1,
    "n_ctx": 32,
    "prior_width": 16,
    "prior_depth": 4,
    "heads": 2,
    "attn_order": 6,
    "blocks": 4,
    "init_scale": 1.0,
    "merged_decoder": True,
    "n_tokens": 8,
    "n_vocab": 80,
    "y_bins": [3, 4],
    "min_duration": 0.0,
    "max_duration": 60.0,
    "prime_width": 8,
    "prime_depth": 2,
    "prime_heads": 1,
    "prime_attn_order": 2,
    "prime_blocks": 2,
    "prime_init_scale": 1.0,
}
BOTTOM = TOP | {
    "level": 0,
    "attn_order": 2,
    "merged_decoder": False,
    "n_tokens": 0,
    "cond_width": 8,
    "cond_depth": 2,
}
PARTS = {
    "vqvae.pth.tar": (VQVAE, vqvae_config),
    "prior_level_0.pth.tar": (BOTTOM, prior_config),
    "prior_level_1.pth.tar": (TOP, prior_config),
}


def random_state(config):
    torch.manual_seed(0)
    state = {key: torch.randn(shape) * 0.2 for key, shape in expected_shapes(checkpoints.on_meta(config)).items()}
    if "prior.start_token" not in state and TIED_OUTPUT in state and config["tied"]:
        state[TIED_OUTPUT] = state[EMBEDDING]
    return {key: tensor.half() if key.endswith(".w") else tensor for key, tensor in state.items()}


def write_part(path, hps, config_of, **changes):
    """Writes one file; `changes` replaces keys of its state, None leaves them out."""
    state = random_state(config_of(complete(hps))) | changes
    kept = {f"module.{key}": tensor for key, tensor in state.items() if tensor is not None}
    torch.save({"model": kept, "hps": hps, "step": 0, "opt": None}, path, _use_new_zipfile_serialization=False)


@pytest.fixture
def folder(tmp_path):
    """The files of a hierarchy of two levels."""
    for name, (hps, config_of) in PARTS.items():
        write_part(tmp_path / name, hps, config_of)
    return tmp_path


@pytest.fixture
def rewrite(folder):
    """Writes one of the files again, with changes."""

    def again(name, hps=None, **changes):
        known, config_of = PARTS[name]
        write_part(folder / name, known | (hps or {}), config_of, **changes)
        return folder / name

    return again
