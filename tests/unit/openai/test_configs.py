"""The released networks on the meta device: how many numbers, under which keys, of which shapes."""

import re

import pytest

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.openai.configs import complete, pattern, prior_config, released_config
from jukebox_pl.openai.hparams import PRIORS, VQVAES
from jukebox_pl.openai.keys import expected_shapes

PARAMETERS = {
    "vqvae_jukebox": 1_485_763,
    "top_prior_5b": 5_060_452_800,
    "top_prior_5b_lyrics": 5_640_506_800,
    "top_prior_1b_lyrics": 942_643_200,
    "upsampler_middle_1b": 981_298_176,
    "upsampler_bottom_1b": 981_298_176,
    "small_vqvae": 586_050,
    "small_prior": 160_814_080,
    "small_labelled_prior": 161_122_304,
    "small_single_enc_dec": 160_547_840,
    "small_sep_enc_dec": 168_633_280,
    "small_upsampler": 218_015_232,
}
KEYS = {
    "vqvae_jukebox": 669,
    "top_prior_5b": 872,
    "top_prior_5b_lyrics": 1194,
    "top_prior_1b_lyrics": 872,
    "upsampler_middle_1b": 1006,
    "upsampler_bottom_1b": 1006,
}
CONV = "conditioner_blocks.0.cond.model"
SHAPES = {
    "vqvae_jukebox": {
        "encoders.0.level_blocks.0.model.0.0.weight": (64, 1, 4),
        "encoders.2.level_blocks.1.model.0.0.weight": (32, 64, 4),
        "encoders.0.level_blocks.0.model.2.1.model.7.model.1.weight": (64, 64, 3),
        "encoders.1.level_blocks.0.model.3.weight": (64, 32, 3),
        "decoders.2.level_blocks.0.model.0.weight": (32, 64, 3),
        "decoders.0.level_blocks.0.model.3.1.weight": (64, 64, 4),
        "decoders.2.level_blocks.2.model.2.0.model.3.model.3.weight": (32, 32, 1),
        "decoders.2.level_blocks.2.model.2.1.weight": (32, 64, 4),
        "decoders.1.out.weight": (1, 64, 3),
        "bottleneck.level_blocks.2.k": (2048, 64),
    },
    "upsampler_middle_1b": {
        "conditioner_blocks.0.x_emb.weight": (2048, 1920),
        f"{CONV}.0.weight": (1024, 1920, 3),
        f"{CONV}.1.0.blocks.15.model.1.weight": (1024, 1024, 3),
        f"{CONV}.1.1.weight": (1024, 1024, 4),
        f"{CONV}.2.1.weight": (1024, 1920, 4),
        "conditioner_blocks.0.ln.bias": (1920,),
        "y_emb.bow_genre_emb.emb.weight": (120, 1920),
        "prior.x_out.weight": (2048, 1920),
        "prior.transformer._attn_mods.71.attn.c_attn.w": (1920, 1440),
        "prior.transformer._attn_mods.0.attn.c_proj.w": (480, 1920),
    },
    "top_prior_5b_lyrics": {
        "y_emb.relative_pos_emb.emb.weight": (128, 4800),
        "prior.pos_emb.pos_emb": (8192, 4800),
        "prior.transformer._attn_mods.18.attn.c_attn.w": (4800, 1200),
        "prior.transformer._attn_mods.78.attn.c_enc_kv.w": (4800, 2400),
        "prior.transformer._attn_mods.17.attn.c_attn.b": (3600,),
        "prior.transformer._attn_mods.17.mlp.c_fc.w": (4800, 4800),
        "prime_prior.start_token": (1, 1280),
        "prime_prior.transformer._attn_mods.17.ln_1.weight": (1280,),
        "prime_state_proj.w": (1280, 4800),
        "prime_x_out.weight": (80, 4800),
    },
    "top_prior_1b_lyrics": {
        "prior.x_emb.weight": (2127, 2048),
        "prior.x_out.weight": (2127, 2048),
        "prior.pos_emb.pos_emb": (6528, 2048),
        "y_emb.artist_emb.emb.weight": (7898, 2048),
    },
}


def on_meta(name):
    return checkpoints.on_meta(released_config(name))


@pytest.mark.parametrize("name", [*VQVAES, *PRIORS])
def test_a_released_network_has_the_released_number_of_parameters(name):
    assert sum(parameter.numel() for parameter in on_meta(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", KEYS)
def test_a_released_network_has_the_released_keys(name):
    shapes = expected_shapes(on_meta(name))
    assert len(shapes) == KEYS[name]
    assert {key: shapes[key] for key in SHAPES.get(name, {})} == SHAPES.get(name, {})
    assert not [key for key in shapes if "None" in key]


def test_only_priors_without_labels_learn_their_start():
    assert "prior.start_token" in expected_shapes(on_meta("small_prior"))
    assert "prior.start_token" not in expected_shapes(on_meta("top_prior_5b"))


@pytest.mark.parametrize(
    ("order", "depth", "special"),
    [
        (10, 79, dict.fromkeys(range(18, 79, 10), "X")),
        (12, 72, {15: "L", 31: "L", 47: "D", 63: "L"}),
        (11, 72, {15: "X", 31: "X", 47: "D", 63: "X"}),
        (8, 50, dict.fromkeys(range(9, 50, 10), "X")),
        (7, 32, {15: "X", 31: "X"}),
        (2, 7, {}),
    ],
)
def test_layers_that_are_not_rows_columns_and_previous_rows(order, depth, special):
    letters = pattern(order, depth)
    assert len(letters) == depth
    assert {layer: letter for layer, letter in enumerate(letters) if letter not in "RCP"} == special


def test_between_the_special_layers_of_order_12_the_cycle_goes_on():
    letters = pattern(12, 72)
    assert all(letter == "RCP"[layer % 3] for layer, letter in enumerate(letters) if layer % 16 != 15)


def test_blocks_count_rows_lyrics_included():
    config = prior_config(PRIORS["top_prior_1b_lyrics"])["transformer"]
    assert (config["ctx"], config["block"], config["prefix"]) == (6528, 102, 384)
    transformer = checkpoints.on_meta(config)
    assert isinstance(transformer, Transformer)
    assert transformer.blocks[15].attention.pattern.max_key == 448


def test_what_is_not_supported_is_named():
    with pytest.raises(UserError, match=re.escape("attn_order 5 is not supported")):
        prior_config(PRIORS["small_prior"] | {"attn_order": 5})
    with pytest.raises(UserError, match=re.escape("m_conv=2.0 (only 1.0)")):
        complete({"m_conv": 2.0})
    with pytest.raises(UserError, match="there are vqvae_jukebox, "):
        released_config("top_prior_7b")
