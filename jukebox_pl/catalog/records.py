"""What `catalog.json` holds: records with limits beside their types."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from jukebox_pl.types import Bins, Hop, Id, Rate, Samples

TRAIN, HELD_OUT = SPLITS = ("train", "held_out")

Text = Annotated[str, Meta(max_length=100_000)]
Count = Annotated[int, Meta(ge=0, le=2**40)]


class SongEntry(TypedDict):
    """One song in `catalog.json`: `samples` per channel, `lyrics` in characters, `words` with times."""

    id: Id
    path: Text
    samples: Samples
    title: Text
    artist: Text
    genres: list[Text]
    lyrics: Count
    words: Count
    warnings: list[Text]
    view: NotRequired[Text]  # how it was changed, where it is not the song itself
    aligner: NotRequired[Text]  # what found the times of its words, where they were not given


class ShardEntry(TypedDict):
    """`file` is relative to the catalog's folder, `songs` counts them."""

    file: Annotated[str, Meta(max_length=200)]
    songs: Count


class Split(TypedDict):
    shards: list[ShardEntry]
    songs: list[SongEntry]


class CodesInfo(TypedDict):
    """What the codes of a code catalog are: `bins` per codebook, `hops` in samples per code, whose they are."""

    bins: Bins
    hops: Annotated[list[Hop], Meta(min_length=1, max_length=10)]
    fingerprint: Text


class Skipped(TypedDict):
    path: Text
    reason: Text


class PassedOver(TypedDict):
    """Files of a folder that are neither songs nor lie beside one, by kind, and the first of them by name."""

    kind: Text
    files: Count
    such_as: list[Text]


@dataclass(frozen=True)
class CatalogRecord:
    """`catalog.json`. `max_duration` is in samples per channel; `codes` is None where shards hold audio.

    `prepared` tells the settings and the source files it was made from, for `prepare` to compare; `notes` are what is to be
    said of the source as a whole. Raises ValueError where its parts do not fit each other.
    """

    sample_rate: Rate
    channels: Annotated[int, Meta(ge=1, le=64)]
    splits: dict[str, Split]
    artists: list[Text]
    genres: list[Text]
    characters: Any  # the config of a vocabulary, for `labels.characters_from`
    max_duration: Samples
    codes: CodesInfo | None = None
    skipped: list[Skipped] = field(default_factory=list)
    prepared: dict[str, Any] = field(default_factory=dict)
    passed_over: list[PassedOver] = field(default_factory=list)
    notes: list[Text] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.splits.keys() != set(SPLITS):
            raise ValueError(f"splits {', '.join(self.splits)} found, expected {', '.join(SPLITS)}")
        for name, split in self.splits.items():
            files = [shard["file"] for shard in split["shards"]]
            in_folder = re.compile(rf"{name}/[\w-]+\.tar")  # a catalog may come from anywhere: its shards lie in its folder
            if strange := [file for file in files if not in_folder.fullmatch(file)]:
                raise ValueError(f"{strange[0]!r} is no shard of {name}")
            if len(set(files)) != len(files):
                raise ValueError(f"a shard of {name} is there twice")
            promised, listed = sum(shard["songs"] for shard in split["shards"]), [song["id"] for song in split["songs"]]
            if promised != len(listed) or len(set(listed)) != len(listed):
                raise ValueError(f"{promised} songs in the shards of {name}, {len(listed)} listed ({len(set(listed))} ids)")
        if self.codes and any(self.codes["hops"][-1] % hop for hop in self.codes["hops"]):
            raise ValueError(f"hops {self.codes['hops']} found, expected divisors of the last")
