"""`python -m jukebox_pl.evaluate` as a user types it."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import small_run
import torch

from jukebox_pl import audio, checkpoints
from jukebox_pl.catalog.shards import Catalog, ShardSample, write_shard
from jukebox_pl.cli import command
from jukebox_pl.errors import UserError
from jukebox_pl.evaluate import SampleBeginnings, held_out_songs, main
from jukebox_pl.evaluation.prior import PriorQuestion
from jukebox_pl.evaluation.suite import Evidence, evaluate
from jukebox_pl.types import SamplingParams, Song
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
        assert found["codec"]["levels"][level]["silence"]["value"] == pytest.approx(0.0, abs=1e-3)
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


def write_catalog(folder, samples, held_out=0, lyrics="", rate=small_run.RATE):
    """Songs of noise with `samples` each, the last `held_out` of them held out; a shard a split."""
    splits, rng = {}, np.random.default_rng(0)
    for split, lengths in (("train", samples[: len(samples) - held_out]), ("held_out", samples[len(samples) - held_out :])):
        songs = [Song(f"{split}_{i}", length, rate, artist="Ben", lyrics=lyrics) for i, length in enumerate(lengths)]
        sounds = (audio.encode(rng.uniform(-0.5, 0.5, (1, song.duration)).astype(np.float32), rate) for song in songs)
        write_shard(folder / split / "000000.tar", map(ShardSample, songs, sounds))
        entries = [
            {
                "id": song.id,
                "path": f"{song.id}.flac",
                "samples": song.duration,
                "title": "",
                "artist": "Ben",
                "genres": [],
                "lyrics": len(lyrics),
                "words": 0,
                "warnings": [],
            }
            for song in songs
        ]
        splits[split] = {"songs": entries, "shards": [{"file": f"{split}/000000.tar", "songs": len(songs)}]}
    Catalog(rate, 1, splits, ["Ben"], [], "abc \n", max(samples), folder=folder).save()
    return folder


@pytest.fixture
def ask_small(tmp_path):
    """The command on a run of tests/small_run.py, which reads no lyrics; returns what was written, and the page."""

    def ask(shards, *words, run=None):
        run = run or small_run.save_run(tmp_path / "run")
        command.run(main, "evaluate", [f"run_dir={run}", f"data.path={shards}", f"out={tmp_path / 'out'}", *words])
        return json.loads((tmp_path / "out/evaluation.json").read_text()), (tmp_path / "out/index.html").read_text()

    return ask


LONG, SHORT = 4000, 3  # samples


def test_songs_without_lyrics_and_a_bundle_that_reads_none(ask_small, tmp_path):
    found, _ = ask_small(write_catalog(tmp_path / "shards", [LONG] * 5, held_out=4), "what=prior")
    assert list(found["prior"]["levels"]["2"]["conditioning"]) == ["artist", "genre", "timing"]
    assert found["prior"]["levels"]["0"]["conditioning"]["upper"]["songs"] == 3
    assert found["protocol"] | {"songs": 4, "held_out": True, "skipped": 0, "windows": 48} == found["protocol"]


def test_a_bundle_of_one_level(ask_small, tmp_path):
    run, vqvae = tmp_path / "flat", small_run.VQVAE | {"downs": [2], "multipliers": [1]}
    small_run.save_random(run / "vqvae", vqvae, 0)
    small_run.save_random(run / "prior", small_run.prior(names=small_run.NAMES, place=small_run.TIMES), 1)
    checkpoints.save_bundle(run, small_run.RATE, "vqvae", {0: "prior"})
    found, _ = ask_small(write_catalog(tmp_path / "shards", [LONG] * 4, held_out=3), "what=prior", run=run)
    assert list(found["prior"]["levels"]) == ["0"]


def test_a_bundle_is_asked_like_a_run(tmp_path):
    run, shards = small_run.save_run(tmp_path / "run"), write_catalog(tmp_path / "shards", [LONG] * 2, held_out=1)
    command.run(main, "evaluate", [f"bundle={run}", f"data.path={shards}", "what=prior"])
    assert "prior" in json.loads((run / "evaluation/evaluation.json").read_text())


def test_one_song_that_is_not_held_out_is_called_a_training_song(ask_small, tmp_path, capsys):
    found, page = ask_small(write_catalog(tmp_path / "shards", [LONG]), "what=prior")
    shown = " ".join(capsys.readouterr().out.split())
    assert found["protocol"]["held_out"] is False
    assert "training songs (none is held out)" in shown
    assert "held-out" not in shown + page
    conditioning = found["prior"]["levels"]["2"]["conditioning"]
    assert {name: use["verdict"] for name, use in conditioning.items()} == dict.fromkeys(conditioning, "unknown")


def test_songs_of_three_samples_are_passed_over_and_counted(ask_small, tmp_path, capsys):
    found, _ = ask_small(write_catalog(tmp_path / "shards", [LONG, LONG, SHORT], held_out=2), "what=prior")
    assert found["prior"]["levels"]["2"]["bpd"]["songs"] == 1
    assert "passed over: 1 of 2 songs" in capsys.readouterr().out
    found, _ = ask_small(write_catalog(tmp_path / "short", [SHORT, SHORT], held_out=1), "what=prior")
    assert list(found["prior"]) == ["cannot_tell"]


def test_songs_are_sampled_side_by_side_under_their_own_labels_and_length(tmp_path):
    bundle = checkpoints.load_bundle(small_run.save_run(tmp_path / "run"))
    songs = [Song("1", 800, 80, artist="Ben", lyrics="ab"), Song("2", 400, 80, artist="Nobody", genres=("jazz", "polka"))]
    sample = SampleBeginnings(bundle, SamplingParams(), seconds=2.0, meter=Meter((seen := []).append, "songs"))
    one, other = sample(songs, seed=3)
    assert [(now.task, now.total, now.unit) for now in seen if now.done == now.total] == [
        ("sampling, level 2", 10, "codes"),
        ("sampling, level 1", 20, "codes"),
        ("sampling, level 0", 40, "codes"),
    ]
    assert (one.request.artist, one.request.lyrics, one.request.total_seconds) == ("Ben", "ab", 10.0)
    assert (other.request.artist, other.request.genres, other.request.total_seconds) == ("", ("jazz",), 5.0)
    assert one.audio.shape == other.audio.shape == (1, 160)
    assert sample(songs, seed=3, seconds=60.0)[0].request.seconds == 5.0  # the shorter song has no more
    top = {2: torch.ones(2, 10, dtype=torch.long)}
    assert all(song.codes[2].tolist() == [1] * 10 for song in sample(songs, 3, codes=top, levels=[0, 1]))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("windows=0", "windows=0: expected a whole number of at least 1"),
        ("windows=-1", "windows=-1: expected a whole number of at least 1"),
        ("windows=many", "windows=many: expected a whole number"),
        ("samples=0.5", "samples=0.5: expected a whole number"),
        ("sample_seconds=0", "sample_seconds=0: expected a number"),
        ("what=singing", "what=singing: expected all, or some of codec, prior"),
        ("what=", "expected all, or some of"),
        ("data.path={slower}", "has 40 samples a second, the bundle 80; prepare the songs again with sample_rate=80"),
        ("out={file}", "is a file, expected a folder"),
    ],
)
def test_settings_that_cannot_be_meant_are_one_line(ask_small, tmp_path, capsys, word, message):
    (file := tmp_path / "file").touch()
    slower = write_catalog(tmp_path / "slower", [LONG], rate=40)
    with pytest.raises(SystemExit) as ended:
        ask_small(write_catalog(tmp_path / "shards", [LONG]), word.format(slower=slower, file=file))
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_every_prior_of_a_run_has_its_verdict_and_nothing_else_has(finished):
    stages = {path.parent.name for path in finished.glob("*/conditioning.json")}
    assert stages == {"top_prior", "lyrics_prior", "upsampler_1", "upsampler_0"}
    found = json.loads((finished / "lyrics_prior/conditioning.json").read_text())
    assert list(found["conditioning"]) == ["artist", "genre", "timing", "lyrics"]
    assert found["bpd"]["songs"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "run_dir is missing"), (["run_dir=nowhere", "data.path=nowhere"], "nowhere does not hold a finished run")],
)
def test_mistakes_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        command.run(main, "evaluate", words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
