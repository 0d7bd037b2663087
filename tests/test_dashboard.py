"""A run as Weights & Biases has it, offline and read back: one run, a section a stage, one curve over a stop."""

import json
import shutil
from pathlib import Path

import pytest
import wandb_file

from jukebox_pl import fit as fit_command


@pytest.fixture(scope="module")
def run_dir(demo_shards, minuscule, tmp_path_factory):
    """Two steps, then two more, which are lost: it goes on from the checkpoint of the second to the sixth."""
    run_dir, stage = tmp_path_factory.mktemp("dashboard") / "run", "vqvae"
    settings = [word for word in minuscule if word != "logger=csv"]
    words = [*settings, "recipe=vqvae", f"data.path={demo_shards}", f"run_dir={run_dir}", "logger.mode=offline"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        fit_command.cli_main([*words, "max_steps=2"])
        saved = shutil.copytree(run_dir / stage, run_dir.parent / "saved")
        fit_command.cli_main([*words, "max_steps=4"])
        for name in ("checkpoints", "result.json"):
            shutil.rmtree(run_dir / stage / name, ignore_errors=True)
        (run_dir / stage / "result.json").unlink(missing_ok=True)
        shutil.copytree(saved / "checkpoints", run_dir / stage / "checkpoints")
        fit_command.cli_main([*words, "max_steps=6"])
    return run_dir


@pytest.fixture(scope="module")
def rows(run_dir):
    return wandb_file.rows(run_dir)


def test_all_that_was_begun_is_one_run_with_its_settings_and_state_of_the_code(run_dir):
    runs = wandb_file.of_kind(run_dir, "run")
    assert len(runs) >= 3
    assert {run.run_id for run in runs} == {json.loads((run_dir / "wandb.json").read_text())["id"]}
    config = {item.key: json.loads(item.value_json) for item in runs[0].config.update}
    assert config["size"]["vqvae"]["model"]["bins"] == 16
    assert {"recipe=vqvae", "size=tiny"} == set(runs[0].tags)
    assert (runs[0].job_type, runs[0].display_name) == ("fit", str(run_dir))
    assert len(runs[0].git.commit) in (0, 40)  # none outside a repository


def test_every_section_has_an_axis_and_it_never_turns_back(run_dir, rows):
    axes = {metric.glob_name: metric.step_metric for metric in wandb_file.of_kind(run_dir, "metric") if metric.glob_name}
    assert axes == {"s1_catalog/*": "s1_catalog/step", "s2_vqvae/*": "s2_vqvae/step"}
    assert [row["_step"] for row in rows] == list(range(len(rows)))
    steps = [row["s2_vqvae/step"] for row in rows if "s2_vqvae/step" in row]
    assert steps == sorted(steps)
    assert all(key.startswith(("_", "s1_catalog/", "s2_vqvae/")) for row in rows for key in row)


def test_a_stop_leaves_one_curve_without_a_step_twice(rows):
    assert [row["s2_vqvae/step"] for row in rows if "s2_vqvae/train/loss" in row] == list(range(6))
    assert [row["s2_vqvae/step"] for row in rows if "s2_vqvae/val/loss" in row] == [0, 2, 4, 6]


def test_the_original_lies_beside_each_level_with_captions(run_dir, rows):
    heard = [row for row in rows if "s2_vqvae/audio/reconstructions/captions" in row]
    assert [row["s2_vqvae/step"] for row in heard] == [2, 4, 6]
    captions = heard[-1]["s2_vqvae/audio/reconstructions/captions"]
    assert [caption.partition(":")[0] for caption in captions] == ["original", "level_0", "level_1", "level_2"]
    assert all(caption.endswith("step 6") and " - " in caption for caption in captions)
    names = {Path(path).name for path in run_dir.glob("wandb/offline-run-*/files/media/audio/**/*.wav")}
    assert len(names) == 3 * 4
    assert all("s2_vqvae/pictures/reconstructions/path" in row for row in heard)


def test_codebooks_are_histograms_and_a_number_of_dead_codes(rows):
    (row, *_) = [row for row in rows if "s2_vqvae/codebook/level_1/values" in row]
    assert sum(row["s2_vqvae/codebook/level_1/values"]) == 16
    assert 0 <= row["s2_vqvae/codebook/level_1_dead_codes"] <= 16


def test_tables_of_every_step_have_the_same_songs_and_columns(run_dir):
    found = [json.loads(path.read_text()) for path in run_dir.glob("wandb/offline-run-*/files/media/table/**/*.table.json")]
    assert len(found) == 3
    assert {tuple(table["columns"]) for table in found} == {
        ("step", "name", "song", "artist", "genres", "lyrics", "level", "seed", "audio")
    }
    assert len({tuple(tuple(row[1:-1]) for row in table["data"]) for table in found}) == 1
    assert sorted(table["data"][0][0] for table in found) == [2, 4, 6]


def test_what_a_model_was_made_from_can_be_followed(run_dir):
    artifacts = {artifact.name.partition("-")[0]: artifact for artifact in wandb_file.of_kind(run_dir, "artifact")}
    catalog, model = (json.loads(artifacts[name].metadata) for name in ("catalog", "vqvae"))
    assert model["made_from"] == {"catalog": catalog["fingerprint"]}
    assert artifacts["vqvae"].type == "model"
    references = {content.path: content.ref for content in artifacts["vqvae"].manifest.contents if content.ref}
    assert references["model.safetensors"] == (run_dir / "vqvae/model/model.safetensors").absolute().as_uri()
