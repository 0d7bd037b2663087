"""Hugging Face's port of Jukebox with our weights: the released hyper-parameters and key names as the port has them."""

import os
import re

import pytest

from jukebox_pl.openai.configs import complete
from jukebox_pl.openai.keys import EMBEDDING, TIED_OUTPUT, sources

os.environ.setdefault("HF_HUB_OFFLINE", "1")
jukebox = pytest.importorskip(
    "transformers.models.deprecated.jukebox.modeling_jukebox",
    reason="the last release of Hugging Face's port is missing: pip install 'jukebox_pl[oracle]'",
)

VQVAE_SETTINGS = {
    "nb_discrete_codes": "l_bins",
    "embed_dim": "emb_width",
    "res_conv_width": "width",
    "res_conv_depth": "depth",
    "multipliers": "hvqvae_multipliers",
}
PRIOR_SETTINGS = {
    "n_ctx": "n_ctx",
    "music_vocab_size": "l_bins",
    "lyric_vocab_size": "n_vocab",
    "is_encoder_decoder": "single_enc_dec",
    "merged_decoder": "merged_decoder",
    "metadata_dims": "y_bins",
    "max_nb_genres": "max_bow_genre_size",
    "timing_dims": "t_bins",
    "min_duration": "min_duration",
    "max_duration": "max_duration",
    "res_dilation_growth_rate": "cond_dilation_growth_rate",
    "res_dilation_cycle": "cond_dilation_cycle",
    "conv_res_scale": "cond_res_scale",
}
CONDITIONER_SETTINGS = {"res_conv_width": "cond_width", "res_conv_depth": "cond_depth"}
PATTERNS = {2: "raw_column_previous_row_attention", 10: "large_separated_enc_dec_w_lyrics", 12: "enc_dec_with_lyrics"}

# From released names to the port's, in this order. The port counts convolutions and stacks of a block in one list.
RENAMED = {
    r"\.k$": ".codebook",
    r"\.w$": ".weight",
    r"\.b$": ".bias",
    r"\.(?:model|blocks)\.(\d+)\.model\.1\b": r".resnet_block.\1.conv1d_1",
    r"\.(?:model|blocks)\.(\d+)\.model\.3\b": r".resnet_block.\1.conv1d_2",
    r"^(enc.+)\.model\.(\d)\.(\d)\b": lambda found: f"{found[1]}.downsample_block.{2 * int(found[2]) + int(found[3])}",
    r"\.model\.(\d)\.(\d)\b": lambda found: f".upsample_block.{2 * int(found[1]) + int(found[2]) - 2}",
    r"^(enc.+)\.model\.\d\b": r"\1.proj_out",
    r"\.model\.0\b": ".proj_in",
    r"^conditioner_blocks\.0\.cond\b": "conditioner_blocks.upsampler",
    r"^conditioner_blocks\.0\b": "conditioner_blocks",
    r"^y_emb\.(artist|bow_genre)_emb\.emb\b": r"metadata_embedding.\1_emb",
    r"^y_emb\b": "metadata_embedding",
    r"^prime_prior\b": "encoder",
    r"^prime_state_proj\b": "encoder.proj_in",
    r"^prime_state_ln\b": "encoder.final_layer_norm",
    r"^prime_x_out\b": "encoder.lm_head",
    r"\bx_emb\b": "embed_tokens",
    r"\bx_out\b": "fc_proj_out",
    r"\bln(_\d)?\b": r"layer_norm\1",
}


def port_name(released):
    for pattern, theirs in RENAMED.items():
        released = re.sub(pattern, theirs, released)
    return released


def as_port(model, tensors):
    """Tensors under the names of `model`, its state or gradients of it, as the port names and lays them out."""
    places = sources(model)
    renamed = {}
    for name in tensors.keys() & places.keys():
        place, tensor = places[name], tensors[name].detach()
        renamed[port_name(place.key)] = (tensor.t() if place.transposed else tensor).reshape(place.shape)
    return renamed


def filled(port, ours):
    """The port with the weights of ours, every one of its own replaced. A tied output is stored a second time."""
    state = as_port(ours, ours.state_dict())
    if (tied := port_name(TIED_OUTPUT)) in port.state_dict():
        state.setdefault(tied, state[port_name(EMBEDDING)])
    port.load_state_dict(state)
    return port.eval()


def port_vqvae(hps, ours):
    full = complete(hps)
    settings = {theirs: full[released] for theirs, released in VQVAE_SETTINGS.items()}
    return filled(jukebox.JukeboxVQVAE(jukebox.JukeboxVQVAEConfig(**settings)), ours)


def port_prior(hps, ours):
    full = complete(hps)
    settings = PRIOR_SETTINGS | (CONDITIONER_SETTINGS if "cond_width" in full else {})
    config = layers(full, "prior", "") | {theirs: full[released] for theirs, released in settings.items()}
    if "prime_width" in full:
        config["encoder_config"] = layers(full, "prime", "prime_")
    # The port counts levels from the top.
    return filled(jukebox.JukeboxPrior(jukebox.JukeboxPriorConfig(**config, level=2 - full["level"])), ours)


def layers(hps, kind, prefix):
    """Settings of a transformer. Without `mask` the port is not causal."""
    return {
        "hidden_size": hps[f"{kind}_width"],
        "num_layers": hps[f"{kind}_depth"],
        "n_heads": hps[f"{prefix}heads"],
        "blocks": hps[f"{prefix}blocks"],
        "attention_pattern": PATTERNS[hps[f"{prefix}attn_order"]],
        "nb_relevant_lyric_tokens": hps["n_tokens"],
        "mask": True,
    }
