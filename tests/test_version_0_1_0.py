"""What version 0.1.0 left on disk is gone on with: its shards, its runs, its checkpoints, its songs."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from exact import arithmetic, code_digest, codes, digest, losses
from safetensors.numpy import load_file

from jukebox_pl import Sampler, SamplingParams, SongRequest, load_bundle

pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules after import")  # a command may have run before

LEFT = Path(__file__).parent / "fixtures/version_0_1_0"
EXPECTED = json.loads((LEFT / "expected.json").read_text(encoding="utf-8"))
COMMANDS: dict[str, list[str]] = EXPECTED["commands"]
SONGS: dict[str, dict[str, Any]] = EXPECTED["songs"]
STAGE = "lyrics_prior"
OTHERS = "vqvae", "codes", "top_prior", "upsampler_1", "upsampler_0"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: run, session and shards, as the commands that made them left them."""
    for name in ("run", "session", "shards"):
        shutil.copytree(LEFT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`python -m jukebox_pl.NAME WORDS`, in this process."""

    def run(name: str, *words: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_module(f"jukebox_pl.{name}", run_name="__main__")

    return run


def numbers(found: dict[str, dict[str, str]]) -> dict[str, float]:
    return {f"{split} {step}": float(loss) for split, steps in found.items() for step, loss in steps.items()}


def require_same_training(stage: Path, expected: dict[str, Any]) -> None:
    """To the last bit, where this machine rounds as the one did that the files come from."""
    logged = {split: expected[split] for split in ("train", "val")}
    found = losses(stage / "metrics.csv")
    assert numbers(found) == pytest.approx(numbers(logged), rel=1e-3)
    if arithmetic() == EXPECTED["arithmetic"]:
        assert found == logged
        assert digest(load_file(stage / "model/model.safetensors")) == expected["model"]


def require_same_song(name: str) -> None:
    assert codes(Path(SONGS[name]["place"], "codes.npz")) == SONGS[name]["codes"]


def kept(folder: Path, stages: Iterable[str]) -> dict[str, int]:
    """When the models, codes and logs of finished stages were written."""
    files = [file for stage in stages for file in (folder / stage).rglob("*.*")]
    return {str(file): file.stat().st_mtime_ns for file in files if file.suffix in (".safetensors", ".tar", ".csv")}


def test_a_stopped_stage_goes_on_and_finished_ones_are_skipped(command, folder):
    shutil.rmtree(folder / "run" / STAGE)
    shutil.copytree(LEFT / "stopped" / STAGE, folder / "run" / STAGE)
    before = kept(folder / "run", OTHERS)
    command("fit", *COMMANDS["fit"])
    require_same_training(folder / "run" / STAGE, EXPECTED[STAGE])
    assert numbers_in(LEFT / "stopped" / STAGE / "metrics.csv") <= numbers_in(folder / "run" / STAGE / "metrics.csv")
    assert kept(folder / "run", OTHERS) == before


def numbers_in(log: Path) -> set[str]:
    """Speeds among them, which would be others if the stage had begun anew."""
    return set(re.findall(r"\d+\.\d+", log.read_text(encoding="utf-8")))


def test_a_finished_run_is_as_complete_as_it_was(command, folder):
    before = kept(folder / "run", [*OTHERS, STAGE])
    command("fit", *COMMANDS["fit"])
    assert kept(folder / "run", [*OTHERS, STAGE]) == before
    assert len(before) == 5 * 2 + 2  # models and logs, and the shards of codes


def test_another_run_trains_on_the_shards(command, folder):
    command("fit", *COMMANDS["fit"], "recipe=vqvae", "run_dir=another", "max_steps=1")
    first, was = (losses(folder / run / "vqvae/metrics.csv")["train"]["0"] for run in ("another", "run"))
    assert float(first) == pytest.approx(float(was), rel=1e-3)


def test_a_run_with_other_settings_is_still_refused(command, capsys):
    with pytest.raises(SystemExit, match="2"):
        command("fit", *COMMANDS["fit"], "size.lyrics_prior.encoder.width=16")
    assert "model.lyrics.transformer.width: 8 -> 16" in capsys.readouterr().err


def test_the_bundle_sings_the_same_codes(command):
    command("sample", *COMMANDS["sampled"])
    require_same_song("sampled")


def test_the_bundle_sings_the_same_codes_in_python(folder):
    bundle = load_bundle(folder / "run")
    sampler = Sampler(bundle.vqvae, bundle.priors, bundle.labellers, bundle.sample_rate)
    request = SongRequest(artist="Mira Hush", genres=("Waltz",), lyrics="la na mi", seconds=1)
    song = sampler.sample(request, SamplingParams(temperature=0.98, hop_fraction=0.5), seed=3)
    sung = {f"level_{level}": code_digest(found.numpy()) for level, found in song.codes.items()}
    assert sung == SONGS["sampled"]["codes"]


def test_a_stopped_song_is_finished(command, folder):
    begun = codes(folder / SONGS["stopped"]["place"] / "codes.npz")
    assert begun != SONGS["stopped"]["codes"]
    command("sample", *COMMANDS["stopped"])
    require_same_song("stopped")
    assert (folder / SONGS["stopped"]["place"] / "song.wav").stat().st_size > 1000


@pytest.mark.parametrize("name", ["finished", "child"])
def test_a_finished_song_is_found_by_its_command(command, folder, name):
    songs = sorted(folder.glob("session/*/"))
    command("sample", *COMMANDS[name])
    assert sorted(folder.glob("session/*/")) == songs
    require_same_song(name)


def test_a_finished_song_is_extended(command):
    command("sample", *COMMANDS["longer"])
    require_same_song("longer")


def test_the_songs_are_shown_as_a_tree(command, capsys):
    command("sample", "session=session", "mode=show")
    shown = capsys.readouterr()
    lines = {line.lstrip("├└│─ ").partition(":")[0]: line for line in shown.out.splitlines()}
    assert list(lines) == ["session", "seed_1", Path(SONGS["child"]["place"]).name, "seed_2"]
    assert lines[Path(SONGS["child"]["place"]).name].startswith("│   └── ")
    assert shown.err == ""


def test_the_bundle_has_the_same_scores(command, folder):
    command("evaluate", *COMMANDS["evaluate"], "what=codec;prior", "out=scores", "+questions.codec.seconds=3.0")
    found = json.loads((folder / "scores/evaluation.json").read_text(encoding="utf-8"))
    codec, prior = (found[name]["levels"] for name in ("codec", "prior"))
    assert len(codec) == len(prior) == len(EXPECTED["scores"])
    names = {"reconstruction": "spectral_convergence", "shuffled_codes": "shuffled_codes", "silence": "silence"}
    for expected in EXPECTED["scores"]:
        level = str(expected["level"])
        score = {"bpd": prior[level]["bpd"]["value"]} | {was: codec[level][name]["value"] for was, name in names.items()}
        assert score == pytest.approx({name: expected[name] for name in score}, rel=1e-5, abs=1e-5)
