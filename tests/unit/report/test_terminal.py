import io
import itertools

import pytest
from rich.console import Console

from jukebox_pl.catalog.prepare import Progress
from jukebox_pl.evaluation.suite import Answer, Evaluation, Table
from jukebox_pl.report.terminal import print_evaluation, showing_progress
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
