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
from jukebox_pl.evaluation.prior import PriorQuestion
from jukebox_pl.evaluation.suite import Evidence, evaluate
from jukebox_pl.utils.progress import Meter


@pytest.fixture
def ask(finished, tmp_path):
    """`python -m jukebox_pl.evaluate` on the finished run; returns evaluation.json."""

    def ask(*words):
        run = [f"run_dir={finished}", f"data.path={finished}/shards", "windows=2", f"out={tmp_path}"]
        command.run(main, "evaluate", [*run, *words])
        return json.loads((tmp_path / "evaluation.json").read_text())

    return ask


def test_every_level_is_scored(ask, capsys):
    found = ask("what=codec;prior")
    assert list(found) == ["protocol", "codec", "prior"]
    assert [level["hop"] for level in found["protocol"]["levels"]] == [8, 32, 128]
    assert found["protocol"]["held_out"] is True
    for level in "012":
        assert found["codec"]["levels"][level]["silence"] == pytest.approx(0.0, abs=1e-3)
        assert 2.0 < found["prior"]["levels"][level]["bpd"]["value"] < 6.0  # 16 codes, hardly trained: about 4 bits
    printed = capsys.readouterr().out
    assert "bits per dim" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_what_is_asked_is_answered_and_nothing_else(ask, capsys):
    assert list(ask("what=codec")) == ["protocol", "codec"]
    with pytest.raises(SystemExit, match="2"):
        ask("what=singing")
    assert "what=singing: expected all, or some of codec, prior" in capsys.readouterr().err


def test_what_a_prior_cannot_foresee_costs_all_its_bits(finished):
    bundle, catalog = checkpoints.load_bundle(finished), Catalog.load(finished / "shards")
    for prior in bundle.priors.values():
        for parameter in (prior.embed.weight, *([prior.out.weight] if prior.out else [])):
            torch.nn.init.zeros_(parameter)
    songs = held_out_songs(catalog, bundle, 2)
    found = evaluate(Evidence(bundle, songs, songs, None), {"prior": PriorQuestion(2)}, Meter(lambda status: None))
    levels = found.answers["prior"].figures["levels"]
    assert [levels[level]["bpd"]["value"] for level in "012"] == pytest.approx([4.0] * 3)


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
