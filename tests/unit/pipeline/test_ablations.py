"""Variants of the codec, from several seeds, and the tables of them."""

import json

import pytest

from jukebox_pl.pipeline.ablations import AblationsStage, figures_of


@pytest.mark.slow
def test_ablations_end_in_tables_and_go_on_with_more_seeds(demo_shards, fit, tmp_path, capsys):
    words = "recipe=ablations", f"data.path={demo_shards}", f"run_dir={tmp_path / 'run'}", "max_steps=2"
    words = *words, "size.vqvae.model.bins=16", "stages.full.held_out_clip=8192"
    fit(*words, "seeds=1")
    one = figures_of(tmp_path / "run/full")
    fit(*words, "seeds=2")
    assert "catalog: done before, skipped" in (told := capsys.readouterr().err)
    for title in ("Table 1, levels", "Table 2, codes at the bottom", "Table 3, the top"):
        assert title in told
    record = json.loads((tmp_path / "run/ablations.json").read_bytes())
    assert record["variants"].keys() == {"full", "no_restarts", "unquantized", "bins_256", "no_spectral", "joint"}
    assert all(len(levels) == 3 for seeds in record["variants"].values() for levels in seeds.values())
    two = figures_of(tmp_path / "run/full")
    assert two.keys() == {"seed_0", "seed_1"}
    assert two["seed_0"] == one["seed_0"] != two["seed_1"]


def test_a_variant_that_was_not_trained_is_named(tmp_path):
    stage = AblationsStage({"Table": [{"variant": "full", "level": 0, "paper": -1.0}]})
    with pytest.raises(Exception, match="full has no trained seed; run recipe=ablations"):
        stage.run(tmp_path / "ablations")
