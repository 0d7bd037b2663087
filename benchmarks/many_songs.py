"""What a folder of many short songs costs `prepare`, and whether three SIGKILLs leave a trace in what comes out.

Command:  python benchmarks/many_songs.py [--songs 10000] [--workers 2]
Cost:     about twenty minutes of two CPU cores, 1 GB of disk
Result:   seconds and peak memory (of the process that hands out the songs, of its largest worker) of a run that is left
          alone; the seconds of one that is killed when 30, 60 and 90 % of the songs are decoded, and run to its end; are
          they the same?
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from jukebox_pl import audio

RATE, SECONDS = 8_000, 1.5
SHARES = (0.3, 0.6, 0.9)
POLL_SECONDS = 0.5


def write_songs(folder: Path, count: int) -> None:
    """A chord of three tones each, every other one with lyrics; a hundred songs a folder, some of them with a cover."""
    times = np.arange(round(RATE * SECONDS)) / RATE
    for number in range(count):
        tones = 220 * 2 ** (np.random.default_rng(number).integers(0, 36, 3) / 12)
        sound = 0.2 * np.sin(2 * np.pi * tones[:, None] * times).sum(axis=0, keepdims=True)
        path = audio.write(folder / f"Artist {number // 100}" / f"{number:05d}.flac", sound.astype(np.float32), RATE)
        if number % 2:
            path.with_suffix(".txt").write_text(f"la la number {number}\n")
        if number % 100 == 0:
            path.with_name("cover.jpg").write_bytes(b"\xff\xd8")


def prepare(songs: Path, out: Path, workers: int, most: float | None = None) -> tuple[float, int, int]:
    """Runs the command, or kills it when `most` songs are decoded; the seconds, peak kB of it and of its largest worker."""
    words = [f"catalog={songs}", f"out={out}", f"sample_rate={RATE}", f"workers={workers}"]
    begun, peaks = time.monotonic(), {}
    with open(f"{out}.log", "a") as log:
        process = subprocess.Popen([sys.executable, "-m", "jukebox_pl.prepare", *words], stdout=log, stderr=log)
        while process.poll() is None and (most is None or len(list(out.glob(".work/*/*.json"))) < most):
            children = read(f"/proc/{process.pid}/task/{process.pid}/children").split()
            for pid in (str(process.pid), *children):
                status = read(f"/proc/{pid}/status").partition("VmHWM:")[2].split()
                peaks[pid] = max(peaks.get(pid, 0), int(status[0]) if status else 0)
            time.sleep(POLL_SECONDS)
        process.kill()
        process.wait()
    if process.returncode not in (0, -9):
        raise SystemExit(Path(f"{out}.log").read_text()[-2000:])
    main = peaks.pop(str(process.pid), 0)
    return time.monotonic() - begun, main, max(peaks.values(), default=0)


def read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # that process has ended
        return ""


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "doctor.html")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_songs(folder / "songs", options.songs)
        whole, mine, largest = prepare(folder / "songs", folder / "whole", options.workers)
        print(f"left alone: {whole:.0f} s, {mine / 1e3:.0f} MB, largest worker {largest / 1e3:.0f} MB", flush=True)
        moments = [share * options.songs for share in SHARES]
        cut = [prepare(folder / "songs", folder / "killed", options.workers, moment)[0] for moment in moments]
        last = prepare(folder / "songs", folder / "killed", options.workers)[0]
        print(f"killed after {', '.join(f'{seconds:.0f}' for seconds in cut)} s, then {last:.0f} s", flush=True)
        same = contents(folder / "whole") == contents(folder / "killed")
        print(f"{len(contents(folder / 'whole'))} files, {'the same bytes' if same else 'OTHER BYTES'}")


if __name__ == "__main__":
    main()
