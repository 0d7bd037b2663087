"""Nodes on disk: read as written, and named when they are not what was written."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from small_run import BINS, SECONDS, same, sample

from jukebox_pl.errors import UserError
from jukebox_pl.sessions.nodes import Session
from jukebox_pl.types import SamplingParams, Section, SongRequest
from jukebox_pl.utils.codes import to_npz
from jukebox_pl.utils.files import write_json


def test_a_node_is_read_as_written(context, songs):
    blend = SongRequest({"Anna": 0.7, "Ben": 0.3}, ("folk",), "a\nb", SECONDS, 9.0, 1.0, (Section(0.5, lyrics="c"),))
    params = SamplingParams(temperature=(0.9, 0.8, 0.7), parallel_windows=2)
    node = replace(context.session.node("whole"), request=blend, params=params, arguments={"at": 0.5}, parent="top")
    write_json(context.session.place("other") / "node.json", node.to_json())
    assert context.session.node("other") == node


# node.json as version 0.1.0 wrote it.
VERSION_1 = """{
 "schema": 1, "operation": "regenerate",
 "request": {"artist": {"Anna": 0.7, "Ben": 0.3}, "genres": ["folk"], "lyrics": "abc", "seconds": 1.6,
  "total_seconds": null, "offset_seconds": 0.0,
  "schedule": [{"start_seconds": 0.8, "artist": "Ben", "genres": null, "lyrics": null}]},
 "params": {"temperature": [0.99, 0.98, 0.97], "top_k": 0, "top_p": 0.0, "hop_fraction": [0.5, 0.5, 0.125],
  "parallel_windows": 1},
 "seed": 7, "lowest": 1,
 "models": {"weights": {"vqvae": "b1", "prior 0": "c2", "prior 1": "d3", "prior 2": "e4"}, "sample_rate": 80,
  "hops": [4, 8, 16], "bins": 16},
 "computing": {"dtype": "float32", "weights": "as_loaded", "lyrics_as_codes": false},
 "parent": "seed_1", "arguments": {"from": 0.4, "to": 0.9}, "hashes": {"1": "0f", "2": "1e"}
}"""


def test_a_node_of_version_1_is_read_and_keeps_its_name(context):
    (context.session.place("old")).mkdir(parents=True)
    (context.session.place("old") / "node.json").write_text(VERSION_1)
    node = context.session.node("old")
    assert json.loads(json.dumps(node.to_json())) == json.loads(VERSION_1)
    assert node.name == "regenerate_de21c70c"


def test_the_same_song_has_the_same_name_and_another_has_another(context, songs):
    node = replace(context.session.node("whole"), parent="top", operation="extend")
    names = {replace(node, seed=seed).name for seed in (1, 1, 2)} | {replace(node, lowest=1).name}
    assert len(names) == 3
    assert all(name.startswith("extend_") for name in names)
    assert replace(node, parent=None).name == "seed_1"


def record(change):
    def rewrite(folder):
        stored = json.loads((folder / "node.json").read_bytes())
        change(stored)
        (folder / "node.json").write_text(json.dumps(stored))

    return rewrite


def codes(**changes):
    """A node that is not finished, with other codes."""

    def rewrite(folder):
        record(lambda stored: stored.update(hashes={}))(folder)
        with np.load(folder / "codes.npz") as arrays:
            (folder / "codes.npz").write_bytes(to_npz({0: arrays["level_0"]} | changes.get("levels", {})))

    return rewrite


def other_code(folder):
    with np.load(folder / "codes.npz") as arrays:
        levels = {level: arrays[f"level_{level}"].copy() for level in range(3)}
    levels[1][3] ^= 1
    (folder / "codes.npz").write_bytes(to_npz(levels))


def a_folder_for_a_file(folder):
    (folder / "node.json").unlink()
    (folder / "node.json").mkdir()


DAMAGE = {
    "no JSON": (lambda folder: (folder / "node.json").write_text("{"), "node.json is not JSON"),
    "no object": (lambda folder: (folder / "node.json").write_text("[]"), "schema None found"),
    "bytes": (lambda folder: (folder / "node.json").write_bytes(b"\xff\xfe\x00"), "codec can't decode"),
    "deep": (lambda folder: (folder / "node.json").write_text("[" * 100_000), "nested too deeply"),
    "a folder for a file": (
        lambda folder: [(folder / "node.json").unlink(), (folder / "node.json").mkdir()],
        "no regular file",
    ),
    "another schema": (record(lambda stored: stored.update(schema=2)), "schema 2 found, 1 expected"),
    "no seed": (record(lambda stored: stored.pop("seed")), "missing required field `seed`"),
    "a negative seed": (record(lambda stored: stored.update(seed=-1)), "at seed: Expected `int` >= 0, found -1"),
    "more than is known": (record(lambda stored: stored.update(more=1)), "more is unknown"),
    "no time": (record(lambda stored: stored["request"].update(seconds=0)), "seconds=0"),
    "all the time": (record(lambda stored: stored["request"].update(seconds=float("inf"))), "Infinity is no number"),
    "a temperature below zero": (record(lambda stored: stored["params"].update(temperature=-1)), "temperature must"),
    "an unknown precision": (record(lambda stored: stored["computing"].update(dtype="int4")), "dtype 'int4'"),
    "a number for a name": (
        record(lambda stored: stored["request"].update(artist=5)),
        "at request.artist: Expected `str | object`",
    ),
    "a number in a blend": (
        record(lambda stored: stored["request"].update(genres=[5])),
        "at request.genres[0]: Expected `str`",
    ),
    "a number for a parent": (record(lambda stored: stored.update(parent=5)), "at parent: Expected `str | null`, got `int`"),
    "a name for a number": (record(lambda stored: stored["request"].update(offset_seconds="a")), "found 'a'"),
    "sections of nothing": (
        record(lambda stored: stored["request"].update(schedule=[1])),
        "at request.schedule[0]: Expected",
    ),
    "hops that do not fit": (record(lambda stored: stored["models"].update(hops=[2, 3, 8])), "hops=(2, 3, 8)"),
    "no codes": (lambda folder: (folder / "codes.npz").unlink(), "other codes than were sampled"),
    "half of the codes": (
        lambda folder: (folder / "codes.npz").write_bytes((folder / "codes.npz").read_bytes()[:300]),
        "codes.npz: no readable npz",
    ),
    "another code": (other_code, "codes.npz holds other codes than were sampled"),
    "a pickle": (
        lambda folder: np.savez(folder / "codes.npz", level_0=np.array([{"a": 1}], dtype=object)),
        "codes.npz: no readable npz of codes: Object arrays cannot be loaded",
    ),
    "an array of another name": (lambda folder: np.savez(folder / "codes.npz", a=np.zeros(3)), "an array named 'a' found"),
    "fractions": (lambda folder: np.savez(folder / "codes.npz", level_0=np.zeros(3)), "level 0 is float64"),
    "a code out of range": (codes(levels={0: np.array([BINS])}), f"code {BINS} at level 0, expected below {BINS}"),
    "a code below the missing": (codes(levels={0: np.array([-2])}), "code -2 at level 0"),
    "too many codes": (codes(levels={2: np.zeros(99)}), "99 codes at level 2, expected at most 8"),
    "a level that is none": (codes(levels={7: np.zeros(9)}), "9 codes at level 7, expected at most none"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_node_is_named_and_the_others_are_usable(context, songs, damage, message, capsys):
    shutil.copytree(context.session.place("whole"), context.session.place("damaged"))
    damage(context.session.place("damaged"))
    with pytest.raises(UserError) as refused:
        context.session.codes("damaged")
    line = str(refused.value)
    assert line.startswith(f"{context.session.folder / 'damaged'} is corrupt (")
    assert message in line
    assert line.endswith("): delete it; the other nodes are usable")
    sample(context, "show", name="whole")
    shown = capsys.readouterr()
    assert shown.err == f"warning: {line}\n"
    assert "whole: new" in shown.out
    assert same(
        sample(context, "cut", node="whole", at=SECONDS / 2, name="cut"),
        {k: v[: len(v) // 2] for k, v in songs["whole"].items()},
    )


@pytest.mark.parametrize("name", ["..", ".", "", "/etc", "../songs", "whole/..", ".hidden", "a\0b", "link"])
def test_no_name_leads_out_of_the_session(context, songs, name, tmp_path):
    (context.session.folder / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match="cannot be a node of"):
        context.session.codes(name)


def test_no_parent_leads_out_of_the_session(context, songs):
    record(lambda stored: stored.update(parent="../whole"))(context.session.place("top"))
    with pytest.raises(UserError, match=r"'../whole' cannot be a node of"):
        sample(context, "replay", node="top")


def test_a_circle_of_parents_is_told(context, songs, capsys):
    for name, parent in (("whole", "top"), ("top", "whole")):
        record(lambda stored, parent=parent: stored.update(parent=parent))(context.session.place(name))
    with pytest.raises(UserError, match="its parents go in a circle: top < whole < top"):
        context.session.chain("top")
    sample(context, "show", name="top")
    assert capsys.readouterr().err.count("go in a circle") == 2


def test_what_a_file_says_cannot_move_the_cursor(context, songs, capsys):
    record(lambda stored: stored["request"].update(artist="\x1b[2J\nAnna"))(context.session.place("top"))
    record(lambda stored: stored.update({"\x1b[2J": 1}))(context.session.place("whole"))
    sample(context, "show", name="top")
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert printed.err.count("\n") == 1


def test_the_picked_node_is_the_one_to_go_on_from(context, songs):
    sample(context, "pick", node="top", name="top")
    sample(context, "upsample", name="made")
    assert context.session.node("made").parent == "top"
    with pytest.raises(UserError, match="has no node 'tops': nearest are top"):
        sample(context, "pick", node="tops", name="top")


def test_a_command_reads_each_node_once_and_what_it_has_written_never(context, songs, monkeypatch):
    read, node = [], Session.node
    monkeypatch.setattr(Session, "node", lambda session, name: read.append(name) or node(session, name))
    for again in ([], ["longer"]):
        sample(context, "extend", node="whole", name="longer", seconds=2.4)
        assert read == ["whole", *again, "longer"]  # the last one is read by `sample`
        read.clear()
