"""`python -m jukebox_pl.fit` where something is wrong: one line that says what and the way out, which leads out."""

from __future__ import annotations

import dataclasses
import re
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from test_fit import DEMO, losses, mistake, without

from jukebox_pl.catalog.shards import Catalog

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


@pytest.mark.parametrize(("words", "message"), WRONG_WORDS.values(), ids=WRONG_WORDS)
def test_a_mistake_is_one_line_and_exit_code_2(fit, tmp_path, capsys, words, message):
    line = mistake(fit, capsys, "recipe=vqvae", "data=shards", f"run_dir={tmp_path}", *words)
    assert line.startswith("error: ")
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("trainer.accelerator=meta", "error: trainer: .*'meta'.*--print shows the settings of trainer"),
        ("trainer.devices=-3", "error: trainer: "),
        ("trainer.precision=17", "error: trainer: Precision 17 is invalid"),
        ("+trainer.bogus=1", "error: trainer: .*bogus"),
        ("+stages.codes.device=meta", "error: device=meta cannot be used"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line_and_mended_by_leaving_it_out(finished, fit, tmp_path, capsys, wrong, message):
    run_dir = without(finished, tmp_path / "run", "vqvae", "codes")
    words = "recipe=codes", f"run_dir={run_dir}", *DEMO, "max_steps=1"
    assert re.match(message, mistake(fit, capsys, *words, wrong))
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


@pytest.mark.parametrize(("spoil", "words", "message"), WRONG_RUNS.values(), ids=WRONG_RUNS)
def test_a_run_that_cannot_go_on_says_why_and_the_way_out(finished, fit, tmp_path, capsys, spoil, words, message):
    run_dir = without(finished, tmp_path / "run")
    spoil(run_dir)
    line = mistake(fit, capsys, "recipe=top_prior", f"run_dir={run_dir}", "max_steps=4", *DEMO, *words)
    assert re.search(message, line), line


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
@pytest.mark.parametrize(("spoil", "message"), WRONG_SHARDS.values(), ids=WRONG_SHARDS)
def test_a_broken_shard_is_named(demo_shards, fit, tmp_path, capsys, spoil, message, workers):
    shards = Path(shutil.copytree(demo_shards, tmp_path / "shards"))
    shard = shards / Catalog.load(shards).shards("train")[0].relative_to(shards)
    spoil(shard)
    run = f"run_dir={tmp_path / 'run'}", f"data.path={shards}", f"data.workers={workers}"
    line = mistake(fit, capsys, "recipe=vqvae", *run)
    assert line.startswith(f"error: {shard} is broken")
    assert message in line
    assert line.endswith(f"delete {shards} and make it again")
