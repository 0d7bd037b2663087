"""The hyper-parameters of the released models and of the small family of the released recipes, in the released names."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

Hparams = dict[str, Any]

Number = Annotated[int, Meta(ge=0, le=2**40)] | None
Sizes = Annotated[list[Annotated[int, Meta(ge=0, le=2**20)]], Meta(min_length=1, max_length=8)] | None
Fraction = Annotated[float, Meta(ge=0, le=1e9)] | None
# What the settings of a file may be, of those that are read and are no whole numbers.
KINDS: dict[str, Any] = {
    **dict.fromkeys(("downs_t", "strides_t", "hvqvae_multipliers"), Sizes),
    "y_bins": Sizes | Annotated[int, Meta(ge=0, le=0)],  # a VQ-VAE's file says 0: no labels
    **dict.fromkeys(("l_mu", "revival_threshold", "min_duration", "max_duration"), Fraction),
    **dict.fromkeys(("m_attn", "m_mlp", "init_scale", "prime_m_attn", "prime_m_mlp", "prime_init_scale"), Fraction),
    **dict.fromkeys(("labels", "labels_v3", "single_enc_dec", "merged_decoder", "cond_res_scale"), bool | None),
}
NUMBERS = (
    *("level", "levels", "sr", "sample_length", "l_bins", "emb_width", "width", "depth", "dilation_growth_rate"),
    *("n_ctx", "n_tokens", "n_vocab", "t_bins", "max_bow_genre_size", "alignment_layer", "alignment_head"),
    *("prior_width", "prior_depth", "heads", "attn_order", "blocks"),
    *("prime_width", "prime_depth", "prime_heads", "prime_attn_order", "prime_blocks"),
    *("cond_width", "cond_depth", "cond_dilation_growth_rate", "cond_dilation_cycle"),
)
KINDS |= dict.fromkeys(NUMBERS, Number)

# What a set below leaves unsaid. Numbers that every set names for itself have no default.
DEFAULTS: Hparams = {
    "level": 0,
    "sr": 44_100,
    "levels": 3,
    "downs_t": (3, 2, 2),
    "strides_t": (2, 2, 2),
    "l_bins": 2048,
    "l_mu": 0.99,
    "revival_threshold": 1.0,
    "sample_length": 0,
    "emb_width": 64,
    "hvqvae_multipliers": None,
    "m_conv": 1.0,
    "dilation_growth_rate": 3,
    "dilation_cycle": None,
    "vqvae_reverse_decoder_dilation": True,
    "use_bottleneck": True,
    "labels": True,
    "labels_v3": False,
    "n_tokens": 0,
    "n_vocab": 80,
    "max_bow_genre_size": 5,
    "min_duration": None,
    "max_duration": None,
    "t_bins": 64,
    "single_enc_dec": False,
    "merged_decoder": False,
    "m_attn": 0.25,
    "m_mlp": 1.0,
    "res_scale": False,
    "pos_init": False,
    "cond_m_conv": 1.0,
    "cond_res_scale": False,
    "cond_dilation_growth_rate": 3,
    "cond_dilation_cycle": 8,
    "prime_m_attn": 0.25,
    "prime_m_mlp": 1.0,
    "prime_res_scale": False,
    "prime_pos_init": False,
    "alignment_layer": None,
    "alignment_head": None,
}

LABELS_V2: Hparams = {"y_bins": (120, 4111), "max_bow_genre_size": 5}
LABELS_SMALL: Hparams = {
    "labels_v3": True,
    "y_bins": (10, 100),
    "max_bow_genre_size": 1,
    "min_duration": 60.0,
    "max_duration": 600.0,
    "t_bins": 64,
}

TOP_5B: Hparams = LABELS_V2 | {
    "level": 2,
    "n_ctx": 8192,
    "prior_width": 4800,
    "prior_depth": 72,
    "heads": 8,
    "attn_order": 2,
    "blocks": 128,
    "init_scale": 0.1,
    "merged_decoder": True,
    "t_bins": 128,
    "min_duration": 60.0,
    "max_duration": 600.0,
}
TOP_5B_LYRICS: Hparams = TOP_5B | {
    "prior_depth": 79,
    "attn_order": 10,
    "min_duration": 23.8,
    "n_tokens": 512,
    "prime_width": 1280,
    "prime_depth": 18,
    "prime_heads": 4,
    "prime_attn_order": 2,
    "prime_blocks": 32,
    "prime_init_scale": 0.7,
    "alignment_layer": 68,
    "alignment_head": 2,
}
TOP_1B_LYRICS: Hparams = {
    "level": 2,
    "n_ctx": 6144,
    "prior_width": 2048,
    "prior_depth": 72,
    "heads": 2,
    "attn_order": 12,
    "blocks": 64,
    "init_scale": 0.2,
    "single_enc_dec": True,
    "n_tokens": 384,
    "n_vocab": 79,
    "labels_v3": True,
    "y_bins": (604, 7898),
    "max_bow_genre_size": 1,
    "t_bins": 64,
    "min_duration": 17.84,
    "max_duration": 600.0,
    "alignment_layer": 63,
    "alignment_head": 0,
}
UPSAMPLER: Hparams = LABELS_V2 | {
    "n_ctx": 8192,
    "prior_width": 1920,
    "prior_depth": 72,
    "heads": 1,
    "attn_order": 2,
    "blocks": 128,
    "init_scale": 0.4,
    "cond_width": 1024,
    "cond_depth": 16,
}

SMALL_VQVAE: Hparams = {
    "sr": 22_050,
    "levels": 2,
    "downs_t": (5, 3),
    "strides_t": (2, 2),
    "l_bins": 1024,
    "width": 32,
    "depth": 4,
    "sample_length": 262_144,
}
SMALL: Hparams = {
    "n_ctx": 8192,
    "prior_width": 1024,
    "prior_depth": 48,
    "heads": 1,
    "attn_order": 2,
    "blocks": 64,
    "init_scale": 0.7,
}
SMALL_PRIOR: Hparams = SMALL_VQVAE | SMALL | {"level": 1, "labels": False}
SMALL_LYRICS: Hparams = (
    SMALL
    | LABELS_SMALL
    | {
        "level": 2,
        "n_ctx": 6144,
        "heads": 2,
        "n_tokens": 384,
        "n_vocab": 79,
    }
)

# The small priors sit on the small VQ-VAE, those with lyrics on the released one, as their recipes had it. The sample
# length of the released VQ-VAE is the paper's.
VQVAES: dict[str, Hparams] = {
    "vqvae_jukebox": {"width": 32, "depth": 4, "hvqvae_multipliers": (2, 1, 1), "sample_length": 393_216},
    "small_vqvae": SMALL_VQVAE,
}
PRIORS: dict[str, Hparams] = {
    "top_prior_5b": TOP_5B,
    "top_prior_5b_lyrics": TOP_5B_LYRICS,
    "top_prior_1b_lyrics": TOP_1B_LYRICS,
    "upsampler_middle_1b": UPSAMPLER | {"level": 1, "cond_res_scale": True},
    "upsampler_bottom_1b": UPSAMPLER | {"level": 0},
    "small_prior": SMALL_PRIOR,
    "small_labelled_prior": SMALL_PRIOR | LABELS_SMALL | {"labels": True},
    "small_single_enc_dec": SMALL_LYRICS | {"attn_order": 12, "single_enc_dec": True},
    "small_sep_enc_dec": SMALL_LYRICS
    | {
        "prior_depth": 50,
        "attn_order": 8,
        "prime_width": 256,
        "prime_depth": 9,
        "prime_heads": 2,
        "prime_attn_order": 2,
        "prime_blocks": 32,
        "prime_init_scale": 0.7,
    },
    "small_upsampler": SMALL_PRIOR | {"level": 0, "cond_width": 512, "cond_depth": 16},
}
