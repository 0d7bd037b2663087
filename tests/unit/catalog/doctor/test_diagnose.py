"""What is said of a catalog as a whole."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace

import msgspec
import pytest

from jukebox_pl.catalog.doctor import Standards, advice, diagnose, tables
from jukebox_pl.catalog.doctor.report import Letter, ReportRecord, Share
from jukebox_pl.catalog.doctor.standards import SIZES, SUNG_SIZES, judge
from jukebox_pl.types import Word

STANDARDS = Standards(sample_rate=22_050)
NFC, NFD = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))


@pytest.fixture
def doctor(examined):
    """doctor({"artist": "A"}, ...): the report on songs that are healthy but for what is said."""

    def report(*songs, **arguments):
        given = (examined(**({"id": str(number)} | facts)) for number, facts in enumerate(songs))
        return diagnose(given, STANDARDS, **arguments)

    return report


def text(number):
    return f"here is song {chr(97 + number)} " + chr(97 + number) * 30 + "\n"


def kinds(report):
    return {song.id: [finding.kind for finding in song.findings] for song in report.songs}


def test_every_song_has_a_verdict(doctor):
    skipped = [{"path": "broken.mp3", "reason": "silent"}]
    report = doctor({"lyrics": text(0)}, {"lyrics": "", "warnings": ["no word times"]}, skipped=skipped)
    assert [song.verdict for song in report.songs] == ["kept", "kept with warning"]
    assert report.skipped == tuple(skipped)
    assert report.findings == {"no lyrics": 1, "incomplete": 1}


def test_kinds_of_findings_keep_the_order_in_which_they_are_met(doctor):
    report = doctor({"lyrics": "na " * 101, "language": "ru", "words": (Word("na", 0.0, 40.0),), "warnings": ["a", "b"]})
    assert list(report.findings.items()) == [
        ("incomplete", 1),
        ("too many words", 1),
        ("wrong script", 1),
        ("late words", 1),
    ]


def test_songs_may_be_skipped_while_the_others_go_by(examined):
    skipped = []

    def songs():
        yield examined()
        skipped.append({"path": "broken.mp3", "reason": "silent"})

    assert [song["path"] for song in diagnose(songs(), STANDARDS, skipped).skipped] == ["broken.mp3"]


def test_labels_are_counted_as_vocabularies_tell_them_apart(doctor):
    names = (
        {"artist": "Ada"},
        {"artist": "ADA "},
        {"artist": "Bo", "genres": ("Jazz", "Pop")},
        {"artist": "unknown", "genres": ()},
    )
    labels = doctor(*names).labels
    assert labels["artist"] == (Share("Ada", 2, 40.0), Share("", 1, 20.0), Share("Bo", 1, 20.0))
    assert labels["genre"] == (Share("G", 2, 40.0), Share("", 1, 20.0), Share("Jazz", 1, 20.0), Share("Pop", 1, 20.0))
    assert labels["license"] == (Share("CC0", 4, 80.0),)


def test_names_that_look_alike(doctor):
    names = (NFC, NFD, "Ada", "ADA", "Bo", "Bo")
    found = doctor(*({"artist": name, "genres": ("Ｐop",)} for name in names), {"genres": ("Pop",)}).spellings
    assert {(spelling.label, frozenset(spelling.names), spelling.merged) for spelling in found} == {
        ("artist", frozenset({NFC, NFD}), False),
        ("artist", frozenset({"Ada", "ADA"}), True),
        ("genre", frozenset({"Ｐop", "Pop"}), False),
    }


def test_characters_are_counted_and_compared(doctor):
    report = doctor({"lyrics": "ñañ\n\n"}, {"lyrics": "na"}, alphabets={"released": "an", "tiny": "ñ"})
    assert report.letters == (Letter("ñ", 2, 1), Letter("a", 2, 2), Letter("n", 1, 1))
    assert report.unknown == {"released": (Letter("ñ", 2, 1),), "tiny": (Letter("a", 2, 2), Letter("n", 1, 1))}
    assert set("ñ") == {letter.character for letter in doctor({"lyrics": "ñan"}).unknown["released v3"]}


def test_copies_are_named_and_their_time_counted_once(doctor, clean, synthesize):
    whole = {"id": "whole", "sound": clean, "lyrics": text(0)}
    part = {"id": "part", "sound": clean[:, 50_000:] / 2, "lyrics": text(0), "split": "held_out"}
    report = doctor(whole, part, {"id": "other", "sound": synthesize(1), "lyrics": text(1)})
    assert kinds(report) == {"whole": ["same recording"], "part": ["same recording"], "other": []}
    (found,) = report.songs[0].findings
    assert "part, one in train and one in held_out" in found.text
    assert report.seconds == pytest.approx(60 - 50_000 / 22_050)
    assert report.unique_seconds == pytest.approx(40)


def test_lyrics_of_another_song(doctor):
    report = doctor(
        {"lyrics": text(0)},
        {"lyrics": text(0).upper() + "!!"},
        {"lyrics": text(1)},
        {"lyrics": "la " * 9},
        {"lyrics": "la " * 9},
    )
    assert kinds(report) == {"0": ["same lyrics"], "1": ["same lyrics"], "2": [], "3": [], "4": []}


def test_a_report_is_json(doctor, clean):
    report = doctor(
        {"artist": NFD}, {"artist": NFC, "sound": clean}, {"sound": clean}, skipped=[{"path": "p", "reason": "r"}]
    )
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert json.loads(msgspec.json.encode(msgspec.convert(record, ReportRecord))) == record  # nothing more, nothing less
    assert record["charts"][0]["verdict"] == "kept with warning"
    assert record["charts"][0]["findings"][0] == {"kind": "same lyrics", "text": "its lyrics are those of 1"}
    assert record["duplicates"][0]["first"] == "1"
    assert record["size"]["hours"] == 0
    assert "fingerprint" not in json.dumps(record)


def test_an_empty_catalog_has_a_report(doctor):
    report = doctor(skipped=[{"path": "p", "reason": "r"}])
    assert (report.seconds, report.songs, report.duplicates) == (0, (), ())
    assert [table.title for table in tables(report)] == ["catalog", "skipped"]
    assert json.dumps(report.to_json())


def test_tables_have_a_text_for_every_column_and_are_cut(doctor, clean):
    report = doctor(*({"artist": f"{number} $x$", "sound": clean} for number in range(5)), {"artist": NFD}, {"artist": NFC})
    made = {table.title: table for table in tables(report, most_rows=3)}
    assert all(len(row) == len(table.columns) for table in made.values() for row in table.rows)
    assert all(isinstance(text, str) for table in made.values() for row in table.rows for text in row)
    assert (len(made["artist"].rows), made["artist"].more) == (3, 4)
    assert "Zoe\\u0308" in made["spellings"].rows[0][1]


@pytest.mark.parametrize("sizes", [SIZES, SUNG_SIZES])
def test_sizes_grow_from_nothing(sizes):
    assert sizes[0].hours == 0
    assert [size.hours for size in sizes] == sorted({size.hours for size in sizes})
    assert [judge(size.hours, sizes) for size in sizes] == list(sizes)
    assert judge(1e9, sizes) == sizes[-1]


@pytest.mark.parametrize(
    ("hours", "word"), [(0.1, "pieces"), (1.9, "expect it to copy"), (11, "of one kind"), (1000, "from scratch")]
)
def test_advice_says_what_the_catalog_is_enough_for(hours, word, examined):
    long = examined()._replace(audio_stats=replace(examined().audio_stats, seconds=hours * 3600))
    assert word in advice(diagnose([long], STANDARDS))[0]


def test_advice_counts_what_is_missing(doctor):
    said = "\n".join(advice(doctor({"artist": "", "license": ""}, {"license": ""}, {"lyrics": "ñ" * 20})))
    assert "1 of 3 songs have no artist." in said
    assert "2 of 3 songs have no license." in said
    assert "1 of 1 artists have fewer than 3 songs" in said
    assert "genre" not in said
