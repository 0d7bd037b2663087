"""A job that SLURM takes back, because its time is over or others go first, put into the queue again."""

from __future__ import annotations

import os
import signal
import subprocess

from lightning_fabric.plugins.environments import SLURMEnvironment

from jukebox_pl.pipeline.stage_folder import say

AHEAD_OF_TIME = (signal.SIGUSR1, signal.SIGUSR2)  # as sbatch --signal=USR1@180 asks for


def requeued(signum: int) -> bool:
    """Whether the job is in the queue again, after a signal that came ahead of time; says so, or why not."""
    if signum not in AHEAD_OF_TIME or not SLURMEnvironment.detect():
        return False
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"job {job} is not in the queue again: {(getattr(error, 'stderr', '') or str(error)).strip()}")
        return False
    say(f"job {job} is in the queue again")
    return True
