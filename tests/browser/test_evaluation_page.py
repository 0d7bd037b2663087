from __future__ import annotations

import numpy as np
import pytest
import torch
from browser.checks import assert_everybody_can_use

from jukebox_pl.evaluation.suite import Answer, Evaluation, Picture, Table
from jukebox_pl.report.evaluation_page import write_evaluation_page

RATE = 11025


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    table = Table("bits", ("level", *(f"a column of the table {number}" for number in range(9))), (("0",) * 10,), "a note")
    picture = Picture(np.arange(12.0).reshape(3, 4), 8.0, "layers")
    answers = {
        "codec": Answer({}, (table,), {"attention": picture}, {"original": torch.zeros(RATE)}),
        "lyrics": Answer({"cannot_tell": "no song has lyrics: that takes three"}),
    }
    levels = [{"level": 0, "hop": 8}, {"level": 1, "hop": 32}]
    protocol = {"songs": 7, "held_out": True, "seed": 0, "sample_rate": RATE, "levels": levels}
    return write_evaluation_page(tmp_path_factory.mktemp("evaluation"), Evaluation(answers, protocol))


def test_it_fits_and_can_be_used_by_everybody(open_page, path):
    assert_everybody_can_use(open_page(path))
