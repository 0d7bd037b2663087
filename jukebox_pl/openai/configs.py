"""From the released hyper-parameters, a flat mapping, to configs that `checkpoints.build` makes networks of."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

from jukebox_pl.errors import UserError
from jukebox_pl.nn.patterns import MAX_LAYERS, expand_pattern
from jukebox_pl.openai.hparams import DEFAULTS, PRIORS, VQVAES, Hparams

Config = dict[str, Any]

# Layers cycle through these letters. Orders 3, 4 and 5 summarise rows and cannot sample, in the original either.
PATTERNS = {
    0: "D",
    1: "RC",
    2: "RCP",
    6: "RCPX",
    7: "RCP*5 + X",
    8: "RCP*3 + X",
    9: "RCPD",
    10: "RCP*3 + RCPRCPRCPX*7",
    11: "RCP*5 + X + CPR*5 + X + PRC*5 + D",
    12: "RCP*5 + L + CPR*5 + L + PRC*5 + D",
}
# Settings that no released model changes and these networks do not have.
FIXED = (
    "m_conv",
    "cond_m_conv",
    "dilation_cycle",
    "vqvae_reverse_decoder_dilation",
    "use_bottleneck",
    "res_scale",
    "prime_res_scale",
    "pos_init",
    "prime_pos_init",
)


def released_config(name: str) -> Config:
    """The config of a released or small model by its name in `hparams`. Raises UserError on another name."""
    if name in VQVAES:
        return vqvae_config(VQVAES[name])
    if name in PRIORS:
        return prior_config(PRIORS[name])
    raise UserError(f"no released model is called {name!r}; there are {', '.join([*VQVAES, *PRIORS])}")


def complete(hps: Hparams) -> Hparams:
    """`hps` over the defaults. Raises UserError on a setting these networks do not have."""
    full = DEFAULTS | hps
    changed = [f"{name}={full[name]!r} (only {DEFAULTS[name]!r})" for name in FIXED if full[name] != DEFAULTS[name]]
    if changed:
        raise UserError(f"the hyper-parameters ask for what these networks do not have: {', '.join(changed)}")
    return full


def pattern(order: int, depth: int) -> str:
    """The letters of `depth` layers under a released `attn_order`. Raises UserError for others."""
    if order not in PATTERNS:
        raise UserError(f"attn_order {order} is not supported, only {', '.join(map(str, PATTERNS))}")
    if not isinstance(depth, int) or not 0 < depth <= MAX_LAYERS:
        raise UserError(f"a depth of {depth} is not supported, only 1 to {MAX_LAYERS}")
    return "".join(islice(cycle(expand_pattern(PATTERNS[order])), depth))


def vqvae_config(hps: Hparams) -> Config:
    hps = complete(hps)
    return {
        "_target_": "jukebox_pl.models.vqvae.VQVAE",
        "downs": list(hps["downs_t"]),
        "strides": list(hps["strides_t"]),
        "bins": hps["l_bins"],
        "code_dim": hps["emb_width"],
        "width": hps["width"],
        "depth": hps["depth"],
        "dilation_growth": hps["dilation_growth_rate"],
        "multipliers": list(hps["hvqvae_multipliers"] or [1] * hps["levels"]),
        "codebook_decay": hps["l_mu"],
        "restart_threshold": hps["revival_threshold"],
    }


def prior_config(hps: Hparams) -> Config:
    """A prior of any level. A joint sequence (`single_enc_dec`) keeps its output tied whatever `merged_decoder` says."""
    hps = complete(hps)
    single = hps["single_enc_dec"]
    lyrics: Config | None = None
    if hps["n_tokens"] and not single:
        lyrics = {
            "_target_": "jukebox_pl.models.conditioners.LyricsEncoder",
            "vocabulary": hps["n_vocab"],
            "width": hps["prior_width"],
            "transformer": transformer_config(hps, "prime_", hps["n_tokens"]),
        }
    return {
        "_target_": "jukebox_pl.models.prior.Prior",
        "bins": hps["l_bins"],
        "transformer": transformer_config(hps, "", hps["n_ctx"], hps["n_tokens"] if single else 0),
        "conditioners": conditioner_configs(hps),
        "lyrics": lyrics,
        "vocabulary": hps["n_vocab"] if single else 0,
        "tied": single or not hps["merged_decoder"],
    }


def transformer_config(hps: Hparams, prefix: str, ctx: int, lyric_tokens: int = 0) -> Config:
    """The transformer whose settings begin with `prefix`. `blocks` is the number of rows, lyrics in front included."""
    width = hps[f"{prefix or 'prior_'}width"]
    length = lyric_tokens + ctx
    return {
        "_target_": "jukebox_pl.nn.transformer.Transformer",
        "width": width,
        "heads": hps[f"{prefix}heads"],
        "pattern": pattern(hps[f"{prefix}attn_order"], hps[f"{prefix or 'prior_'}depth"]),
        "ctx": length,
        "block": length // (hps.get(f"{prefix}blocks") or 1),
        "prefix": lyric_tokens,
        "attn_width": int(hps[f"{prefix}m_attn"] * width),
        "mlp_width": int(hps[f"{prefix}m_mlp"] * width),
        "init_scale": hps[f"{prefix}init_scale"],
    }


def conditioner_configs(hps: Hparams) -> Config:
    """Labels where the prior has any, then the timing at the top and the codes above below it."""
    top = hps["level"] == hps["levels"] - 1
    shared = {"width": hps["prior_width"], "init_scale": hps["init_scale"]}
    configs: Config = {}
    if hps["labels"]:
        genres, artists = hps["y_bins"]
        conditioner = "jukebox_pl.models.conditioners.LabelConditioner"
        configs["labels"] = {"_target_": conditioner, "artists": artists, "genres": genres, **shared}
    if hps["labels"] and top:
        configs["timing"] = {
            "_target_": "jukebox_pl.models.conditioners.TimingConditioner",
            "ctx": hps["n_ctx"],
            "bins": hps["t_bins"],
            "min_duration": hps["min_duration"] * hps["sr"],
            "max_duration": hps["max_duration"] * hps["sr"],
            **shared,
        }
    if not top:
        configs["upper"] = upper_config(hps)
    return configs


def upper_config(hps: Hparams) -> Config:
    above = hps["level"] + 1
    return {
        "_target_": "jukebox_pl.models.conditioners.UpperCodesConditioner",
        "width": hps["prior_width"],
        "bins": hps["l_bins"],
        "downs": hps["downs_t"][above],
        "stride": hps["strides_t"][above],
        "conv_width": hps["cond_width"],
        "depth": hps["cond_depth"],
        "dilation_growth": hps["cond_dilation_growth_rate"],
        "cycle": hps["cond_dilation_cycle"],
        "scaled": hps["cond_res_scale"],
        "init_scale": hps["init_scale"],
    }
