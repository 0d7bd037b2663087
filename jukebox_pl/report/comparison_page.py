"""Songs of two bundles from the same draws, one beside the other: what a fine-tune has changed, for the ear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jukebox_pl.report.song_page import PAGE, data_uri, request_table, write_page
from jukebox_pl.types import SampledSong


def write_comparison_page(
    folder: str | Path, songs: Mapping[str, Sequence[SampledSong]], heading: str, found: Sequence[str] = ()
) -> Path:
    """Writes `index.html` in `folder`, whole or not at all, and returns its path.

    `songs` by the name of what made them, all in the same order of seeds and requests; `found`: lines of what was measured.
    """
    names = list(songs)
    rows = []
    for together in zip(*songs.values(), strict=True):
        players = {
            name: data_uri((song.audio.numpy(), song.sample_rate)) for name, song in zip(names, together, strict=True)
        }
        same = {name: value for name, value in request_table(together[-1]).items() if name in ("artist", "genres", "seed")}
        rows.append((same, players))
    return write_page(Path(folder) / PAGE, "comparison.html", heading=heading, rows=rows, found=found)
