"""What of a stage's settings may change when a run is continued: what is named, where it is named, and nothing else."""

from __future__ import annotations

from pathlib import Path

from jukebox_pl.pipeline.decisive import MAY_CHANGE, decisive


def test_what_may_change_is_a_place_not_a_name_at_any_depth():
    settings = {
        "max_steps": 10,
        "trainer": {"devices": 2, "precision": "bf16-mixed", "accumulate_grad_batches": 4},
        "data": {"path": "shards", "workers": 4, "batch_size": 8},
        "model": {"max_steps": 3, "trainer": "kept", "workers": 1},
    }
    assert decisive(settings, Path("run")) == {
        "trainer": {"precision": "bf16-mixed", "accumulate_grad_batches": 4},
        "data": {"batch_size": 8},
        "model": {"max_steps": 3, "trainer": "kept", "workers": 1},
    }


def test_nothing_of_the_arithmetic_may_change():
    assert not {
        name for name in MAY_CHANGE if name.rpartition(".")[2] in ("precision", "accumulate_grad_batches", "plugins")
    }


def test_paths_into_a_run_are_noted_from_there():
    settings = {"vqvae": "runs/a/vqvae/model", "others": ["runs/a/x", {"y": "runs/a/z"}], "n": 1}
    assert decisive(settings, Path("runs/a")) == {"vqvae": "vqvae/model", "others": ["x", {"y": "z"}], "n": 1}


def test_keys_are_noted_as_json_has_them():
    assert decisive({"priors": {2: ["top_prior"]}}, Path("run")) == {"priors": {"2": ["top_prior"]}}
