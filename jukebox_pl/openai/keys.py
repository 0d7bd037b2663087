"""The names of the released files' tensors beside ours, one row a module or parameter; `#` stands for an index."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE, DownBlock

Rules = Mapping[str, Callable[..., str]]
Shapes = dict[str, tuple[int, ...]]

BLOCK = {
    "attention_norm": "ln_0",
    "attention.qkv": "attn.c_attn",
    "attention.q": "attn.c_attn",
    "attention.kv": "attn.c_enc_kv",
    "attention.out": "attn.c_proj",
    "mlp_norm": "ln_1",
    "mlp.0": "mlp.c_fc",
    "mlp.2": "mlp.c_proj",
}
PRIOR = {
    "embed": "prior.x_emb",
    "positions": "prior.pos_emb.pos_emb",
    "start": "prior.start_token",
    **{f"transformer.blocks.#.{ours}": f"prior.transformer._attn_mods.{{}}.{theirs}" for ours, theirs in BLOCK.items()},
    "out": "prior.x_out",
}
LYRICS = {
    **{f"lyrics.{ours}": f"prime_{theirs}" for ours, theirs in PRIOR.items()},
    "lyrics.project": "prime_state_proj",
    "lyrics.norm": "prime_state_ln",
    "lyrics.out": "prime_x_out",
}
LABELS = {
    "conditioners.labels.artist": "y_emb.artist_emb.emb",
    "conditioners.labels.genre": "y_emb.bow_genre_emb.emb",
    "conditioners.timing.length": "y_emb.total_length_emb.emb",
    "conditioners.timing.place": "y_emb.absolute_pos_emb.emb",
    "conditioners.timing.fraction": "y_emb.relative_pos_emb.emb",
}
UPPER = {
    "conditioners.upper.embed": "conditioner_blocks.0.x_emb",
    "conditioners.upper.upsample.into": "conditioner_blocks.0.cond.model.0",
    "conditioners.upper.norm": "conditioner_blocks.0.ln",
}
UPSAMPLE = "conditioner_blocks.0.cond.model"
PRIOR_RULES: Rules = {
    **{ours: theirs.format for ours, theirs in (PRIOR | LYRICS | LABELS | UPPER).items()},
    "conditioners.upper.upsample.steps.#.0.#.dilated": lambda i, j: f"{UPSAMPLE}.{i + 1}.0.blocks.{j}.model.1",
    "conditioners.upper.upsample.steps.#.0.#.pointwise": lambda i, j: f"{UPSAMPLE}.{i + 1}.0.blocks.{j}.model.3",
    "conditioners.upper.upsample.steps.#.1": lambda i: f"{UPSAMPLE}.{i + 1}.1",
}
TIED_OUTPUT, EMBEDDING = "prior.x_out.weight", "prior.x_emb.weight"
# Running sums of a codebook: the released files hold its vectors alone.
NOT_RELEASED = ("codebook.sums", "codebook.counts", "codebook.updates")


def vqvae_rules(downs: list[int]) -> Rules:
    """`top` is a level's own number; the original numbers a decoder's steps from the sound, ours count from the codes."""
    decoder = "decoders.{}.level_blocks.{}.model.{}".format
    return {
        "levels.#.codebook.codes": "bottleneck.level_blocks.{}.k".format,
        "levels.#.encoder.#.steps.#.0": "encoders.{}.level_blocks.{}.model.{}.0".format,
        "levels.#.encoder.#.steps.#.1.#.dilated": "encoders.{}.level_blocks.{}.model.{}.1.model.{}.model.1".format,
        "levels.#.encoder.#.steps.#.1.#.pointwise": "encoders.{}.level_blocks.{}.model.{}.1.model.{}.model.3".format,
        "levels.#.encoder.#.out": lambda top, step: f"encoders.{top}.level_blocks.{step}.model.{downs[step]}",
        "levels.#.decoder.#.into": lambda top, step: decoder(top, top - step, 0),
        "levels.#.decoder.#.steps.#.0.#.dilated": lambda top, step, i, j: (
            f"{decoder(top, top - step, i + 1)}.0.model.{j}.model.1"
        ),
        "levels.#.decoder.#.steps.#.0.#.pointwise": lambda top, step, i, j: (
            f"{decoder(top, top - step, i + 1)}.0.model.{j}.model.3"
        ),
        "levels.#.decoder.#.steps.#.1": lambda top, step, i: f"{decoder(top, top - step, i + 1)}.1",
        "levels.#.out": "decoders.{}.out".format,
    }


@dataclass(frozen=True)
class Source:
    """Where a released file holds one of our tensors, and its shape there."""

    key: str
    shape: tuple[int, ...]
    transposed: bool = False


def sources(model: nn.Module) -> dict[str, Source]:
    """For every name of the model's state that a released file holds, its source; the model may be on `meta`."""
    rules = PRIOR_RULES
    if isinstance(model, VQVAE):
        rules = vqvae_rules([len(cast(DownBlock, step).steps) for step in model.levels[-1].encoder])
    state = model.state_dict()
    return {name: _source(model, rules, name, state[name]) for name in state if not name.endswith(NOT_RELEASED)}


def expected_shapes(model: nn.Module) -> Shapes:
    """Every key and shape of the released file of a model. A tied output is stored a second time."""
    shapes = {source.key: source.shape for source in sources(model).values()}
    if isinstance(model, Prior) and model.out is None:
        shapes[TIED_OUTPUT] = shapes[EMBEDDING]
    return shapes


def _source(model: nn.Module, rules: Rules, name: str, tensor: Tensor) -> Source:
    """Dense layers with a bias are stored as `w` [in, out] and `b`, where nn.Linear has `weight` [out, in] and `bias`."""
    if key := _renamed(rules, name):
        return Source(key, tuple(tensor.shape[1:] if name.endswith("start") else tensor.shape))
    module, _, leaf = name.rpartition(".")
    layer = model.get_submodule(module)
    dense = isinstance(layer, nn.Linear) and layer.bias is not None
    key = f"{_renamed(rules, module)}.{leaf[0] if dense else leaf}"
    return Source(key, tuple(reversed(tensor.shape)) if dense else tuple(tensor.shape), dense)


def _renamed(rules: Rules, name: str) -> str | None:
    for pattern, theirs in rules.items():
        if match := re.fullmatch(re.escape(pattern).replace(r"\#", r"(\d+)"), name):
            return theirs(*map(int, match.groups()))
    return None
