"""What is found in lyrics and labels; sound is in test_examine."""

from __future__ import annotations

import pytest

from jukebox_pl.catalog.doctor import Standards
from jukebox_pl.catalog.doctor.checks import FIXES, findings
from jukebox_pl.types import Word

STANDARDS = Standards(sample_rate=22_050)
RUSSIAN = "вот песня о том как поют по-русски\n" * 4
KANJI = "桜の花が咲く春の日に君と歩いた道を思い出す\n" * 3


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({}, []),
        ({"lyrics": "na " * 101}, ["too many words"]),
        ({"lyrics": "na " * 99}, []),
        ({"lyrics": "x" * 601, "language": ""}, ["too many words"]),
        ({"lyrics": "la la"}, ["few words"]),
        ({"lyrics": ""}, ["no lyrics"]),
        ({"lyrics": "", "language": ""}, []),
        ({"lyrics": "", "language": "Instrumental"}, []),
        ({"lyrics": RUSSIAN}, ["wrong script"]),
        ({"lyrics": RUSSIAN, "language": "Russian"}, []),
        ({"lyrics": RUSSIAN, "language": ""}, []),
        ({"lyrics": RUSSIAN, "language": "no such language"}, []),
        ({"lyrics": RUSSIAN + RUSSIAN.replace("о", "o"), "language": "ru"}, []),
        ({"lyrics": KANJI, "language": "ja"}, []),
        ({"lyrics": KANJI, "language": "de"}, ["wrong script"]),
        ({"words": (Word("one", 0.0, 19.0), Word("two", 19.0, 20.9))}, []),
        ({"words": (Word("one", 0.0, 21.1), Word("two", 3.0, 4.0))}, ["late words"]),
        ({"warnings": ("lyrics left out: not UTF-8",)}, ["incomplete"]),
    ],
)
def test_findings_on_words(facts, found, examined):
    assert [finding.kind for finding in findings(examined(**facts), STANDARDS)] == found


def test_a_finding_says_what_was_found(examined):
    (finding,) = findings(examined(lyrics=RUSSIAN), STANDARDS)
    assert finding.text == "labelled en, but 100% of the letters are cyrillic"
    (finding,) = findings(examined(warnings=["lyrics left out: not UTF-8"]), STANDARDS)
    assert finding.text == "lyrics left out: not UTF-8"


def test_everything_that_is_found_has_a_fix(examined):
    for facts in ({"lyrics": RUSSIAN}, {"lyrics": ""}, {"warnings": ("broken",)}, {"lyrics": "na " * 101}):
        assert all(finding.kind in FIXES for finding in findings(examined(**facts), STANDARDS))


def test_limits_can_be_moved(examined):
    lenient = Standards(sample_rate=22_050, most_words_per_second=10.0)
    assert list(findings(examined(lyrics="na " * 101), lenient)) == []
