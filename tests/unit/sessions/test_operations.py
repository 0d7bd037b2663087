"""What an operation keeps of the song it starts from, and what becomes of it."""

from dataclasses import replace

import numpy as np
import pytest
from small_run import HOPS, RATE, SECONDS, same, sample

from jukebox_pl.errors import UserError
from jukebox_pl.types import Section

BLEND = {"artist": {"Anna": 0.7, "Ben": 0.3}, "schedule": (Section(0.8, artist="Ben", genres=("jazz",)),)}
COMMANDS = {
    "new": {"mode": "new"},
    "new, blended": {"mode": "new", **BLEND},
    "new, in parallel windows": {"mode": "new", "parallel_windows": (2, 2, 2)},
    "extend": {"mode": "extend", "node": "whole", "seconds": 2.4},
    "cut": {"mode": "cut", "node": "whole", "at": 0.8},
    "upsample": {"mode": "upsample", "node": "top"},
    "regenerate": {"mode": "regenerate", "node": "whole", "from": 0.4, "to": 0.9, "seed": 7},
    "branch": {"mode": "branch", "node": "whole", "seed": 7},
}


def at(seconds, level):
    return round(seconds * RATE / HOPS[level])


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_replayed_from_scratch_every_song_comes_out_the_same(context, songs, command, capsys):
    made = sample(context, **command, name="made")
    capsys.readouterr()
    assert same(sample(context, "replay", node="made", name="made"), made)
    assert capsys.readouterr().out == f"made came out the same: {sum(map(len, made.values()))} codes sampled again\n"


def test_a_song_that_does_not_come_out_the_same_is_told(context, songs):
    node, codes = replace(context.session.node("whole"), hashes={}), songs["whole"] | {1: songs["whole"][1] ^ 1}
    context.session.begin("forged", node, {})
    context.session.save("forged", codes)
    context.session.finish("forged", node, codes)
    with pytest.raises(UserError, match=r"forged came out differently: code 0 of level 1 was \d+, now it is \d+"):
        sample(context, "replay", node="forged", name="forged")


def test_extend_keeps_the_beginning_and_goes_on_as_if_it_had_never_ended(context, songs):
    longer = sample(context, "extend", node="whole", name="longer", seconds=2.4)
    for level, codes in longer.items():
        assert len(codes) == at(2.4, level)
        assert (codes[: at(SECONDS, level)] == songs["whole"][level]).all()
        assert len(np.unique(codes[at(SECONDS, level) :])) > 1


def test_extend_lengthens_the_song_that_this_is_a_part_of_only_where_it_must(context):
    sample(context, name="part", total_seconds=2.0)
    sample(context, "extend", node="part", name="within", seconds=1.8)
    sample(context, "extend", node="part", name="beyond", seconds=2.4)
    assert context.session.node("within").request.total_seconds == 2.0
    assert context.session.node("beyond").request.total_seconds == 2.4


def test_cut_keeps_the_beginning_of_the_same_song(context, songs):
    cut = sample(context, "cut", node="whole", name="cut", at=0.8)
    assert same(cut, {level: codes[: at(0.8, level)] for level, codes in songs["whole"].items()})
    assert context.session.node("cut").request.total_seconds == SECONDS


def test_cut_leaves_out_what_would_have_come(context):
    sample(context, name="blended", **BLEND)
    sample(context, "cut", node="blended", name="cut", at=0.5)
    assert context.session.node("cut").request.schedule == ()


def test_regenerate_leaves_everything_outside_as_it_was(context, songs):
    again = sample(context, "regenerate", node="whole", name="again", seed=7, **{"from": 0.4, "to": 0.8})
    for level, codes in again.items():
        begin, end = at(0.4, level), at(0.8, level)
        changed = codes != songs["whole"][level]
        assert changed[begin:end].any()
        assert not changed[:begin].any()
        assert not changed[end:].any()


def test_the_top_alone_and_the_rest_later_are_what_all_at_once_is(context, songs):
    assert list(songs["top"]) == [2]
    middle = sample(context, "upsample", node="top", name="middle", lowest=1)
    assert sorted(middle) == [1, 2]
    assert same(sample(context, "upsample", node="middle", name="bottom"), sample(context, seed=2))


def test_the_top_alone_can_be_heard(context, songs):
    assert (context.session.place("top") / "song.wav").stat().st_size == 44 + 2 * SECONDS * RATE


def test_a_branch_starts_from_the_codes_that_its_sibling_started_from(context, songs):
    sample(context, "extend", node="whole", name="longer", seconds=2.4)
    branch = sample(context, "branch", node="longer", name="other", seed=9, artist="Ben")
    node, sibling = context.session.node("other"), context.session.node("longer")
    assert (node.operation, node.parent, node.request.artist) == (sibling.operation, sibling.parent, "Ben")
    for level, codes in branch.items():
        assert (codes[: at(SECONDS, level)] == songs["whole"][level]).all()
    assert not same(branch, context.session.codes("longer"))


def test_what_is_not_said_is_taken_over(context):
    sample(context, name="begun", temperature=0.5, offset_seconds=1.0, artist="Ben")
    sample(context, "extend", node="begun", name="longer", seconds=2.4)
    begun, longer = context.session.node("begun"), context.session.node("longer")
    assert (longer.params, longer.seed, longer.request.artist) == (begun.params, begun.seed, "Ben")
    assert longer.request.offset_seconds == 1.0


def test_a_stretch_is_sung_with_the_next_seed_unless_another_is_given(context):
    sample(context, name="begun")
    sample(context, "regenerate", node="begun", name="anew", **{"from": 0.4, "to": 0.8})
    assert context.session.node("anew").seed == context.session.node("begun").seed + 1


REFUSED = {
    "extend to less": ("extend", {"seconds": 0.8}, "seconds=0.8: mode=extend needs more than the 1.6 s that whole has"),
    "cut beyond the end": ("cut", {"at": 1.6}, "at=1.6: expected a moment within the 1.6 s of whole"),
    "cut at nothing": ("cut", {}, "mode=cut needs at=SECONDS"),
    "upsample what is whole": ("upsample", {}, "levels=0: whole is sampled down to level 0 already"),
    "upsample to another length": ("upsample", {"seconds": 3.0}, "seconds=3: mode=upsample keeps the 1.6 s of whole"),
    "regenerate backwards": ("regenerate", {"from": 1, "to": 0.5, "seed": 3}, "from=1 to=0.5: expected two moments"),
    "regenerate too much": ("regenerate", {"from": 1, "to": 5, "seed": 3}, "within the 1.6 s of whole"),
    "regenerate the same": (
        "regenerate",
        {"from": 0.4, "to": 0.8, "seed": 1},
        "seed=1 has sung this part of whole: .*seed=2",
    ),
    "what another operation is message": ("extend", {"at": 1.0}, "at means nothing to mode=extend, only to mode=cut"),
    "levels that are none": ("branch", {"lowest": 3}, "levels=3: expected 0 to 2, the lowest level to sample"),
    "an unknown artist": ("branch", {"artist": "Ana"}, "unknown artist 'Ana'.*nearest are 'Anna'"),
    "a section after the end": ("branch", {"schedule": (Section(9.0, artist="Ben"),)}, "sections must begin"),
    "an unknown node": ("branch", {"node": "wole"}, "has no node 'wole': nearest are whole"),
    "no node": ("branch", {"node": None}, "node is missing: give node=ID"),
    "a node elsewhere": ("branch", {"node": "../whole"}, "'../whole' cannot be a node of"),
    "several in one folder": ("branch", {"candidates": 2}, "out is one song, and candidates=2 are several: give session="),
}


@pytest.mark.parametrize(("mode", "words", "message"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(context, songs, mode, words, message):
    with pytest.raises(UserError, match=message):
        sample(context, mode, **{"node": "whole", "name": "made"} | words)
    assert sorted(context.session.names()) == ["top", "whole"]
