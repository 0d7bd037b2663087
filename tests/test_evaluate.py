"""`python -m jukebox_pl.evaluate` as a user types it."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.cli import command
from jukebox_pl.errors import UserError
from jukebox_pl.evaluate import held_out_songs, main
from jukebox_pl.evaluation.prior import BitsPerDim
from jukebox_pl.evaluation.suite import evaluate
from jukebox_pl.utils.progress import Meter


def test_every_level_is_scored(finished, tmp_path, capsys):
    out = tmp_path / "evaluation.json"
    command.run(main, "evaluate", [f"run_dir={finished}", f"data.path={finished}/shards", "windows=2", f"out={out}"])
    scores = json.loads(out.read_text())
    assert [score["level"] for score in scores] == [0, 1, 2]
    names = ["level", "hop", "reconstruction", "shuffled_codes", "silence", "bpd", "conditioning"]
    assert all(list(score) == names for score in scores)
    assert all(score["silence"] == pytest.approx(0.0, abs=1e-3) for score in scores)
    assert all(2.0 < score["bpd"] < 6.0 for score in scores)  # 16 codes, hardly trained: about 4 bits
    assert "bits per dim" in capsys.readouterr().out


def test_what_is_asked_is_answered_and_nothing_else(finished, tmp_path, capsys):
    run = [f"run_dir={finished}", f"data.path={finished}/shards", "windows=2", f"out={tmp_path / 'evaluation.json'}"]
    command.run(main, "evaluate", [*run, "what=codec"])
    assert "bpd" not in json.loads((tmp_path / "evaluation.json").read_text())[0]
    command.run(main, "evaluate", [*run, "what=prior;conditioning"])
    assert list(json.loads((tmp_path / "evaluation.json").read_text())[2]) == ["level", "hop", "bpd", "conditioning"]
    assert "cannot be told: that takes two held-out songs" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit, match="2"):
        command.run(main, "evaluate", [*run, "what=singing"])
    assert "what=singing: expected all, or some of codec, prior, conditioning" in capsys.readouterr().err


def test_what_a_prior_cannot_foresee_costs_all_its_bits(finished):
    bundle, catalog = checkpoints.load_bundle(finished), Catalog.load(finished / "shards")
    for prior in bundle.priors.values():
        for parameter in (prior.embed.weight, *([prior.out.weight] if prior.out else [])):
            torch.nn.init.zeros_(parameter)
    scores = evaluate(bundle, held_out_songs(catalog, bundle, 2), [BitsPerDim(2)], Meter(lambda status: None))
    assert [score["bpd"] for score in scores] == pytest.approx([4.0] * 3)


@pytest.fixture
def bundle():
    priors = {level: SimpleNamespace(ctx=64) for level in range(3)}  # 64 codes of the top level are 8192 samples
    return SimpleNamespace(sample_rate=11025, vqvae=SimpleNamespace(hops=(8, 32, 128)), priors=priors)


def catalog_of(shards, lengths, split="train"):
    """The catalog in `shards` with songs of `lengths` samples in one split, two a shard."""
    catalog = Catalog.load(shards)
    songs = [{**catalog.songs("train")[0], "id": str(i), "samples": samples} for i, samples in enumerate(lengths)]
    files = [{"file": f"{split}/{i:06d}.tar", "songs": len(songs[2 * i : 2 * i + 2])} for i in range((len(songs) + 1) // 2)]
    splits = {"train": {"songs": [], "shards": []}, "held_out": {"songs": [], "shards": []}}
    return dataclasses.replace(catalog, splits=splits | {split: {"songs": songs, "shards": files}})


def test_no_more_songs_than_wanted_are_all_taken(demo_shards, bundle):
    songs = held_out_songs(catalog_of(demo_shards, [9000, 100, 9000]), bundle, 3)
    assert songs.ids == {"0", "1", "2"}
    assert [shard.name for shard in songs.shards] == ["000000.tar", "000001.tar"]


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_more_songs_than_wanted_are_chosen_all_over_the_catalog_and_read_alone(demo_shards, bundle, split):
    songs = held_out_songs(catalog_of(demo_shards, [9000] * 100, split), bundle, 4)
    assert (len(songs), songs.ids) == (4, {"0", "25", "50", "75"})
    assert [f"{shard.parent.name}/{shard.name}" for shard in songs.shards] == [
        f"{split}/{i:06d}.tar" for i in (0, 12, 25, 37)
    ]


def test_songs_that_fill_a_window_are_preferred(demo_shards, bundle):
    lengths = [100, 9000, 100, 100, 9000, 100, 8192, 8191]
    assert held_out_songs(catalog_of(demo_shards, lengths), bundle, 3).ids == {"1", "4", "6"}
    assert held_out_songs(catalog_of(demo_shards, lengths), bundle, 2).ids == {"1", "4"}
    assert held_out_songs(catalog_of(demo_shards, lengths), bundle, 4).ids == {"0", "1", "4", "6"}


def test_songs_come_whole_from_their_shards_and_as_often_as_wanted(demo_shards, bundle):
    catalog = Catalog.load(demo_shards)
    songs = held_out_songs(catalog, bundle, 5)
    for _ in range(2):
        (found,) = songs
        assert found.song.id == catalog.songs("held_out")[0]["id"]
        assert found.audio.shape == (1, 1, found.song.duration // 128 * 128)


def test_songs_at_another_rate_are_refused(demo_shards, bundle):
    bundle.sample_rate = 44100
    with pytest.raises(UserError, match="has 11025 samples a second, the bundle 44100; prepare the songs again"):
        held_out_songs(Catalog.load(demo_shards), bundle, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "run_dir is missing"), (["run_dir=nowhere", "data.path=nowhere"], "nowhere does not hold a finished run")],
)
def test_mistakes_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        command.run(main, "evaluate", words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
