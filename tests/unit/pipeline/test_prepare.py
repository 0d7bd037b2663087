"""Shards to train on may lie at a URL, and songs that the demo has made need no processes of their own."""

from __future__ import annotations

import pytest
from unit.catalog.flaky_server import serving

from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.prepare import CatalogStage


def test_shards_at_a_url_are_the_shards_in_the_folder(demo_shards, tmp_path):
    here = CatalogStage(str(demo_shards)).run(tmp_path)
    with serving(demo_shards) as server:
        there = CatalogStage(server.url)
        assert there.run(tmp_path) == here
        assert there.complete(here)


def test_other_shards_than_the_run_began_with_are_refused(demo_shards, code_shards, tmp_path):
    began = CatalogStage(str(demo_shards)).run(tmp_path)
    with pytest.raises(UserError, match="holds other songs than this run began with"):
        CatalogStage(str(code_shards)).complete(began)


def test_few_songs_are_warned_of(demo_shards, tmp_path, capsys):
    CatalogStage(str(demo_shards)).run(tmp_path)
    assert capsys.readouterr().err == "6 songs: models learn so few by heart, and copy more than they make up\n"


def test_the_doctor_reports_on_songs_that_are_prepared_here(tmp_path):
    source = {"_target_": "datamodules.demo.write_demo_catalog", "folder": tmp_path / "songs", "songs": 2, "seconds": 3.0}
    stage = CatalogStage(str(tmp_path / "shards"), source=source, sample_rate=11025)
    assert stage.settings["workers"] == 0
    assert stage.run(tmp_path).summary["songs"] == 2
    assert (tmp_path / "shards/doctor.html").is_file()
