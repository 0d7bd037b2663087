"""Against an scontrol that notes what it was asked."""

import os
import signal

import pytest

from jukebox_pl.pipeline.slurm import requeued


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    program = tmp_path / "scontrol"
    program.write_text(
        f'#!/bin/sh\n[ "$2" = 13 ] && {{ echo "Requeue is disabled" >&2; exit 1; }}\necho "$@" > {tmp_path}/asked\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "12", "SLURM_JOB_NAME": "fit"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "asked"


def test_a_job_that_is_told_ahead_of_time_is_put_into_the_queue_again(scontrol, capsys):
    assert requeued(signal.SIGUSR1)
    assert scontrol.read_text() == "requeue 12\n"
    assert capsys.readouterr().err == "job 12 is in the queue again\n"


def test_of_an_array_only_the_task(scontrol, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "40")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert requeued(signal.SIGUSR2)
    assert scontrol.read_text() == "requeue 40_2\n"


def test_what_slurm_refuses_is_said(scontrol, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    assert not requeued(signal.SIGUSR1)
    assert capsys.readouterr().err == "job 13 is not in the queue again: Requeue is disabled\n"


def test_a_job_that_a_person_ends_or_that_is_none_stays_out(scontrol, monkeypatch):
    assert not requeued(signal.SIGTERM)
    assert not requeued(signal.SIGINT)
    monkeypatch.delenv("SLURM_NTASKS")
    assert not requeued(signal.SIGUSR1)
    assert not scontrol.exists()
