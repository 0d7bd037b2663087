"""JSON from anywhere is a record, or one line that names the file, the field, what was found and what fits."""

import json
import os
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypedDict

import pytest
from msgspec import Meta

from jukebox_pl.errors import UserError
from jukebox_pl.utils.files import read_json, read_record
from jukebox_pl.utils.records import from_json, to_record


class Point(NamedTuple):
    x: float
    y: float


class Label(TypedDict):
    name: Annotated[str, Meta(max_length=5)]


@dataclass(frozen=True)
class Shape:
    sides: Annotated[int, Meta(ge=3, le=100)]
    corners: tuple[Point, ...] = ()
    labels: tuple[Label, ...] = ()


WHOLE = {"sides": 3, "corners": [[0, 0], [1, 0.5]], "labels": [{"name": "a"}]}


def test_a_record_is_read_as_its_types_say(tmp_path):
    (tmp_path / "shape.json").write_text(json.dumps(WHOLE))
    record = read_record(tmp_path / "shape.json", Shape, "a shape")
    assert record == Shape(3, (Point(0.0, 0.0), Point(1.0, 0.5)), ({"name": "a"},))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sides": "3"}, r"at sides: Expected `int`, got `str`, found '3'"),
        ({"sides": True}, r"at sides: Expected `int`, got `bool`, found True"),
        ({"sides": 2}, r"at sides: Expected `int` >= 3, found 2"),
        ({"sides": None}, r"at sides: Expected `int`, got `null`"),
        ({"corners": [[0, 0], [1]]}, r"at corners\[1\]: Expected `array` of length 2, got 1"),
        ({"corners": {}}, r"at corners: Expected `array`, got `object`"),
        ({"labels": [{"name": "a" * 1000}]}, r"at labels\[0\]\.name: Expected `str` of length <= 5, found 'a{59}\.\.\.$"),
        ({"labels": [{}]}, r"at labels\[0\]: Object missing required field `name`"),
        ({"colour": 1}, r"colour is unknown"),
        ({"labels": [{"name": "a", "size": 1}]}, r"labels\[0\]\.size is unknown"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(change, message):
    with pytest.raises(UserError, match=rf"^shape\.json does not fit.*{message}"):
        to_record(WHOLE | change, Shape, "shape.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "Expecting"),
        (b"", "Expecting value"),
        (b"\xff\xfe", "utf-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        (b"1" * 5000, "digits"),
    ],
)
def test_what_is_not_json_is_one_line(data, message):
    with pytest.raises(UserError, match=message) as refused:
        from_json(data, "a.json")
    assert str(refused.value).startswith("a.json is not JSON (")
    assert "\n" not in str(refused.value)


def test_half_a_surrogate_pair_is_read_as_it_was_written():
    assert from_json(b'["\\ud800"]', "a.json") == ["\ud800"]
    assert to_record({"name": "\ud800"}, Label, "a.json") == {"name": "\ud800"}


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_only_regular_files_are_read(tmp_path, make):
    make(tmp_path / "a.json")
    with pytest.raises(UserError, match=r"a\.json"):
        read_json(tmp_path / "a.json", "a record")


def test_a_file_too_large_is_not_read(tmp_path):
    with open(tmp_path / "a.json", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match="has 1,099,511,627,776 bytes"):
        read_json(tmp_path / "a.json", "a record")


def test_a_missing_file_says_what_would_be_there(tmp_path):
    with pytest.raises(UserError, match=r"does not hold a shape: there is no a\.json"):
        read_record(tmp_path / "a.json", Shape, "a shape")
