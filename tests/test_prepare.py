"""`python -m jukebox_pl.prepare` as a user types it."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_pl import audio, cli
from jukebox_pl.catalog.shards import SPLITS, Catalog, read_shard
from jukebox_pl.prepare import main

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("JUKEBOX_CATALOG", ROOT.parent / "shared/catalog"))


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "jukebox_pl.prepare", *map(str, words)]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)


def make_songs(folder: Path, count: int, seconds: float) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        noise = rng.uniform(-0.5, 0.5, (1, round(seconds * 8000))).astype(np.float32)
        audio.write(folder / f"Artist {number % 2}/{number}.flac", noise, 8000)


def shards(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_folder_becomes_a_catalog_and_again_nothing_to_do(tmp_path):
    make_songs(tmp_path / "songs", count=4, seconds=1.5)
    (tmp_path / "songs/bad.mp3").write_text("no music")
    words = f"catalog={tmp_path / 'songs'}", f"out={tmp_path / 'out'}", "sample_rate=8000", "workers=0"
    first, again = run(*words), run(*words)
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "skipped bad.mp3: damaged, or not a .mp3 file at all" in first.stdout
    assert "nothing to do" in again.stdout
    assert "4, 0:00:06 in 2 shards" in again.stdout
    catalog = Catalog.load(tmp_path / "out")
    assert catalog.artists == ["Artist 0", "Artist 1"]


MISTAKES = {
    "nothing": ([], "catalog=... is missing"),
    "no folder": (["catalog=nowhere"], "catalog=nowhere does not exist"),
    "empty": (["catalog=."], "no songs in .: looked for .aac"),
    "a word": (["catalog=.", "sample_rate=fast"], "sample_rate=fast: expected a whole number"),
    "a typo": (["catalog=.", "held_aut=0.1"], "held_out"),
}


@pytest.mark.parametrize(("words", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.run(main, "prepare", [*words, "out=../out"])
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert told in printed.err
    assert (printed.err.count("\n"), printed.out) == (1, "")


@pytest.mark.slow
def test_killed_and_started_again_is_never_killed(tmp_path):
    make_songs(tmp_path / "songs", count=24, seconds=8.0)
    words = f"catalog={tmp_path / 'songs'}", "songs_per_shard=4", "sample_rate=32000"
    assert run(*words, f"out={tmp_path / 'whole'}", "workers=1").returncode == 0
    rng, out = random.Random(0), tmp_path / "out"
    for finished in sorted(rng.sample(range(1, 16), 3)):
        process = subprocess.Popen(command(*words, f"out={out}", "workers=2"), cwd=ROOT, stdout=subprocess.DEVNULL)
        while process.poll() is None and len(list(out.glob(".work/*.json"))) < finished:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        assert process.wait() != 0
    assert run(*words, f"out={out}", "workers=2").returncode == 0
    assert shards(out) == shards(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no catalog in {REAL}: set JUKEBOX_CATALOG")
def test_the_real_catalog_comes_out_whole(tmp_path):
    done = run(f"catalog={REAL / 'catalog.csv'}", f"out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    catalog = Catalog.load(tmp_path / "out")
    with open(REAL / "catalog.csv", encoding="utf-8") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    entries = {entry["path"]: entry for split in SPLITS for entry in catalog.songs(split)}
    assert catalog.skipped == []
    assert entries.keys() == rows.keys()
    for path, entry in entries.items():
        info = soundfile.info(REAL / path)
        assert abs(entry["samples"] - info.frames * 44_100 / info.samplerate) <= 1
        assert entry["warnings"] == []
        assert bool(entry["lyrics"]) == bool(entry["words"]) == bool(rows[path]["lyrics"])
    songs = [sample.song for split in SPLITS for shard in catalog.shards(split) for sample in read_shard(shard)]
    assert all([word.text for word in song.words] == song.lyrics.split() for song in songs)
