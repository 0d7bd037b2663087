"""What `recipe=aligner` leaves behind aligns songs."""

import json
import pickle

import numpy as np
import pytest

from jukebox_pl import audio
from jukebox_pl.catalog.aligners.linear import LinearAligner
from jukebox_pl.catalog.aligners.trained import TrainedAligner
from jukebox_pl.catalog.shards import SPLITS, Catalog, read_shard
from jukebox_pl.errors import UserError


@pytest.fixture(scope="module")
def run_dir(demo_shards, fit, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("aligner") / "run"
    small = ("stages.aligner.model.width=32", "stages.aligner.data.seconds=2", "stages.aligner.every_steps=40")
    fit("recipe=aligner", "data=shards", f"data.path={demo_shards}", f"run_dir={run_dir}", "max_steps=50", *small)
    return run_dir


@pytest.fixture(scope="module")
def songs(demo_shards):
    """Every song of the catalog with its sound."""
    catalog = Catalog.load(demo_shards)
    samples = [sample for split in SPLITS for shard in catalog.shards(split) for sample in read_shard(shard)]
    return [(sample.song, audio.read(sample.audio)[0]) for sample in samples]


def onset_error(words, song):
    return np.abs([word.start - true.start for word, true in zip(words, song.words, strict=True)]).mean()


def test_words_are_found_better_than_by_spreading_them(run_dir, songs):
    trained = TrainedAligner(str(run_dir / "aligner/model"))
    found, spread = (
        np.mean([onset_error(aligner(sound, song.sample_rate, song.lyrics), song) for song, sound in songs])
        for aligner in (trained, LinearAligner())
    )
    assert found < 0.5 * spread


def test_sound_may_come_at_any_rate_and_in_stereo(run_dir, songs):
    song, sound = songs[0]
    aligner = TrainedAligner(str(run_dir / "aligner/model"))
    stereo = audio.resample(np.concatenate([1.5 * sound, 0.5 * sound]), song.sample_rate, 16_000)
    plain, moved = (aligner(*heard, song.lyrics) for heard in ((sound, song.sample_rate), (stereo, 16_000)))
    assert np.median([abs(one.start - two.start) for one, two in zip(plain, moved, strict=True)]) < 0.05


def test_it_travels_to_another_process_before_it_loads(run_dir, songs):
    song, sound = songs[0]
    aligner = TrainedAligner(str(run_dir / "aligner/model"))
    copy = pickle.loads(pickle.dumps(aligner))
    assert "model" not in vars(copy)
    assert copy(sound, song.sample_rate, song.lyrics) == aligner(sound, song.sample_rate, song.lyrics)


def test_letters_that_were_not_in_the_catalog_are_passed_over(run_dir, songs):
    song, sound = songs[0]
    words = TrainedAligner(str(run_dir / "aligner/model"))(sound, song.sample_rate, "LÁ-na! 日本 mî")
    assert [word.text for word in words] == ["LÁ-na!", "日本", "mî"]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, "nothing"),
        ({"config.json": "{"}, "nothing"),
        ({"config.json": "[]"}, "nothing"),
        (
            {"config.json": json.dumps({"model": {"_target_": "jukebox_pl.models.vqvae.VQVAE"}})},
            "jukebox_pl.models.vqvae.VQVAE",
        ),
    ],
)
def test_a_folder_that_is_none_is_refused_at_once(tmp_path, files, found):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"holds {found}, expected RUN/aligner/model of a run of recipe=aligner"):
        TrainedAligner(str(tmp_path))


def test_missing_weights_are_told(tmp_path, run_dir):
    config = (run_dir / "aligner/model/config.json").read_text()
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match="does not hold the weights"):
        TrainedAligner(str(tmp_path))(np.zeros((1, 8000)), 8000, "la")
