import json

import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.types import SamplingParams, Section, SongRequest
from jukebox_pl.utils.records import to_record

REQUESTS = [
    SongRequest(),
    SongRequest("Ada", ("folk", "jazz"), "la la", 5.0, 20.0, 3.0),
    SongRequest(
        {"Ada": 0.7, "Ben": 0.3}, {"folk": 1.0}, schedule=(Section(1.0, {"Ben": 1.0}), Section(2.0, genres=("jazz",)))
    ),
]
PARAMS = [SamplingParams(), SamplingParams((0.9, 0.8), (5, 0, 1), 0.9, 0.5, (4, 2, 1))]


@pytest.mark.parametrize("record", [*REQUESTS, *PARAMS])
def test_json_and_back(record):
    assert to_record(json.loads(json.dumps(record.to_json())), type(record), "a record") == record


@pytest.mark.parametrize("kind", [SongRequest, SamplingParams])
def test_unknown_fields_are_refused(kind):
    with pytest.raises(UserError, match="colour is unknown"):
        to_record({"colour": "red"}, kind, "a record")


def test_unknown_fields_of_a_section_are_refused():
    with pytest.raises(UserError, match=r"schedule\[0\]\.colour is unknown"):
        to_record({"schedule": [{"start_seconds": 1.0, "colour": "red"}]}, SongRequest, "a record")


def test_one_value_serves_every_level_and_the_last_of_several_those_above_it():
    params = SamplingParams(temperature=(0.9, 0.8), top_k=3)
    assert [params.at(level).temperature for level in range(3)] == [0.9, 0.8, 0.8]
    assert [params.at(level).top_k for level in range(3)] == [3, 3, 3]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("temperature", 0.0, "be above zero"),
        ("temperature", float("nan"), "be above zero"),
        ("temperature", "hot", "be above zero"),
        ("temperature", (), "be above zero"),
        ("top_k", -1, "be a whole number"),
        ("top_k", 2.5, "be a whole number"),
        ("top_p", 1.5, r"lie in \[0, 1\]"),
        ("hop_fraction", 0.0, r"lie in \(0, 1\]"),
        ("hop_fraction", (0.5, 0.5, 1.1), r"lie in \(0, 1\], found 1.1"),
        ("parallel_windows", 0, "be a whole number of at least 1"),
        ("parallel_windows", True, "be a whole number of at least 1"),
    ],
)
def test_values_out_of_range_are_named(name, value, expected):
    with pytest.raises(UserError, match=f"{name} must {expected}"):
        SamplingParams(**{name: value})
