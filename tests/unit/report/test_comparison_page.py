"""Songs of two bundles side by side: a player each, and nothing from outside unescaped."""

import html
import re

import torch

from jukebox_pl.report.comparison_page import write_comparison_page
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest

ATTACK = "<script>alert(1)</script>"


def song(seed):
    request = SongRequest(ATTACK, ("Folk",), seconds=0.1)
    return SampledSong(torch.zeros(1, 800), 8000, {0: torch.zeros(10).long()}, request, SamplingParams(), seed)


def test_every_seed_has_a_player_of_each(tmp_path):
    songs = {"before": [song(0), song(1)], "after": [song(0), song(1)]}
    page = write_comparison_page(tmp_path, songs, f"{ATTACK}, before and after", [f"level 2: {ATTACK}"])
    text = page.read_text()
    assert page == tmp_path / "index.html"
    assert len(re.findall(r'<audio[^>]+src="data:audio/flac;base64,', text)) == 4
    assert ATTACK not in text
    assert html.unescape(text).count(ATTACK) >= 4
    assert text.count('aria-label="before"') == 2
