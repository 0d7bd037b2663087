"""How well each prior foresees the codes of songs, and which of its conditionings it uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.conditioning import PriorUse
from jukebox_pl.evaluation.intervals import shown
from jukebox_pl.evaluation.suite import Answer, CannotTell, Evidence, SongAudio, Table
from jukebox_pl.evaluation.windows import Window, song_windows


@dataclass(frozen=True)
class PriorQuestion:
    """Of every level, over the songs: the mean bits per dim, and what a wrong conditioning costs, as `PriorUse` has it.

    Up to `windows` windows of each level are looked at, spread evenly over the songs and over each.
    """

    windows: int

    def __call__(self, evidence: Evidence) -> Answer:
        """Raises CannotTell when no window of any level fits into a song."""
        bundle, each = evidence.bundle, -(-self.windows // max(len(evidence.songs), 1))
        uses = {level: PriorUse(bundle.priors[level], bundle.labellers[level], evidence.seed) for level in bundle.priors}
        for here in map(partial(all_windows, bundle, count=each), evidence.songs):
            for level, windows in here.items():
                uses[level].add(windows)
        figures = {level: use.figures() for level, use in sorted(uses.items())}
        if not any(found["bpd"] for found in figures.values()):
            spans = {level: prior.ctx * bundle.vqvae.hops[level] for level, prior in bundle.priors.items()}
            shortest = min(spans.values()) / bundle.sample_rate
            raise CannotTell(f"no song fills a window of any prior: that takes {shortest:.3g} s")
        protocol = f"{evidence.kind}, {each} windows of each"
        return Answer({"levels": figures}, (foresight_table(figures, protocol), *conditioning_tables(figures, protocol)))


def all_windows(bundle: Bundle, song: SongAudio, count: int) -> dict[int, list[Window]]:
    """`count` windows of a song at every level, which is encoded once for all."""
    codes, hops = bundle.vqvae.encode_long(song.audio), bundle.vqvae.hops
    return {
        level: list(song_windows(song.song, codes, hops, level, bundle.priors[level].ctx, bundle.labellers[level], count))
        for level in bundle.priors
    }


def foresight_table(figures: Mapping[int, Mapping[str, Any]], protocol: str) -> Table:
    rows = []
    for level, found in figures.items():
        bpd = found["bpd"]
        cells = (shown(bpd["value"], bpd["interval"], bpd["songs"]), str(bpd["songs"])) if bpd else ("-", "0")
        rows.append((str(level), *cells))
    note = f"{protocol}; the bits that one code takes, lower is better"
    return Table("priors", ("level", "bits per dim [95 %]", "songs"), tuple(rows), note)


def conditioning_tables(figures: Mapping[int, Mapping[str, Any]], protocol: str) -> Iterator[Table]:
    """What the priors use of what they are given, the top level first; none where no conditioning could be made wrong."""
    rows = [
        (
            str(level),
            name,
            shown(found["wrong_costs_bits"], found["interval"], found["songs"], digits=4, sign="+"),
            str(found["songs"]),
            found["verdict"],
        )
        for level in sorted(figures, reverse=True)
        for name, found in figures[level]["conditioning"].items()
    ]
    if rows:
        columns = ("level", "conditioning", "a wrong one costs, bits [95 %]", "songs", "verdict")
        yield Table("conditioning", columns, tuple(rows), f"{protocol}; unknown: these songs cannot tell")
