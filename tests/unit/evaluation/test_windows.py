import torch

from jukebox_pl.evaluation.windows import song_windows
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import Song

HOPS = (4, 8)
LABELLER = Labeller(Vocabulary(["Ada"]), Vocabulary(["Folk"]))


def windows(samples, level, ctx, count):
    codes = [torch.arange(samples // hop)[None] for hop in HOPS]
    return list(song_windows(Song("1", samples, 100, artist="Ada"), codes, HOPS, level, ctx, LABELLER, count))


def test_windows_are_spread_over_a_song_and_begin_where_a_top_code_does():
    for window in windows(samples=200, level=0, ctx=10, count=3):
        assert (window.codes[0] * 4).tolist() == list(range(window.labels.offset, window.labels.offset + 40, 4))
        assert (window.upper[0] * 8).tolist() == list(range(window.labels.offset, window.labels.offset + 40, 8))
    assert [window.labels.offset.item() for window in windows(200, 0, 10, 3)] == [24, 80, 128]


def test_the_top_has_no_codes_above_and_a_short_song_no_window():
    assert [window.upper for window in windows(samples=80, level=1, ctx=10, count=1)] == [None]
    assert windows(samples=72, level=1, ctx=10, count=1) == []
