"""One meter, whoever looks at it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from jukebox_pl.utils import progress
from jukebox_pl.utils.progress import Bars, Lines, Meter, Status, clock, terminal_meter


@pytest.fixture
def now(monkeypatch):
    """A clock that the test sets."""
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def test_pace_counts_from_the_first_update_of_each_task(now):
    seen: list[Status] = []
    meter = Meter(seen.append, "codes")
    meter.update("level 1", 40, 100)  # resumed
    now[0] += 2
    meter.update("level 0", 0, 10)
    assert meter.update("level 1", 60, 100) == Status("level 1", 60, 100, "codes", 10.0, 4.0)
    assert [status.seconds_left for status in seen] == [None, None, 4.0]
    assert seen[-1].pace == "10 codes/s, 0:00:04 left"
    assert meter.update("level 1", 100, 100).pace == "done"


def test_a_clock_that_stands_still_gives_no_error(now):
    meter = Meter(lambda status: None)
    meter.update("a", 0, 2)
    assert meter.update("a", 1, 2).rate > 0


def test_lines_come_every_few_seconds_and_at_the_end_of_what_was_told(now):
    out = io.StringIO()
    meter = Meter(Lines(out), "songs")
    meter.update("decoded", 0, 30)
    for done in (10, 20, 30):
        now[0] += 4
        meter.update("decoded", done, 30, note="ada.mp3" if done == 20 else "")
    meter.update("packed", 1, 1)  # too short to speak of
    assert out.getvalue() == "decoded: 20/30 songs ada.mp3, 2.5 songs/s, 0:00:04 left\ndecoded: 30/30 songs, done\n"


def test_bars_show_every_task_on_a_terminal(now):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Meter(Bars(console), "codes") as meter:
        meter.update("level 2", 0, 8)
        now[0] += 1
        meter.update("level 2", 4, 8, note="window at 4")
    assert "level 2" in console.file.getvalue()
    assert "window at 4" in console.file.getvalue()


def test_a_terminal_gets_bars_a_pipe_and_one_of_several_processes_lines(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    def face(terminal: bool) -> object:
        return terminal_meter("songs", Console(file=Screen() if terminal else io.StringIO())).face

    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(face(True), Bars)
    assert isinstance(face(False), Lines)
    monkeypatch.setenv("FORCE_COLOR", "1")  # a pipe stays one
    assert isinstance(face(False), Lines)
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(face(True), Lines)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert isinstance(face(True), Lines)


@pytest.mark.parametrize("width", [40, 80])
def test_a_task_is_one_line_however_long_its_name_and_its_note_are(now, width):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    bars = Bars(console)
    meter = Meter(bars, "songs")
    meter.update("decoding all that there is to decode", 0, 2000)
    now[0] += 1
    meter.update("decoding all that there is to decode", 1000, 2000, note="a/very/long/path/" * 5)
    lines = console.render_lines(bars.get_renderable())
    assert len(lines) == 1
    shown = "".join(segment.text for segment in lines[0])
    assert "1000/2000" in shown
    assert ("━" in shown) is (width == 80)
    assert width == 40 or "0:00:01 left" in shown


def test_clock_has_hours():
    assert clock(3725.4) == "1:02:05"
