"""`python -m jukebox_pl.fit` as a user types it: whole runs, and runs that were stopped."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from conftest import HARD_OF_HEARING

from datamodules.demo import write_demo_catalog
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.pipeline import encode
from jukebox_pl.training.loggers.files import read_metrics

TRAINED = ("vqvae", "top_prior", "lyrics_prior", "upsampler_1", "upsampler_0")
DEMO = ("data=demo", "data.source.songs=6", "data.source.seconds=4")
LYRICS_OF_THE_DEMO = ("size=demo", "stages.lyrics_prior.data.label_dropout=0.05")
EAGER = ["callbacks.copies.after_seconds=-1"]  # at every validation, however short the training


def losses(stage: Path) -> dict[int, str]:
    """The training loss of every step, as logged; each step once."""
    with open(stage / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = [(int(row["step"]), row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def weights_of(run_dir: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in run_dir.rglob("*.safetensors")}


def files(folder: Path, pattern: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob(pattern)}


def without(run_dir: Path, out: Path, *stages: str) -> Path:
    """A copy of a run in which some stages were never begun."""
    return Path(shutil.copytree(run_dir, out, ignore=shutil.ignore_patterns(*stages)))


def mistake(fit, capsys, *words) -> str:
    """What is told of a mistake: one line at the end, exit code 2, no traceback."""
    with pytest.raises(SystemExit) as stopped:
        fit(*words)
    stderr = capsys.readouterr().err
    assert stopped.value.code == 2
    assert stderr.count("error: ") == 1
    assert "Traceback" not in stderr
    return stderr.splitlines()[-1]


def test_a_run_leaves_every_stage_complete_and_a_song(finished):
    for stage in TRAINED:
        for file in ("config.json", "result.json", "metrics.csv", "model/config.json", "model/model.safetensors"):
            assert (finished / stage / file).stat().st_size > 0
        assert list(losses(finished / stage)) == [0, 1, 2, 3]
    assert (finished / "bundle.json").exists()
    assert {path.name for path in (finished / "song").iterdir()} >= {"song.wav", "codes.npz", "request.json", "index.html"}


def test_a_top_prior_tells_how_much_it_copies_and_trains_as_without(finished, fit, tmp_path, capsys):
    run_dir = without(finished, tmp_path / "run", "top_prior", "lyrics_prior", "upsampler_*", "bundle*", "song*")
    fit("recipe=top_prior", f"run_dir={run_dir}", *DEMO, "max_steps=4", "callbacks.copies.share=1e9", *EAGER)
    columns, rows = read_metrics(run_dir / "top_prior/metrics.csv")
    assert {"val/copied_codes", "val/copied_codes_held_out"} <= set(columns)
    assert [float(row["val/copied_codes"]) >= 0 for row in rows if row["val/copied_codes"]] == [True, True]
    assert losses(run_dir / "top_prior") == losses(finished / "top_prior")
    assert "copies: runs of " in capsys.readouterr().err


def test_a_finished_run_is_skipped_and_told_how_to_sing(finished, fit, capsys):
    before = files(finished, "model.safetensors")
    started = time.monotonic()
    fit(
        "recipe=demo",
        f"run_dir={finished}",
        "max_steps=4",
        *DEMO[1:],
        "stages.song.request.seconds=1",
        "+stages.catalog.workers=0",
        *HARD_OF_HEARING,
    )
    stderr = capsys.readouterr().err
    assert time.monotonic() - started < 5
    assert stderr.count("done before, skipped") == 8
    assert f"to see and hear: {finished}/song/index.html" in stderr
    assert f"to sing: python -m jukebox_pl.sample run_dir={finished} 'artist=Ada Bell' genre=" in stderr
    assert files(finished, "model.safetensors") == before


def test_recipes_share_the_stages_of_a_run(demo_shards, fit, tmp_path, capsys):
    run = f"run_dir={tmp_path}", f"data.path={demo_shards}", "max_steps=2"
    fit("recipe=vqvae", *run)
    assert "skipped" not in capsys.readouterr().err
    fit("recipe=top_prior", *run)
    assert "[2/4] vqvae: done before, skipped" in capsys.readouterr().err
    fit("recipe=hierarchy", *run)
    assert capsys.readouterr().err.count("done before, skipped") == 4
    assert (tmp_path / "bundle.json").exists()


@pytest.fixture
def songs(tmp_path):
    """Five demo songs of two artists, one of them not a song."""
    made = write_demo_catalog(tmp_path / "made", songs=6, seconds=4.0).parent
    folder = tmp_path / "songs"
    for number, path in enumerate(sorted(made.rglob("*.flac"))):
        place = folder / f"Artist {number % 2}" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
        place.with_suffix(".txt").write_text("la na mi")
    (folder / "bad.mp3").write_text("no music")
    return folder


def test_a_folder_is_prepared_as_by_prepare_and_grows(songs, fit, tmp_path, capsys, monkeypatch):
    late = [path.rename(tmp_path / path.name) for path in sorted(songs.rglob("*.flac"))[:2]]
    words = "recipe=top_prior", "data=folder", f"data.songs={songs}", f"run_dir={tmp_path / 'run'}", "max_steps=2"
    words += "data.sample_rate=11025", "+stages.catalog.workers=0", "size.top_prior.transformer.ctx=32"
    fit(*words)
    stderr = capsys.readouterr().err
    assert "skipped bad.mp3: damaged" in stderr
    assert "doctor's report on 4 songs" in stderr
    assert "11025 Hz" in stderr
    for path in late:
        path.rename(songs / "Artist 1" / path.name)
    shards = files(tmp_path / "run", "*.tar")
    monkeypatch.chdir(songs.parent)
    fit(*words, "data.songs=songs/")  # the same folder, spelt otherwise
    stderr = capsys.readouterr().err
    assert "has changed since" in stderr
    assert "new songs: 2 (" in stderr
    assert "data.grow=true takes it in" in stderr
    assert files(tmp_path / "run", "*.tar") == shards
    decoded = []
    monkeypatch.setattr(encode.Encoder, "encode_song", count(encode.Encoder.encode_song, decoded))
    fit(*words, "data.grow=true")
    stderr = capsys.readouterr().err
    assert "doctor's report on 2 songs" in stderr
    assert "top_prior: done before, skipped, without the songs that are new; stages.top_prior.max_steps above 2" in stderr
    assert sorted(song.title for song in decoded) == sorted(path.stem for path in late)
    grown = files(tmp_path / "run", "*.tar")
    assert {name: grown.get(name) for name in shards} == shards
    assert len(Catalog.load(tmp_path / "run/codes/shards").songs("train")) == 5
    fit(*words, "stages.top_prior.max_steps=3")  # trains on from its weights
    assert list(losses(tmp_path / "run/top_prior")) == [0, 1, 2]


@pytest.mark.slow
def test_a_folder_is_fine_tuned_on_at_the_rate_of_the_copied_bundle(songs, finished, fit, tmp_path, capsys):
    bundle = shutil.copytree(finished / "bundle", tmp_path / "my bundle")
    words = "recipe=finetune", f"bundle={bundle}", "data=folder", f"data.songs={songs}", "+stages.catalog.workers=0"
    line = mistake(fit, capsys, *words, f"run_dir={tmp_path / 'run'}", "max_steps=2", "data.sample_rate=44100")
    assert "was trained on 11025 samples a second" in line
    assert not (tmp_path / "run").exists()
    fit(*words, f"run_dir={tmp_path / 'run'}", "max_steps=2")
    assert Catalog.load(tmp_path / "run/shards").sample_rate == 11025
    bundle.rename(tmp_path / "moved bundle")
    shutil.rmtree(songs)  # the shards have all that is needed
    (tmp_path / "run").rename(tmp_path / "moved")
    capsys.readouterr()
    fit(*words, f"bundle={tmp_path / 'moved bundle'}", f"run_dir={tmp_path / 'moved'}", "max_steps=2")
    stderr = capsys.readouterr().err
    assert "the songs are not looked at again" in stderr
    assert stderr.count("done before, skipped") == 6
    line = mistake(fit, capsys, *words, f"run_dir={tmp_path / 'moved'}", "max_steps=2")
    assert "my bundle does not hold a finished run or a converted bundle" in line


def count(encode_song, seen):
    def counting(self, sound, song):
        seen.append(song)
        return encode_song(self, sound, song)

    return counting


def test_a_run_is_one_process_and_its_rate_of_learning_may_fall(demo_shards, fit, start_fit, tmp_path, capsys):
    words = "recipe=vqvae", f"run_dir={tmp_path}", f"data.path={demo_shards}"
    fit(*words, "max_steps=4")
    fit(*words, "max_steps=6", "size.vqvae.optim.lr=1e-4", "size.vqvae.optim.warmup=30")
    with open(tmp_path / "vqvae/metrics.csv", newline="", encoding="utf-8") as file:
        rates = {int(row["step"]): float(value) for row in csv.DictReader(file) if (value := row["lr-AdamW"])}
    assert rates[3] == pytest.approx(4e-3 * 4 / 30)
    assert rates[5] == pytest.approx(1e-4 * 6 / 30)
    capsys.readouterr()
    process = start_fit(*words, "max_steps=2000")
    while not (tmp_path / ".lock").exists():
        time.sleep(0.02)
    line = mistake(fit, capsys, *words, "max_steps=2001")
    assert f"run_dir={tmp_path} is in use by process {process.pid} on " in line
    process.kill()
    process.communicate()
    fit(*words, "max_steps=6", "size.vqvae.optim.lr=1e-4")  # freed with the process
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("songs", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)])
def test_a_catalog_of_few_songs_trains_and_is_warned_of(fit, tmp_path, capsys, songs):
    """With fewer steps than a validation interval, of which the last one is a checkpoint to go on from."""
    words = "recipe=top_prior", f"run_dir={tmp_path}", "data=demo", f"data.source.songs={songs}", "data.source.seconds=4"
    fit(*words, "max_steps=1")
    stderr = capsys.readouterr().err
    assert f"{songs} song{'s' * (songs > 1)}: " in stderr
    assert "models learn so few by heart, and copy more than they make up" in stderr
    assert ("none is held out" in stderr) == (not Catalog.load(tmp_path / "shards").songs("held_out"))
    assert (tmp_path / "top_prior/checkpoints/last.ckpt").exists()
    fit(*words, "max_steps=1", "stages.top_prior.max_steps=2")
    assert list(losses(tmp_path / "top_prior")) == [0, 1]


def test_a_catalog_without_lyrics_gives_a_bundle_without_a_lyrics_prior(demo_shards, fit, tmp_path, capsys):
    shards = Path(shutil.copytree(demo_shards, tmp_path / "shards"))
    record = json.loads((shards / "catalog.json").read_text())
    (shards / "catalog.json").write_text(json.dumps(record | {"characters": ""}))
    fit("recipe=hierarchy", f"run_dir={tmp_path / 'run'}", f"data.path={shards}", "max_steps=2")
    assert "lyrics_prior: not for this catalog, skipped" in capsys.readouterr().err
    assert json.loads((tmp_path / "run/bundle.json").read_text())["priors"]["2"] == "top_prior/model"


@pytest.mark.parametrize("stage", ["vqvae", "top_prior", "lyrics_prior"])
def test_a_stage_that_was_stopped_goes_on_as_if_it_never_was(finished, fit, tmp_path, stage):
    run_dir = without(finished, tmp_path / "run", stage)
    words = f"recipe={stage}", f"run_dir={run_dir}", *DEMO, *(LYRICS_OF_THE_DEMO if stage == "lyrics_prior" else ())
    fit(*words, "max_steps=3")
    fit(*words, "max_steps=4")
    assert losses(run_dir / stage) == losses(finished / stage)
    assert weights_of(run_dir / stage) == weights_of(finished / stage)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stage_goes_on_exactly_beyond_an_epoch(finished, fit, tmp_path, workers):
    """One worker reads as none does."""
    words = "recipe=top_prior", "max_steps=4", *DEMO, "size.top_prior.every_steps=50"
    whole, stopped = (without(finished, tmp_path / name, "top_prior") for name in ("whole", "stopped"))
    fit(*words, f"run_dir={whole}", "stages.top_prior.max_steps=140", f"data.workers={workers}")
    for steps, now in ((60, workers), (100, workers), (140, workers or 1)):
        fit(*words, f"run_dir={stopped}", f"stages.top_prior.max_steps={steps}", f"data.workers={now}")
    assert losses(stopped / "top_prior") == losses(whole / "top_prior")
    assert weights_of(stopped) == weights_of(whole)


def test_encoding_goes_on_with_the_shards_that_are_there(demo_shards, fit, tmp_path, monkeypatch):
    words = "recipe=codes", f"run_dir={tmp_path}", f"data.path={demo_shards}", "max_steps=2"
    fit(*words)
    whole = files(tmp_path / "codes", "*.tar")
    shutil.rmtree(tmp_path / "codes")

    def stop_at_the_second(path, samples):
        if next(tmp_path.rglob("codes/**/*.tar"), None):
            raise KeyboardInterrupt
        write_shard(path, samples)

    write_shard = encode.write_shard
    monkeypatch.setattr(encode, "write_shard", stop_at_the_second)
    with pytest.raises(SystemExit):
        fit(*words)
    assert len(files(tmp_path / "codes", "*.tar")) == 1
    monkeypatch.undo()
    fit(*words)
    assert files(tmp_path / "codes", "*.tar") == whole


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(finished, start_fit, tmp_path):
    words = "recipe=hierarchy", f"run_dir={tmp_path / 'run'}", f"data.path={finished / 'shards'}", "max_steps=4"
    words += LYRICS_OF_THE_DEMO
    for stage in ("vqvae", "lyrics_prior"):
        process = start_fit(*words)
        wait_for(tmp_path / "run" / stage / "checkpoints/last.ckpt", process)
        process.kill()
        process.communicate()
    process = start_fit(*words)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert weights_of(tmp_path / "run") == weights_of(finished)


@pytest.mark.slow
def test_ctrl_c_says_that_the_run_can_go_on(finished, start_fit, tmp_path):
    words = "recipe=vqvae", f"run_dir={tmp_path / 'run'}", f"data.path={finished / 'shards'}"
    process = start_fit(*words, "max_steps=1000")
    wait_for(tmp_path / "run/vqvae/checkpoints/last.ckpt", process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"stopped by Ctrl-C at step \d+ of vqvae, saved; the same command goes on from here\n\Z", stderr)
    assert "Traceback" not in stderr


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
