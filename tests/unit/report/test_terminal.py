import io
import itertools
from pathlib import Path

import pytest
from rich.console import Console

from jukebox_pl.catalog import doctor
from jukebox_pl.catalog.prepare import Progress
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.evaluation.suite import Answer, Evaluation, Table
from jukebox_pl.report.terminal import print_catalog, print_evaluation, print_tables, showing_progress
from jukebox_pl.utils import progress


@pytest.mark.parametrize("is_terminal", [True, False])
def test_how_far_prepare_is_comes_to_its_console(is_terminal, monkeypatch):
    clock = itertools.count(0, 10)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=120)
    with showing_progress(console) as show:
        for done in range(3):
            show(Progress("examined", done, 4, "[red]song.flac"))
    shown = console.file.getvalue()
    assert "songs examined" in shown
    assert "2/4" in shown
    assert ("[red]song.flac" in shown) == is_terminal  # a name is no markup, and a log is no list of songs


def test_an_evaluation_is_printed_in_eighty_columns_with_what_could_not_be_told():
    table = Table("[red]priors", ("level", "bits " * 20), (("0", "4.1 [3.9, 4.2]"),), "7 held-out songs; " * 9)
    answers = {"prior": Answer({}, (table,)), "lyrics": Answer({"cannot_tell": "no [song] has lyrics"})}
    console = Console(file=io.StringIO(), width=200)
    print_evaluation(console, Evaluation(answers, {"songs": 7, "skipped": 2}))
    shown = console.file.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    for text in ("[red]priors", "4.1 [3.9, 4.2]", "lyrics cannot tell: no [song] has lyrics", "passed over: 2 of 7 songs"):
        assert text in shown


ENTRY = {"id": "1", "path": "a\n\x1b[2J.mp3", "samples": 8000, "title": "a", "artist": "A", "genres": [], "lyrics": 0}
ENTRY |= {"words": 0, "warnings": ["lyrics left out: \x07"]}


def printed(held_out):
    splits = {
        "train": {"shards": [{"file": "train/000000.tar", "songs": 1}], "songs": [ENTRY]},
        "held_out": {"shards": [{"file": "held_out/000000.tar", "songs": 1}], "songs": [ENTRY]},
    }
    if not held_out:
        splits["held_out"] = {"shards": [], "songs": []}
    passed_over = [{"kind": ".jpg", "files": 12, "such_as": ["a.jpg"]}, {"kind": "hidden", "files": 2, "such_as": [".a"]}]
    catalog = Catalog(
        8000,
        1,
        splits,
        ["A"],
        [],
        "",
        8000,
        passed_over=passed_over,
        notes=["t.csv has \x1b columns"],
        folder=Path("shards"),
    )
    console = Console(file=io.StringIO(), width=120)
    print_catalog(console, catalog)
    return console.file.getvalue()


def test_a_catalog_is_printed_with_what_was_passed_over_and_no_name_reaches_the_terminal():
    shown = printed(held_out=True)
    for text in (
        "12 .jpg, 2 hidden",
        "t.csv has \\x1b columns",
        "warning a\\n\\x1b[2J.mp3: lyrics left out: \\x07",
        "1 (50%)",
    ):
        assert text in shown
    assert not {"\x1b", "\x07"} & set(shown)
    table = doctor.Table("skipped", ("song",), [("a\n\x1b[2J.mp3",)])
    console = Console(file=io.StringIO(), width=120)
    print_tables(console, [table])
    assert "a\\n\\x1b[2J.mp3" in console.file.getvalue()


def test_a_catalog_with_nothing_held_out_says_whose_the_scores_will_be():
    assert "none: every score will be of training songs" in printed(held_out=False)
    assert "every score" not in printed(held_out=True)
