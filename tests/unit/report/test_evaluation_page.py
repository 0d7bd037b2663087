import base64
import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from jukebox_pl import audio
from jukebox_pl.evaluation.suite import Answer, Evaluation, Picture, Table
from jukebox_pl.report.evaluation_page import write_evaluation_page

RATE = 11025
ATTACK = "<script>alert(1)</script>"
LEVELS = [{"level": 0, "hop": 8}, {"level": 1, "hop": 32}]
PROTOCOL = {"songs": 7, "skipped": 0, "held_out": True, "seed": 0, "sample_rate": RATE, "levels": LEVELS}


@pytest.fixture
def answers():
    sound = torch.rand(RATE, generator=torch.Generator().manual_seed(0)) - 0.5
    table = Table("bits", ("level", "bits per dim"), (("0", "4.1 & more"),), "7 held-out songs")
    picture = Picture(np.arange(12.0).reshape(3, 4), 8.0, "layers")
    return {
        "codec": Answer({}, (table,), {"attention": picture}, {"original": sound, "level 1": sound}),
        "lyrics": Answer({"cannot_tell": "no song has lyrics: that takes three"}),
    }


def embedded(page, kind):
    return [base64.b64decode(data) for data in re.findall(rf'"data:{kind};base64,([^"]+)"', html.unescape(page))]


class Balanced(HTMLParser):
    """Raises AssertionError when a tag is closed that is not the one open."""

    EMPTY = ("meta", "link", "img", "br")

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        self.open += [] if tag in self.EMPTY else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_question_has_a_section_with_what_it_found(tmp_path, answers):
    page = write_evaluation_page(tmp_path, Evaluation(answers, PROTOCOL)).read_text()
    assert re.findall(r'<section class="card" id="(\w+)">', page) == ["codec", "lyrics"]
    assert len(embedded(page, "image/png")) == 1 + 2
    for sound in embedded(page, "audio/flac"):
        heard, rate = audio.read(sound)
        assert rate == RATE
        assert np.abs(heard[0] - answers["codec"].sounds["original"].numpy()).max() < 1e-4
    text = html.unescape(page)
    facts = ("7 held-out songs", "4.1 & more", "Cannot tell: no song has lyrics", "level 1: 32 samples a code", "attention")
    assert all(fact in text for fact in facts)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []


def test_the_protocol_has_a_row_for_each_way_of_sampling(tmp_path):
    params = {"temperature": 0.98, "hop_fraction": [0.5, 0.125]}
    page = write_evaluation_page(tmp_path, Evaluation({}, PROTOCOL | {"params": params})).read_text()
    for row in ('"row">temperature</th><td>0.98<', '"row">hop fraction</th><td>0.5, 0.125<'):
        assert row in page
    assert '"row">params' not in page


def test_training_songs_are_never_called_held_out(tmp_path):
    page = write_evaluation_page(tmp_path, Evaluation({}, PROTOCOL | {"held_out": False})).read_text()
    assert "An evaluation on 7 training songs" in page
    assert "no: the songs it was trained on" in page
    assert "held-out" not in page


def test_text_from_outside_is_escaped_and_nothing_is_fetched(tmp_path, answers):
    answer = Answer(
        {"cannot_tell": ATTACK},
        (Table(ATTACK, (ATTACK,), ((ATTACK,),), ATTACK),),
        {ATTACK: answers["codec"].pictures["attention"]},
        {ATTACK: answers["codec"].sounds["original"]},
    )
    page = write_evaluation_page(tmp_path, Evaluation({ATTACK: answer}, PROTOCOL | {"version": ATTACK})).read_text()
    assert "<script>alert" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)|url\(|@import|https?:""", page)
