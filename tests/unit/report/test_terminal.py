import io
import itertools

import pytest
from rich.console import Console

from jukebox_pl.catalog.prepare import Progress
from jukebox_pl.report.terminal import showing_progress
from jukebox_pl.utils import progress


@pytest.mark.parametrize("is_terminal", [True, False])
def test_how_far_prepare_is_comes_to_its_console(is_terminal, monkeypatch):
    clock = itertools.count(0, 10)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=120)
    with showing_progress(console) as show:
        for done in range(3):
            show(Progress("examined", done, 4, "[red]song.flac"))
    shown = console.file.getvalue()
    assert "songs examined" in shown
    assert "2/4" in shown
    assert ("[red]song.flac" in shown) == is_terminal  # a name is no markup, and a log is no list of songs
