"""Told to stop: at once, or after a step; the second Ctrl-C is meant."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jukebox_pl.utils import stopping
from jukebox_pl.utils.stopping import STOP, Stopped


def raise_signals(*signums):
    for signum in signums:
        signal.raise_signal(signum)


def test_a_command_that_trains_nothing_stops_at_once_and_says_so(capfd):
    with pytest.raises(Stopped) as stopped, STOP.listening():
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == 143
    assert capfd.readouterr().err == "stopped by SIGTERM; the same command goes on from here\n"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGUSR1, 138), (signal.SIGUSR2, 140)])
def test_after_a_step_it_is_left_to_whoever_trains(capfd, signum, code):
    with pytest.raises(Stopped) as stopped, STOP.listening(), STOP.after_steps():
        raise_signals(signum, signal.SIGTERM)  # a scheduler says it again, or otherwise
    assert stopped.value.code == code
    assert "stops after this step" in capfd.readouterr().err


def test_a_second_ctrl_c_stops_at_once_but_one_press_may_arrive_twice(monkeypatch):
    with pytest.raises(Stopped), STOP.listening(), STOP.after_steps():
        raise_signals(signal.SIGINT, signal.SIGINT)  # as a launcher passes it on
    monkeypatch.setattr(stopping, "SECONDS_OF_ONE_PRESS", -1.0)
    with pytest.raises(KeyboardInterrupt), STOP.listening(), STOP.after_steps():
        raise_signals(signal.SIGINT, signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_budget_is_no_failure_and_needs_no_clock_of_the_day(capfd, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)  # a clock that was set back
    with pytest.raises(Stopped) as stopped, STOP.listening(max_minutes=0.001):
        time.sleep(30)
    assert stopped.value.code == 0
    assert "stopped by max_minutes=0.001; the same command goes on" in capfd.readouterr().err


def test_one_of_several_processes_speaks_for_all(capfd):
    with pytest.raises(SystemExit) as stopped, STOP.listening(quiet=True):
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == 0
    assert capfd.readouterr().err == ""


def test_signals_that_somebody_uses_or_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGUSR1, lambda *_: None), signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        with STOP.listening():
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR2)
    finally:
        for signum, handler in zip((signal.SIGUSR1, signal.SIGUSR2), before, strict=True):
            signal.signal(signum, handler)


def test_a_forked_child_ends_by_the_signal_as_any_other():
    with STOP.listening():
        began, begins = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(begins, b"!")
                time.sleep(30)
            finally:
                os._exit(0)  # whatever it is told: else it would go on as a second pytest
        os.read(began, 1)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    assert STOP.request is None


def test_a_third_ctrl_c_ends_the_process_whatever_it_is_in():
    stubborn = """
import signal, sys
from jukebox_pl.utils import stopping
stopping.SECONDS_OF_ONE_PRESS = -1.0
with stopping.STOP.listening(), stopping.STOP.after_steps():
    for _ in range(3):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass
"""
    assert subprocess.run([sys.executable, "-c", stubborn], capture_output=True).returncode == -signal.SIGINT
