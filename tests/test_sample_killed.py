"""`python -m jukebox_pl.sample` in processes of its own: killed, out of room, several at once."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def start(finished: Path, *words: object, limit: int | None = None, **environment: str) -> subprocess.Popen[str]:
    """`limit`: bytes that a file may have."""
    song = "seconds=0.4", "hop_fraction=0.5", "seed=3"
    command = [sys.executable, "-m", "jukebox_pl.sample", f"run_dir={finished}", *song, *map(str, words)]
    small = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None
    usual = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(command, cwd=ROOT, env=usual, stderr=subprocess.PIPE, text=True, preexec_fn=small)


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    told = process.communicate(timeout=300)[1]
    assert process.returncode == code, told
    return told


def kill_after(process: subprocess.Popen[str], file: Path, times: int) -> bool:
    """SIGKILL once a file has been written so many times; whether that came before the end."""
    seen = None
    while process.poll() is None and times:
        written = file.stat().st_mtime_ns if file.exists() else seen
        times, seen = times - (written != seen), written
        time.sleep(0.001)
    process.kill()
    process.communicate()
    return process.returncode < 0


@pytest.fixture(scope="module")
def unhurt(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unhurt") / "song"
    finish(start(finished, f"out={folder}"))
    return folder


def require_same(one: Path, other: Path) -> None:
    for file in ("codes.npz", "song.wav"):
        assert (one / file).read_bytes() == (other / file).read_bytes()


def test_killed_at_random_windows_a_song_is_the_same(finished, unhurt, tmp_path):
    chance, folder, kills = random.Random(0), tmp_path / "song", 0
    streamed = cycle(["stream=true", "stream=false"])
    while kill_after(start(finished, f"out={folder}", next(streamed)), folder / "codes.npz", chance.randint(3, 7)):
        kills += 1
    finish(start(finished, f"out={folder}"))
    assert kills >= 2
    require_same(folder, unhurt)


def test_out_of_room_a_song_stops_with_one_line_and_goes_on_when_there_is_some(finished, unhurt, tmp_path):
    told = finish(start(finished, f"out={tmp_path / 'song'}", limit=2000), code=2)
    assert told.splitlines()[-1].startswith("error: ")
    assert "codes.npz: File too large; make room or choose another folder, and run it again" in told
    assert sorted(file.name for file in (tmp_path / "song").iterdir()) == ["codes.npz", "node.json"]
    finish(start(finished, f"out={tmp_path / 'song'}"))
    require_same(tmp_path / "song", unhurt)


def test_two_processes_share_the_candidates(finished, unhurt, tmp_path):
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"} for rank in range(2)]
    told = [start(finished, f"session={tmp_path}", "candidates=3", **rank) for rank in ranks]
    for process in told:
        finish(process)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "seed_3", "seed_4", "seed_5"]
    require_same(tmp_path / "seed_3", unhurt)
    with np.load(tmp_path / "seed_4/codes.npz") as one, np.load(tmp_path / "seed_5/codes.npz") as other:
        assert (one["level_2"] != other["level_2"]).any()
