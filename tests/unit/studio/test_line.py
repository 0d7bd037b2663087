"""The line with jobs that are made up: who is next, how long it takes, what ends it."""

from threading import Event
from types import SimpleNamespace

import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.studio import views
from jukebox_pl.studio.line import BROKEN, Job, Line, State

CODES = 100


class Work:
    """Stands where a GenerationJob would: as many codes as it is let draw."""

    def __init__(self, name, error=None):
        node = SimpleNamespace(levels=range(2, 3), lengths={2: CODES})
        self.nodes, self.codes, self.error, self.gate = {name: node}, {name: {}}, error, Event()
        self.begun = Event()

    def run(self, meter):
        self.begun.set()
        for code in range(1, CODES + 1):
            while code == CODES and not self.gate.wait(0.01):
                meter.update("level 2", code - 1, CODES)
            meter.update("level 2", code, CODES)
        if self.error:
            raise self.error


@pytest.fixture
def line():
    made = Line()
    yield made
    made.close()


def add(line, *owners, **settings):
    jobs = [Job(owner, Work(f"{owner}{number}", **settings)) for number, owner in enumerate(owners)]
    for job in jobs:
        line.add(job)
    return jobs


def owners(line):
    return "".join(job.owner for job in line.jobs())


def test_everybody_has_a_turn_before_one_has_two(line):
    jobs = add(line, "a")
    jobs[0].work.begun.wait(10)
    jobs += add(line, *"aaabbc")
    assert owners(line) == "abcabaa"
    jobs[0].work.gate.set()
    line.wait(jobs[0], 10)
    assert owners(line)[0] in "ab"
    assert len(line.jobs()) == 6


def test_a_job_that_waits_is_stopped_before_its_turn(line):
    first, second = add(line, "a", "b")
    line.stop(second)
    assert second.state is State.STOPPED
    assert not second.work.begun.is_set()
    assert line.job("a0") is first


def test_a_job_that_is_sung_stops_at_its_next_code(line):
    (job,) = add(line, "a")
    job.work.begun.wait(10)
    line.stop(job)
    assert line.wait(job, 10) is State.STOPPED
    assert line.jobs() == []


def test_the_time_until_a_job_is_done_counts_all_before_it(line):
    first, second = add(line, "a", "b")
    first.work.begun.wait(10)
    assert line.seconds_until_done(second) is None or line.seconds_until_done(second) > 0
    first.work.gate.set()
    line.wait(first, 10)
    second.work.begun.wait(10)
    (third,) = add(line, "c")
    assert line.seconds_left(third) > 0
    assert line.seconds_until_done(third) >= line.seconds_left(third)


@pytest.mark.parametrize(("error", "told"), [(UserError("no room"), "no room"), (ZeroDivisionError(), BROKEN)])
def test_what_goes_wrong_is_told_and_the_next_one_is_sung(line, error, told, capsys):
    (wrong,) = add(line, "a", error=error)
    (after,) = add(line, "b")
    wrong.work.gate.set()
    assert line.wait(wrong, 10) is State.FAILED
    assert wrong.mistake == told
    assert f"a0: {told}" in views.jobs(line, "a")
    assert told not in views.jobs(line, "b")
    assert ("Traceback" in capsys.readouterr().err) == (told is BROKEN)
    after.work.gate.set()
    assert line.wait(after, 10) is State.FINISHED


def test_a_closed_line_sings_nothing_more():
    line = Line()
    first, second = add(line, "a", "a")
    first.work.begun.wait(10)
    line.close()
    assert (first.state, second.state) == (State.STOPPED, State.WAITING)
