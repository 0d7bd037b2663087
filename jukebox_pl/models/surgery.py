"""Putting a trained network into another one without changing what it computes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.patterns import CROSS
from jukebox_pl.text.characters import PADDING
from jukebox_pl.text.labels import Labeller

Rows = Sequence[Sequence[int]]  # for every new row the old rows that it is the sum of
UNKNOWN_ROW = 0
OF_LABELS = ("conditioners.labels.artist.weight", "conditioners.labels.genre.weight")
OF_LYRICS = ("lyrics.embed.weight", "lyrics.out.weight")
OF_SYMBOLS = ("embed.weight", "out.weight")  # codes, and where a prior writes lyrics and codes as one sequence both


def graft_lyrics(old: Prior, new: Prior) -> None:
    """Copies a prior without lyrics into one with X layers and a lyrics encoder, which then computes the same function.

    The pattern says whether it fits: new, less its X's, must be old (released: 5b inside 5b_lyrics). New X blocks end in
    zeros, so they start as the identity, and their zeroed layers receive gradient from the first step. Raises ValueError
    when the patterns or a shape differ.
    """
    kept = [i for i, letter in enumerate(new.transformer.pattern) if letter != CROSS]
    pattern = "".join(new.transformer.pattern[i] for i in kept)
    if pattern != old.transformer.pattern:
        raise ValueError(
            f"cannot graft: without X the new pattern is {pattern}, the trained one is {old.transformer.pattern}"
        )
    parts: list[tuple[str, nn.Module, nn.Module]] = [
        ("layer", block, new.transformer.blocks[i]) for block, i in zip(old.transformer.blocks, kept, strict=True)
    ]
    parts += [(name, part, getattr(new, name)) for name, part in old.named_children() if name != "transformer"]
    for name, source, target in parts:
        try:
            target.load_state_dict(source.state_dict())
        except RuntimeError as error:
            raise ValueError(f"cannot graft {name}: {' '.join(str(error).split())}") from None
    with torch.no_grad():
        for name, parameter in old.named_parameters(recurse=False):
            getattr(new, name).copy_(parameter)


def grow_labels(old: Prior, new: Prior, known: Labeller, wanted: Labeller) -> None:
    """Copies a prior that was trained under the labeller `known` into one for `wanted`, all tables by name.

    At first `new` gives the codes of every song the logits that `old` did: a new name starts as what `old` reads for
    names it does not know, a released genre of several words as their sum, a new character as the padding. Raises
    ValueError with a line for every tensor that is missing, left over or of another shape.
    """
    state = grown_state(old, known, wanted)
    found, expected = ({name: str(tuple(x.shape)) for name, x in each.items()} for each in (state, new.state_dict()))
    names = [name for name in found | expected if found.get(name) != expected.get(name)]
    if names:
        lines = [f"  {name}: {found.get(name, '-')} -> {expected.get(name, '-')}" for name in names]
        raise ValueError("\n".join([f"{len(lines)} tensors of the trained prior do not fit:", *lines]))
    new.load_state_dict(state)


def grown_state(old: Prior, known: Labeller, wanted: Labeller) -> dict[str, Tensor]:
    """The weights of a prior with its tables as the labeller `wanted` numbers them; see `grow_labels`."""
    rows, state = table_rows(old.vocabulary, old.bins, known, wanted), old.state_dict()
    return state | {name: resize(state[name], rows[name]) for name in rows.keys() & state.keys()}


def resize(table: Tensor, rows: Rows) -> Tensor:
    """A table [N, W] as one [len(rows), W], each row the sum of those that `rows` names."""
    return torch.stack([table[list(sources)].sum(0) for sources in rows])


def table_rows(vocabulary: int, bins: int, known: Labeller, wanted: Labeller) -> dict[str, Rows]:
    """Where the rows of every table of names or characters come from.

    `vocabulary`: how many rows of the table of codes are lyric tokens; 0 where these have tables of their own.
    """
    tokens = {character: token for token, character in enumerate(known.characters.characters, start=1)}
    characters = [[PADDING], *([tokens.get(character, PADDING)] for character in wanted.characters.characters)]
    codes = [[vocabulary + code] for code in range(bins)]
    symbols = [*characters, *codes] if vocabulary else codes
    names: list[Rows] = []
    for before, after in ((known.artists, wanted.artists), (known.genres, wanted.genres)):
        rows = {after.id(name): before.ids(name) for name in after.names}
        names.append([rows.get(row, [UNKNOWN_ROW]) for row in range(len(after))])
    tables = dict(zip(OF_LABELS, names, strict=True))
    return tables | dict.fromkeys(OF_LYRICS, characters) | dict.fromkeys(OF_SYMBOLS, symbols)


def trained_tables(prior: Prior, codes: bool = False) -> dict[str, nn.Parameter]:
    """The tables of names and characters that a prior has, with `codes` also of its codes, by their names in its state."""
    names = OF_LABELS + OF_LYRICS + (OF_SYMBOLS if prior.vocabulary or codes else ())
    return {name: table for name, table in prior.named_parameters() if name in names}
