"""Whether the networks of a bundle are of one hierarchy: each may be whole and the next one never made for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jukebox_pl.errors import UserError
from jukebox_pl.models.conditioners import LabelConditioner, UpperCodesConditioner
from jukebox_pl.models.lyric_attention import lyric_layers
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.text.labels import Labeller


def require_agreement(where: Path, vqvae: VQVAE, priors: Mapping[int, Prior], labellers: Mapping[int, Labeller]) -> None:
    """Raises UserError with what two parts of the bundle `where` say of each other. The networks may be without weights."""
    if not isinstance(vqvae, VQVAE) or any(not isinstance(prior, Prior) for prior in priors.values()):
        kinds = ", ".join(type(network).__name__ for network in (vqvae, *priors.values()))
        raise UserError(f"{where} names networks that are {kinds}: expected a VQVAE and a Prior for every level")
    if missing := sorted(set(range(len(vqvae.hops))) - priors.keys()):
        raise UserError(
            f"{where.parent} has no prior for level {missing}; train it with recipe=hierarchy run_dir={where.parent}"
        )
    for level, prior in priors.items():
        if level not in labellers:
            raise UserError(f"{where}: the prior of level {level} has no labeller; copy or train it again")
        if level >= len(vqvae.hops):
            raise UserError(f"{where} names a prior of level {level}: its VQ-VAE has levels 0 to {len(vqvae.hops) - 1}")
        for what, found, expected in sizes(level, prior, labellers[level], vqvae.bins, vqvae.hops):
            if found != expected:
                raise UserError(
                    f"{where}: the prior of level {level} has {what} {found}, the rest of the bundle {expected}: "
                    "put together networks that were trained together"
                )


def sizes(
    level: int, prior: Prior, labeller: Labeller, bins: int, hops: Sequence[int]
) -> Iterator[tuple[str, object, object]]:
    """What a prior has of something, and what it has to have."""
    yield "bins", prior.bins, bins
    for name, part in prior.conditioners.items():
        if isinstance(part, LabelConditioner):
            artists, genres = part.artist.num_embeddings, part.genre.num_embeddings
            yield f"{name}.artists", artists, max(artists, len(labeller.artists))
            yield f"{name}.genres", genres, max(genres, len(labeller.genres))
            yield f"{name}.width", part.artist.embedding_dim, prior.transformer.width
        if isinstance(part, UpperCodesConditioner):
            yield f"{name}.bins", part.embed.num_embeddings, bins
            yield f"{name}.factor", part.factor, hops[level + 1] // hops[level] if level + 1 < len(hops) else "none"
    tokens = prior.lyrics.transformer.ctx if prior.lyrics is not None else prior.prefix
    known = prior.lyrics.embed.num_embeddings if prior.lyrics is not None else prior.vocabulary
    if tokens:
        yield "lyric tokens", tokens, labeller.lyric_tokens
        yield "characters", known, max(known, len(labeller.characters))


def require_head(where: Path, priors: Mapping[int, Prior], level: int, layer: int, head: int) -> None:
    """Raises UserError unless a bundle has an attention head in this place that sees lyrics."""
    prior = priors.get(level)
    if prior is None or layer not in lyric_layers(prior) or head >= prior.transformer.heads:
        raise UserError(
            f"{where}: its lyrics_head is head {head} of layer {layer} of level {level}, which sees no lyrics: "
            "leave it out, or copy the bundle again"
        )
