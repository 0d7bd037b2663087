"""`python -m jukebox_pl.fit` as a user types it: whole runs, runs that were stopped, runs that cannot be."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
import signal
import tarfile
import time
from io import BytesIO
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
    told = capsys.readouterr().err
    assert time.monotonic() - started < 5
    assert told.count("done before, skipped") == 8
    assert f"to see and hear: {finished}/song/index.html" in told
    assert f"to sing: python -m jukebox_pl.sample run_dir={finished} 'artist=Ada Bell' genre=" in told
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
    told = capsys.readouterr().err
    assert "skipped bad.mp3: damaged" in told
    assert "doctor's report on 4 songs" in told
    assert "11025 Hz" in told
    for path in late:
        path.rename(songs / "Artist 1" / path.name)
    shards = files(tmp_path / "run", "*.tar")
    monkeypatch.chdir(songs.parent)
    fit(*words, "data.songs=songs/")  # the same folder, spelt otherwise
    told = capsys.readouterr().err
    assert "has changed since" in told
    assert "new songs: 2 (" in told
    assert "data.grow=true takes it in" in told
    assert files(tmp_path / "run", "*.tar") == shards
    decoded = []
    monkeypatch.setattr(encode.Encoder, "encode_song", count(encode.Encoder.encode_song, decoded))
    fit(*words, "data.grow=true")
    told = capsys.readouterr().err
    assert "doctor's report on 2 songs" in told
    assert "top_prior: done before, skipped, without the songs that are new; stages.top_prior.max_steps above 2" in told
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
    told = capsys.readouterr().err
    assert "the songs are not looked at again" in told
    assert told.count("done before, skipped") == 6
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
    told = capsys.readouterr().err
    assert f"{songs} song{'s' * (songs > 1)}: " in told
    assert "models learn so few by heart, and copy more than they make up" in told
    assert ("none is held out" in told) == (not Catalog.load(tmp_path / "shards").songs("held_out"))
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
    _, told = process.communicate()
    assert process.returncode == 0, told
    assert weights_of(tmp_path / "run") == weights_of(finished)


@pytest.mark.slow
def test_ctrl_c_says_that_the_run_can_go_on(finished, start_fit, tmp_path):
    words = "recipe=vqvae", f"run_dir={tmp_path / 'run'}", f"data.path={finished / 'shards'}"
    process = start_fit(*words, "max_steps=1000")
    wait_for(tmp_path / "run/vqvae/checkpoints/last.ckpt", process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"stopped by Ctrl-C at step \d+ of vqvae, saved; the same command goes on from here\n\Z", told)
    assert "Traceback" not in told


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def mistake(fit, capsys, *words) -> str:
    """What is told of a mistake: one line at the end, exit code 2, no traceback."""
    with pytest.raises(SystemExit) as stopped:
        fit(*words)
    told = capsys.readouterr().err
    assert stopped.value.code == 2
    assert told.count("error: ") == 1
    assert "Traceback" not in told
    return told.splitlines()[-1]


WRONG_WORDS = {
    "a recipe nobody knows": (["recipe=hierarchyy"], "Could not find 'recipe/hierarchyy'.* mean .*hierarchy"),
    "a misspelt group": (["sizee.vqvae.clip=1"], "sizee.vqvae.clip.*did you mean size.vqvae.clip"),
    "a misspelt setting": (["size.vqvae.clipp=1"], "size.vqvae.clipp.*did you mean size.vqvae.clip"),
    "a word alone": (["demo"], "'demo' is no name=value: quote a value that has blanks"),
    "a word for a number": (["size.vqvae.clip=long"], "size.vqvae.clip=long: expected a whole number, such as"),
    "a fraction of a step": (["data.path=x", "max_steps=1.5"], "max_steps=1.5: expected a whole number above zero"),
    "no steps": (["data.path=x", "max_steps=0"], "max_steps=0: expected a whole number above zero"),
    "no shards": (["data=shards"], "data=demo, data=folder data.songs=SONGS or data=shards data.path=SHARDS"),
    "no songs": (["data=folder"], "data=demo, data=folder data.songs=SONGS or data=shards data.path=SHARDS"),
    "no catalog": (["data.path=nowhere"], "nowhere is not a finished catalog: make it with `python -m jukebox_pl.prep"),
    "no folder to write in": (
        ["data.path=x", "run_dir=/dev/null/run"],
        "run_dir=/dev/null/run cannot be written",
    ),
    "a folder that nobody can make": (["data.path=x", "run_dir=/proc/x/y"], "run_dir=/proc/x/y cannot be written"),
    "a name that is too long": (["data.path=x", f"run_dir={'x' * 300}"], "run_dir=xxx.*File name too long.*another folder"),
}


@pytest.mark.parametrize(("words", "told"), WRONG_WORDS.values(), ids=WRONG_WORDS)
def test_a_mistake_is_one_line_and_exit_code_2(fit, tmp_path, capsys, words, told):
    line = mistake(fit, capsys, "recipe=vqvae", "data=shards", f"run_dir={tmp_path}", *words)
    assert line.startswith("error: ")
    assert re.search(told, line), line


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("trainer.accelerator=meta", "error: trainer: .*'meta'.*--print shows the settings of trainer"),
        ("trainer.devices=-3", "error: trainer: "),
        ("trainer.precision=17", "error: trainer: Precision 17 is invalid"),
        ("+trainer.bogus=1", "error: trainer: .*bogus"),
        ("+stages.codes.device=meta", "error: device=meta cannot be used"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line_and_mended_by_leaving_it_out(finished, fit, tmp_path, capsys, wrong, told):
    run_dir = without(finished, tmp_path / "run", "vqvae", "codes")
    words = "recipe=codes", f"run_dir={run_dir}", *DEMO, "max_steps=1"
    assert re.match(told, mistake(fit, capsys, *words, wrong))
    fit(*words)


def rewrite(file: str, text: str):
    return lambda run_dir: (run_dir / file).write_text(text)


def cut_in_half(file: str):
    return lambda run_dir: (run_dir / file).write_bytes((data := (run_dir / file).read_bytes())[: len(data) // 2])


def remove(*stages: str):
    return lambda run_dir: [shutil.rmtree(run_dir / stage) for stage in stages]


def nothing(run_dir: Path) -> None:
    pass


CHECKPOINT = "top_prior/checkpoints/last.ckpt"
WRONG_RUNS = {
    "another width": (
        nothing,
        ["size.top_prior.transformer.width=32"],
        "top_prior was made with other settings: model.conditioners.labels.width: 16 -> 32.*another run_dir, or delete",
    ),
    "another precision": (
        nothing,
        ["trainer.precision=bf16-mixed"],
        "was made with other settings: trainer.precision: 32-true -> bf16-mixed",
    ),
    "other batches": (
        nothing,
        ["+trainer.accumulate_grad_batches=2"],
        "was made with other settings: trainer.accumulate_grad_batches: None -> 2",
    ),
    "other songs": (
        lambda run_dir: shutil.rmtree(run_dir / "shards"),
        ["data.source.songs=5"],
        "catalog was made with other settings: source.songs: 6 -> 5",
    ),
    "another codec": (
        nothing,
        ["max_steps=5"],
        "codes was made from another vqvae than there is now. Choose another run_dir, or delete .*/codes",
    ),
    "a stage left out": (
        remove("codes", "top_prior"),
        ["~stages.codes"],
        "stage top_prior needs codes, and .*/codes is not complete: leave stage codes in, or run a recipe that has it",
    ),
    "a result that is no JSON": (rewrite("top_prior/result.json", "{"), [], "top_prior/result.json is corrupt.*delete it"),
    "a result of something else": (
        rewrite("top_prior/result.json", '{"a": 1}'),
        [],
        "top_prior/result.json is corrupt.*delete",
    ),
    "settings that are no JSON": (rewrite("codes/config.json", ""), [], "codes/config.json is corrupt.*delete it"),
    "half a checkpoint": (
        lambda run_dir: (
            cut_in_half(CHECKPOINT)(run_dir),
            (run_dir / CHECKPOINT).with_name("previous.ckpt").unlink(),
            (run_dir / "top_prior/result.json").unlink(),
        ),
        [],
        f"{CHECKPOINT} is cut short.*delete it, and stage top_prior is trained from step 0",
    ),
    "half a model": (
        lambda run_dir: (cut_in_half("vqvae/model/model.safetensors")(run_dir), remove("codes")(run_dir)),
        [],
        "vqvae/model/model.safetensors does not hold the weights",
    ),
    "windows longer than all songs": (
        remove("top_prior"),
        ["size.top_prior.transformer.ctx=4096"],
        "shorter than one window: the longest, .*flac, has 344 of the 4096 units that are needed",
    ),
}


@pytest.mark.parametrize(("spoil", "words", "told"), WRONG_RUNS.values(), ids=WRONG_RUNS)
def test_a_run_that_cannot_go_on_says_why_and_the_way_out(finished, fit, tmp_path, capsys, spoil, words, told):
    run_dir = without(finished, tmp_path / "run")
    spoil(run_dir)
    line = mistake(fit, capsys, "recipe=top_prior", f"run_dir={run_dir}", "max_steps=4", *DEMO, *words)
    assert re.search(told, line), line


def delete_what_is_named(line: str) -> None:
    """Follows `delete PATH [and PATH]` of a message, or `PATH is corrupt; delete it`."""
    named = re.search(r"[Dd]elete (/\S+(?: and /\S+)*)", line) or re.search(r"(/\S+) is (?:corrupt|cut short)", line)
    for path in (Path(path.rstrip(",:")) for path in named[1].split(" and ")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


FOLLOWED = {
    "another width": (nothing, ["size.top_prior.transformer.width=32"]),
    "another codec": (nothing, ["max_steps=5"]),
    "a result that is no JSON": WRONG_RUNS["a result that is no JSON"][:2],
    "half a checkpoint": WRONG_RUNS["half a checkpoint"][:2],
    "other songs": (nothing, ["data.source.songs=5", "data.source.seed=1"]),
    "a broken shard": (lambda run_dir: cut_in_half("shards/catalog.json")(run_dir), []),
}


@pytest.mark.parametrize(("spoil", "words"), FOLLOWED.values(), ids=FOLLOWED)
def test_the_way_out_of_a_mistake_leads_out(finished, fit, tmp_path, capsys, spoil, words):
    """Each message that is met on the way names what to delete; in the end the run is complete."""
    run_dir = without(finished, tmp_path / "run")
    spoil(run_dir)
    words = ["recipe=top_prior", f"run_dir={run_dir}", "max_steps=4", *DEMO, *words]
    lines = [mistake(fit, capsys, *words)]
    for _ in range(5):
        delete_what_is_named(lines[-1])
        try:
            fit(*words)
        except SystemExit:
            lines.append(capsys.readouterr().err.splitlines()[-1])
            assert lines[-1] not in lines[:-1], lines
        else:
            break
    assert (run_dir / "top_prior/result.json").exists(), lines


def test_a_lower_rate_of_learning_is_the_way_out_that_is_named(finished, fit, tmp_path, capsys):
    run_dir = without(finished, tmp_path / "run")
    words = "recipe=top_prior", f"run_dir={run_dir}", *DEMO, "max_steps=4", "stages.top_prior.max_steps=6"
    line = mistake(fit, capsys, *words, "size.top_prior.optim.lr=1e38")
    named = re.search(r"such as (size\S+):", line)[1]
    assert named == "size.top_prior.optim.lr=5e+37"
    fit(*words, "size.top_prior.optim.lr=1e-4")
    assert list(losses(run_dir / "top_prior")) == list(range(6))


def test_an_aligner_of_phonemes_is_refused(demo_shards, fit, tmp_path, capsys):
    shards = Path(shutil.copytree(demo_shards, tmp_path / "shards"))
    spelt = dataclasses.replace(Catalog.load(shards), characters={"characters": "ab", "language": "fr"})
    spelt.save()
    line = mistake(fit, capsys, "recipe=aligner", "data=shards", f"data.path={shards}", f"run_dir={tmp_path / 'run'}")
    assert re.fullmatch("error: .*shards spells its lyrics in phonemes, an aligner hears letters: prepare .*=null", line)


def add_member(shard: Path, name: str) -> None:
    with tarfile.open(shard, "a") as tar:
        tar.addfile(tarfile.TarInfo(name), BytesIO())


WRONG_SHARDS = {
    "cut short": (lambda shard: shard.write_bytes(shard.read_bytes()[:-2000]), "truncated"),
    "with a pickle": (lambda shard: add_member(shard, "song.pyd"), "only json, flac, codes.npz may be in a shard"),
    "with a stranger": (lambda shard: add_member(shard, "song.exe"), "only json, flac, codes.npz may be in a shard"),
}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("spoil", "told"), WRONG_SHARDS.values(), ids=WRONG_SHARDS)
def test_a_broken_shard_is_named(demo_shards, fit, tmp_path, capsys, spoil, told, workers):
    shards = Path(shutil.copytree(demo_shards, tmp_path / "shards"))
    shard = shards / Catalog.load(shards).shards("train")[0].relative_to(shards)
    spoil(shard)
    run = f"run_dir={tmp_path / 'run'}", f"data.path={shards}", f"data.workers={workers}"
    line = mistake(fit, capsys, "recipe=vqvae", *run)
    assert line.startswith(f"error: {shard} is broken")
    assert told in line
    assert line.endswith(f"delete {shards} and make it again")
