"""`python -m jukebox_pl.prepare` as a user types it."""

from __future__ import annotations

import csv
import inspect
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hydra.utils import get_object
from omegaconf import OmegaConf

from jukebox_pl import audio
from jukebox_pl.catalog.alignment import WordFinder
from jukebox_pl.catalog.shards import SPLITS, Catalog, read_shard
from jukebox_pl.cli import command
from jukebox_pl.prepare import main, to_settings

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("JUKEBOX_CATALOG", ROOT.parent / "shared/catalog"))


def command_line(*words: object) -> list[str]:
    return [sys.executable, "-m", "jukebox_pl.prepare", *map(str, words)]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command_line(*words), capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)


def make_songs(folder: Path, count: int, seconds: float) -> None:
    """Every other one with lyrics, whose words have no times."""
    rng = np.random.default_rng(0)
    for number in range(count):
        noise = rng.uniform(-0.5, 0.5, (1, round(seconds * 8000))).astype(np.float32)
        song = audio.write(folder / f"Artist {number % 2}/{number}.flac", noise, 8000)
        if number % 2:
            song.with_suffix(".txt").write_text(f"la na\nmi {number}\n")


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


def test_the_doctor_alone_reports_and_prepares_nothing(tmp_path, capsys):
    make_songs(tmp_path / "songs", count=3, seconds=1.5)
    (tmp_path / "songs/bad.mp3").write_text("no music")
    words = f"catalog={tmp_path / 'songs'}", f"out={tmp_path / 'out'}", "sample_rate=8000", "workers=0"
    command.run(main, "prepare", [*words, "doctor=only"])
    printed = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".work", "doctor.json", "doctor.html"}
    assert "3 kept" in printed
    assert "1 skipped" in printed
    assert "bad.mp3" in printed
    report = json.loads((tmp_path / "out/doctor.json").read_text())
    assert {chart["path"]: chart["verdict"] for chart in report["charts"]}.keys() == {
        "Artist 0/0.flac", "Artist 0/2.flac", "Artist 1/1.flac",
    }  # fmt: skip
    command.run(main, "prepare", list(words))
    assert (tmp_path / "out/catalog.json").exists()
    assert json.loads((tmp_path / "out/doctor.json").read_text()) == report


ALIGNERS = sorted(path.stem for path in (ROOT / "recipes/aligner").glob("*.yaml"))
SEPARATORS = sorted(path.stem for path in (ROOT / "recipes/separator").glob("*.yaml"))


@pytest.mark.parametrize("choice", [*(f"aligner={n}" for n in ALIGNERS), *(f"separator={n}" for n in SEPARATORS)])
def test_every_aligner_and_separator_takes_what_its_recipe_says(tmp_path, choice):
    config = command.compose_config("prepare", [choice, "catalog=x", "out=y"])
    part = OmegaConf.to_container(config[choice.partition("=")[0]])
    for settings in (part, *part.get("aligners", ())):
        target = get_object(settings["_target_"])
        assert set(settings) - {"_target_"} <= inspect.signature(target).parameters.keys()


def test_a_choice_and_its_settings_reach_the_aligner():
    words = ["catalog=x", "out=y", "aligner=activity", "aligner.pause=2", "separator=hpss"]
    settings = to_settings(command.compose_config("prepare", words))
    finder = WordFinder.of(settings)
    assert (type(finder.separator).__name__, finder.aligner.pause) == ("HPSS", 2)
    assert to_settings(command.compose_config("prepare", words[:2])).aligner is None


MISTAKES = {
    "nothing": ([], "catalog=... is missing"),
    "no folder": (["catalog=nowhere"], "catalog=nowhere does not exist"),
    "empty": (["catalog=."], "no songs in . and its folders: looked for files that hold sound"),
    "a word": (["catalog=.", "sample_rate=fast"], "sample_rate=fast: expected a whole number"),
    "a typo": (["catalog=.", "held_aut=0.1"], "held_out"),
    "no such aligner": (["catalog=.", "aligner=activty"], "did you mean activity"),
    "no path": (["catalog=.", "aligner=trained"], "aligner.path=... is missing"),
    "no model": (["catalog=.", "aligner=trained", "aligner.path=nowhere"], "path=nowhere"),
    "not trusted": (
        ["catalog=.", "aligner=linear", "aligner._target_=os.system"],
        "os.system is not from jukebox_pl.catalog",
    ),
    "no aligner": (["catalog=.", "separator=hpss"], "expected null, as there is no aligner"),
    "no doctor": (["catalog=.", "doctor=no"], "doctor=no: expected also or only or never"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        command.run(main, "prepare", [*words, "out=../out"])
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert message in printed.err
    assert (printed.err.count("\n"), printed.out) == (1, "")


@pytest.mark.parametrize("out", ["/proc/x/y", "/dev/null/x", "x" * 300, "songs/0.wav/x"])
def test_a_folder_that_cannot_be_is_one_line(tmp_path, monkeypatch, capsys, out):
    make_songs(tmp_path / "songs", count=1, seconds=1.5)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        command.run(main, "prepare", ["catalog=songs", f"out={out}", "workers=0"])
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.err.startswith("error: ")
    assert (printed.err.count("\n"), printed.out) == (1, "")


def test_songs_that_came_since_are_named_and_they_alone_are_decoded(tmp_path, capsys):
    make_songs(tmp_path / "songs", count=3, seconds=1.5)
    words = [f"catalog={tmp_path / 'songs'}", f"out={tmp_path / 'out'}", "sample_rate=8000", "workers=0"]
    command.run(main, "prepare", words)
    capsys.readouterr()
    make_songs(tmp_path / "songs/more", count=2, seconds=1.5)
    command.run(main, "prepare", words)
    printed = capsys.readouterr().out
    assert "new songs: 2 (" in printed
    assert "the doctor's report on 2 songs" in printed
    assert "5, 0:00:08 in" in printed


@pytest.mark.slow
def test_killed_ten_times_is_never_killed(tmp_path):
    make_songs(tmp_path / "songs", count=24, seconds=8.0)
    words = f"catalog={tmp_path / 'songs'}", "songs_per_shard=4", "sample_rate=32000", "aligner=activity", "doctor=never"
    assert run(*words, f"out={tmp_path / 'whole'}", "workers=1").returncode == 0
    rng, out = random.Random(0), tmp_path / "out"
    kills = 0
    for finished in sorted(rng.choices(range(24 + 12 + 6), k=10)):  # songs that are decoded, aligned, shards that are packed
        process = subprocess.Popen(command_line(*words, f"out={out}", "workers=2"), cwd=ROOT, stdout=subprocess.DEVNULL)
        while process.poll() is None and len([*out.glob(".work/*/*.json"), *out.glob("*/*.tar")]) < finished:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        kills += process.wait() != 0
    assert kills >= 8  # the last ones may come too late
    assert run(*words, f"out={out}", "workers=2").returncode == 0
    assert shards(out) == shards(tmp_path / "whole")
    catalog = Catalog.load(out)
    assert sorted(song["words"] for split in SPLITS for song in catalog.songs(split)) == [0] * 12 + [4] * 12


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
