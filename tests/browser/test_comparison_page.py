from __future__ import annotations

import pytest
import torch
from browser.checks import assert_everybody_can_use

from jukebox_pl.report.comparison_page import write_comparison_page
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest

RATE = 11025


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    request = SongRequest("An artist of a rather long name", ("Waltz", "March"))
    songs = [SampledSong(torch.zeros(1, RATE), RATE, {}, request, SamplingParams(), seed) for seed in range(2)]
    names = ("before", f"a_run_of_a_{'rather_' * 9}long_name")
    found, folder = ["level 2: 3.1 bits before, 2.7 after"], tmp_path_factory.mktemp("comparison")
    return write_comparison_page(folder, dict.fromkeys(names, songs), " and ".join(names), found)


def test_it_fits_and_can_be_used_by_everybody(open_page, path):
    assert_everybody_can_use(open_page(path))
