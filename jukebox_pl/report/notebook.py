"""Songs in Jupyter and Colab: the last expression of a cell is shown by its `_repr_html_`.

A `SampledSong` shows itself as a player; `SongPage` shows the whole page of a song that was written.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from jukebox_pl.errors import UserError
from jukebox_pl.report.song_page import PAGE
from jukebox_pl.utils.files import read_bytes

MOST_BYTES = 512 * 2**20


@dataclass(frozen=True)
class SongPage:
    """The page in the folder of a song, such as runs/demo/song, in a frame of `height` pixels.

    The frame is a document of its own without an origin: what stands in the page cannot reach the notebook. Raises UserError
    where there is no page.
    """

    folder: str | Path
    height: int = 720

    def __post_init__(self) -> None:
        if not (Path(self.folder) / PAGE).is_file():
            raise UserError(f"{self.folder} holds no {PAGE}: give the folder of a finished song, such as runs/demo/song")

    def _repr_html_(self) -> str:
        page = read_bytes(Path(self.folder) / PAGE, MOST_BYTES).decode("utf-8", errors="replace")
        style = f'width="100%" height="{int(self.height)}" style="border: 0"'
        return f'<iframe sandbox="allow-scripts" {style} srcdoc="{html.escape(page)}"></iframe>'
