import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.stage_folder import StageFolder, StageResult


def test_a_result_is_read_as_written(tmp_path):
    folder = StageFolder(tmp_path, "vqvae")
    assert folder.result() is None
    folder.finish(StageResult("abc", {"loss": 1.5}, 10))
    assert folder.result() == StageResult("abc", {"loss": 1.5}, 10)


def test_other_settings_are_refused_with_what_differs(tmp_path):
    folder = StageFolder(tmp_path, "vqvae")
    folder.require_same({"model": {"width": 32, "downs": [3, 2]}, "lr": 1e-3})
    folder.require_same({"model": {"width": 32, "downs": (3, 2)}, "lr": 1e-3})
    with pytest.raises(UserError, match=r"model.width: 32 -> 64.*another run_dir, or delete .*vqvae"):
        folder.require_same({"model": {"width": 64, "downs": [3, 2]}, "lr": 1e-3})


def test_a_missing_stage_names_the_recipe_that_makes_it(tmp_path):
    with pytest.raises(UserError, match=r"stage top_prior needs codes.*run recipe=codes run_dir="):
        StageFolder(tmp_path, "codes").require_result("top_prior")
