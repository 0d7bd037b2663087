"""What stands in `bundle.json` and `config.json`, with the limits beside the types. Nothing in these files is trusted."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from jukebox_pl.errors import UserError
from jukebox_pl.nn.adapters import AdapterConfig
from jukebox_pl.nn.patterns import expand_pattern

MOST_LAYERS, MOST_BLOCKS, MOST_HOP, MOST_REACH = 1024, 4096, 2**20, 2**31

Size = Annotated[int, Meta(ge=1, le=2**21)]
SizeOrNone = Annotated[int, Meta(ge=0, le=2**21)]
Few = Annotated[int, Meta(ge=1, le=64)]
Down = Annotated[int, Meta(ge=0, le=16)]
Share = Annotated[float, Meta(ge=0, le=1)]
Scale = Annotated[float, Meta(ge=0, le=1e6)]
Samples = Annotated[float, Meta(ge=0, le=2**53)]
Rate = Annotated[int, Meta(ge=1, le=2**20)]
Levels = Meta(min_length=1, max_length=8)
Name = Annotated[str, Meta(max_length=1000)]
Folder = Annotated[str, Meta(min_length=1, max_length=1000)]
Letters = Annotated[str, Meta(max_length=2**17)]
Level = Annotated[str, Meta(pattern="^[0-7]$")]
Fingerprint = Annotated[str, Meta(min_length=1, max_length=64)]
Rule = Annotated[str, Meta(pattern="^(v2|v3)_(artists|genres)$")]
Version = Annotated[str, Meta(pattern="^v[23]$")]


class NetworkConfig(msgspec.Struct):
    """A network: its class, and the arguments that our own classes take, each of one meaning whichever class it is of.

    A class of a trusted package may have arguments of its own.
    """

    target: Annotated[str, Meta(max_length=200)] = field(name="_target_")
    # Of a VQ-VAE and of what upsamples codes.
    downs: Down | Annotated[list[Down], Levels] | UnsetType = UNSET
    strides: Annotated[list[Few], Levels] | UnsetType = UNSET
    stride: Few | UnsetType = UNSET
    multipliers: Annotated[list[Few], Levels] | UnsetType | None = UNSET
    depth: Annotated[int, Meta(ge=0, le=MOST_LAYERS)] | UnsetType = UNSET
    dilation_growth: Few | UnsetType = UNSET
    cycle: Annotated[int, Meta(ge=1, le=MOST_LAYERS)] | UnsetType | None = UNSET
    conv_width: Size | UnsetType = UNSET
    scaled: bool | UnsetType = UNSET
    bins: Size | UnsetType = UNSET
    code_dim: Size | UnsetType = UNSET
    dim: Size | UnsetType = UNSET
    codebook_decay: Share | UnsetType = UNSET
    restart_threshold: Scale | UnsetType | None = UNSET
    restart_share: Scale | UnsetType = UNSET
    released_init: bool | UnsetType = UNSET
    bottleneck: NetworkConfig | UnsetType | None = UNSET
    # Of a transformer.
    width: Size | UnsetType = UNSET
    attn_width: Size | UnsetType | None = UNSET
    mlp_width: Size | UnsetType | None = UNSET
    heads: Annotated[int, Meta(ge=1, le=1024)] | UnsetType = UNSET
    pattern: Annotated[str, Meta(min_length=1, max_length=10_000)] | UnsetType = UNSET
    ctx: Size | UnsetType = UNSET
    block: Size | UnsetType = UNSET
    prefix: SizeOrNone | UnsetType = UNSET
    init_scale: Scale | UnsetType = UNSET
    checkpointing: bool | UnsetType = UNSET
    # Of a prior, its conditioners and its lyrics.
    transformer: NetworkConfig | UnsetType = UNSET
    conditioners: Annotated[dict[Name, NetworkConfig], Meta(max_length=64)] | UnsetType | None = UNSET
    lyrics: NetworkConfig | UnsetType | None = UNSET
    vocabulary: SizeOrNone | UnsetType = UNSET
    artists: Size | UnsetType = UNSET
    genres: Size | UnsetType = UNSET
    min_duration: Samples | UnsetType = UNSET
    max_duration: Samples | UnsetType = UNSET
    tied: bool | UnsetType = UNSET
    lyrics_as_codes: bool | UnsetType = UNSET
    # Of an aligner.
    characters: Letters | UnsetType = UNSET
    sample_rate: Rate | UnsetType = UNSET
    frame_seconds: Annotated[float, Meta(gt=0, le=1)] | UnsetType = UNSET
    bands: Annotated[int, Meta(ge=1, le=1024)] | UnsetType = UNSET
    dropout: Share | UnsetType = UNSET
    hidden: Share | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Numbers that are each in order may still ask for too much together. Raises ValueError."""
        downs = self.downs if isinstance(self.downs, list) else [self.downs or 0]
        strides = self.strides if isinstance(self.strides, list) else [self.stride or 2] * len(downs)
        hop = math.prod(stride**down for stride, down in zip(strides, downs, strict=False))
        deepest = (self.depth or 0) * max(self.multipliers or [1])
        last = min(deepest, self.cycle or deepest) - 1
        for what, found, most in (
            ("samples a code", hop, MOST_HOP),
            ("blocks", deepest * sum(downs) * len(downs), MOST_BLOCKS),
            ("positions a block", math.log(self.dilation_growth or 1) * last, math.log(MOST_REACH)),
            ("layers", len(expand_pattern(self.pattern)) if self.pattern else 0, MOST_LAYERS),
        ):
            if found > most:
                raise ValueError(f"these sizes together make more than {most:.0f} {what}")


class ReleasedNames(msgspec.Struct):
    """A released list of names and ids, and the rule by which a name is looked up."""

    entries: Annotated[list[tuple[Name, SizeOrNone]], Meta(max_length=2**21)]
    rule: Rule


class PhonemesConfig(msgspec.Struct, forbid_unknown_fields=True):
    characters: Letters
    language: Annotated[str, Meta(pattern="^[a-zA-Z0-9_+-]{1,40}$")]


class ReleasedCharactersConfig(msgspec.Struct, forbid_unknown_fields=True):
    version: Version


Names = Annotated[list[Name], Meta(max_length=2**21)] | ReleasedNames


class LabellerConfig(msgspec.Struct):
    """What turns songs into the labels of a prior."""

    artists: Names
    genres: Names
    characters: Letters | dict[Annotated[str, Meta(pattern="^(version|characters|language)$")], Letters]
    lyric_tokens: Annotated[int, Meta(ge=0, le=2**20, multiple_of=2)] = 0
    genre_slots: Annotated[int, Meta(ge=0, le=1024)] = 5

    def __post_init__(self) -> None:
        """Raises ValueError for characters that are no vocabulary."""
        if isinstance(self.characters, dict):
            kind = ReleasedCharactersConfig if "version" in self.characters else PhonemesConfig
            msgspec.convert(self.characters, kind)
        elif len(set(self.characters)) != len(self.characters):
            raise ValueError("a vocabulary lists each character once")


class ModelRecord(msgspec.Struct):
    """`config.json`: how to build a network, what makes its labels, and what names its weights."""

    model: dict[str, Any]
    fingerprint: Fingerprint
    labeller: dict[str, Any] | None = None


class HeadRecord(msgspec.Struct):
    """The attention head that follows the lyrics."""

    level: Annotated[int, Meta(ge=0, le=7)]
    layer: Annotated[int, Meta(ge=0, le=MOST_LAYERS)]
    head: Annotated[int, Meta(ge=0, le=1024)]


class BundleRecord(msgspec.Struct):
    """`bundle.json`: the folders of the networks that belong together, and what names the weights of each."""

    sample_rate: Rate
    vqvae: Folder
    priors: Annotated[dict[Level, Folder], Levels]
    fingerprints: Annotated[dict[Folder, Fingerprint], Meta(max_length=16)] = {}
    lyrics_head: HeadRecord | None = None


class LevelAdapter(msgspec.Struct):
    """What was trained of the prior of one level, `base` its fingerprint: tables for the names of `labeller`, layers, and
    with `codes` the tables of its codes.
    """

    base: Fingerprint
    labeller: dict[str, Any]
    layers: AdapterConfig | None = None
    codes: bool = False


class AdapterRecord(msgspec.Struct):
    """The metadata of an adapter's file, whose tensors have names that begin with their level. `base`: the name of the
    bundle that it was trained on, for people."""

    base: Name
    levels: Annotated[dict[Level, LevelAdapter], Levels]


def require_network(config: Any) -> None:
    """Raises UserError where the config of a network is not what NetworkConfig says."""
    try:
        msgspec.convert(config, NetworkConfig)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UserError(" ".join(str(error).split())) from None
