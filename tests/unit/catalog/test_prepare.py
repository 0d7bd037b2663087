"""Prepared once is prepared the same: after kills, by any engine, beside songs that cannot be used."""

from __future__ import annotations

import errno
import importlib.util
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jukebox_pl import audio
from jukebox_pl.catalog import packing, steps
from jukebox_pl.catalog.engines import RayEngine
from jukebox_pl.catalog.prepare import Progress, examine_all, prepare
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import Catalog, read_shard
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song

ALIGNER = {"_target_": "jukebox_pl.catalog.aligners.linear.LinearAligner"}
SEPARATOR = {"_target_": "jukebox_pl.catalog.separators.hpss.HPSS"}


def make_songs(make_song, count: int = 7) -> None:
    """Those with an odd number have lyrics, every other of them the times of its words."""
    for number in range(count):
        song = make_song(f"Artist {number % 3}/{number}.flac", seconds=1.0 + 0.1 * number, rate=12_000)
        if number % 2:
            song.with_suffix(".txt").write_text(f"la là {number}\n")
        if number % 4 == 1:
            song.with_suffix(".words.csv").write_text("word_start,word_end\n0,0.1\n0.1,0.2\n0.2,0.3\n")


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def songs_of(catalog: Catalog) -> dict[str, Song]:
    return {
        sample.song.id: sample.song
        for split in catalog.splits
        for path in catalog.shards(split)
        for sample in read_shard(path)
    }


def test_the_catalog_describes_what_the_shards_hold(make_song, settings):
    make_songs(make_song)
    catalog = prepare(settings())
    assert Catalog.load(catalog.folder) == catalog
    for split in ("train", "held_out"):
        samples = [sample for path in catalog.shards(split) for sample in read_shard(path)]
        entries = catalog.songs(split)
        assert [sample.song.id for sample in samples] == [entry["id"] for entry in entries]
        for sample, entry in zip(samples, entries, strict=True):
            sound, rate = audio.read(sample.audio)
            assert sound.shape == (1, sample.song.duration) == (1, entry["samples"])
            assert rate == sample.song.sample_rate == catalog.sample_rate
            assert (len(sample.song.lyrics), len(sample.song.words)) == (entry["lyrics"], entry["words"])
    assert len(catalog.songs("train")) == 5
    assert len(catalog.songs("held_out")) == 2
    assert catalog.artists == ["Artist 0", "Artist 1", "Artist 2"]
    assert catalog.characters == "".join(sorted(" 135laà"))
    assert catalog.max_duration == round(1.6 * 8000)


def test_lyrics_spelt_as_they_sound_keep_their_writing_in_the_shards(make_song, settings, calls):
    make_songs(make_song, count=3)
    catalog = prepare(settings(phonemes="fr"))
    assert catalog.characters == {"characters": "".join(sorted(" 1laà")), "language": "fr"}
    assert Catalog.load(catalog.folder) == catalog
    assert {song.lyrics for song in songs_of(catalog).values()} == {"la là 1\n", ""}
    with pytest.raises(UserError, match="phonemes fr -> None"):
        prepare(settings())


def test_phonemes_that_cannot_be_had_are_told_before_songs_are_decoded(make_song, settings, calls):
    make_songs(make_song, count=1)
    with pytest.raises(UserError, match="phonemes=xx: espeak-ng refuses"):
        prepare(settings(phonemes="xx"))
    assert not settings().out.exists()


def test_a_song_in_a_shard_is_the_song_of_the_file(make_song, settings):
    path = make_song("a.flac", seconds=2.0)
    catalog = prepare(settings())
    (sample,) = read_shard(catalog.shards("train")[0])
    np.testing.assert_array_equal(audio.read(sample.audio)[0], audio.read(path)[0])


def test_any_number_of_workers_gives_the_same_bytes(make_song, settings):
    make_songs(make_song)
    alone = prepare(settings(out="alone", aligner=ALIGNER))
    together = prepare(settings(out="together", aligner=ALIGNER, workers=2))
    assert contents(alone.folder) == contents(together.folder)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
def test_a_ray_cluster_gives_the_same_bytes(make_song, settings):
    make_songs(make_song)
    (settings().catalog / "bad.mp3").write_text("no music")
    alone = prepare(settings(out="alone", aligner=ALIGNER))
    together = prepare(settings(out="together", aligner=ALIGNER), engine=RayEngine())
    assert len(together.skipped) == 1
    assert contents(alone.folder) == contents(together.folder)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
def test_the_songs_of_a_machine_that_is_lost_are_done_by_the_others(make_song, settings):
    import ray
    from ray.cluster_utils import Cluster

    make_songs(make_song, count=12)
    alone = prepare(settings(out="alone", aligner=ALIGNER))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    machines = [cluster.add_node(num_cpus=1)]

    def lose_one(at: Progress) -> None:
        if at.step == "decoded" and at.done == 3:
            cluster.remove_node(machines.pop(), allow_graceful=False)

    try:
        left = prepare(settings(out="left", aligner=ALIGNER), lose_one, RayEngine(address=cluster.address))
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert not machines
    assert contents(alone.folder) == contents(left.folder)


def test_killed_at_random_moments_is_never_killed(make_song, settings):
    make_songs(make_song)
    begun = time.monotonic()
    whole = prepare(settings(out="whole", aligner=ALIGNER))
    length = time.monotonic() - begun
    rng, fork = random.Random(0), multiprocessing.get_context("fork")
    for attempt in range(12):
        again = settings(out=str(attempt), aligner=ALIGNER)
        process = fork.Process(target=prepare, args=(again,))
        process.start()
        time.sleep(rng.uniform(0, 1.2 * length))
        process.kill()
        process.join()
        assert contents(prepare(again).folder) == contents(whole.folder)


@pytest.mark.slow
def test_many_songs_killed_with_their_workers_at_work_are_the_same(make_song, settings, tmp_path):
    """The process that hands them out is killed at three moments; its workers are left to find out by themselves."""
    words = [f"catalog={tmp_path / 'songs'}", "sample_rate=8000", "workers=2", "songs_per_shard=50"]

    def run(out: str, seconds: float | None = None) -> float:
        begun = time.monotonic()
        command = [sys.executable, "-m", "jukebox_pl.prepare", *words, f"out={tmp_path / out}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return time.monotonic() - begun

    for number in range(300):
        song = make_song(f"{number % 7}/{number}.flac", seconds=1.0)
        song.with_suffix(".txt" if number % 2 else ".jpg").write_text(f"la {number}")
    length = run("whole")
    for _ in range(3):
        run("killed", 0.3 * length)
    run("killed")
    whole, killed = (contents(tmp_path / out) for out in ("whole", "killed"))
    for made in (whole, killed):
        assert made.pop("doctor.html")
    assert len(whole) == 9  # six shards to train on, one held out, catalog.json, doctor.json
    assert whole == killed


class Stop(Exception):
    pass


@pytest.mark.parametrize(("step", "after"), [("decoded", 1), ("decoded", 7), ("aligned", 6), ("packed", 4)])
def test_an_interrupted_run_does_nothing_again(make_song, settings, step, after):
    def stop(now: Progress) -> None:
        if (now.step, now.done) == (step, after):
            raise Stop

    def files() -> dict[Path, int]:
        made = [path for path in settings().out.rglob("*") if path.suffix in (".flac", ".json", ".tar")]
        return {path: path.stat().st_mtime_ns for path in made if path.name != "doctor.json"}

    make_songs(make_song)
    with pytest.raises(Stop):
        prepare(settings(aligner=ALIGNER), stop)
    made = files()
    with pytest.raises(Stop):  # before the files of the work are removed
        prepare(settings(aligner=ALIGNER), lambda now: stop(now._replace(done=after if now.done == 7 else 0)))
    assert made.items() <= files().items()
    prepare(settings(aligner=ALIGNER))


def test_a_run_interrupted_with_other_settings_leaves_no_trace(make_song, settings):
    make_songs(make_song)
    prepare(settings(songs_per_shard=1, sample_rate=4000))
    (settings().out / "catalog.json").unlink()
    (settings().out / ".work").mkdir()
    assert contents(prepare(settings()).folder) == contents(prepare(settings(out="clean")).folder)


def test_a_shard_that_another_run_replaced_is_made_again(make_song, settings, monkeypatch):
    """Also where that run was stopped between the shard and its receipt."""

    def stop(*_: object) -> None:
        raise Stop

    make_songs(make_song)
    with pytest.raises(Stop):
        prepare(settings(), lambda now: now.step == "packed" and now.done == 7 and stop())
    with monkeypatch.context() as patch:
        patch.setattr(packing, "store", stop)
        with pytest.raises(Stop):
            prepare(settings(songs_per_shard=3))
    assert contents(prepare(settings()).folder) == contents(prepare(settings(out="clean")).folder)


def test_one_bad_song_leaves_the_others(make_song, settings, tmp_path):
    make_songs(make_song)
    good = songs_of(prepare(settings(out="good")))
    spoilt = tmp_path / "songs/Artist 1/4.flac"
    spoilt.write_text("no music")
    catalog = prepare(settings(out="bad"))
    (skip,) = catalog.skipped
    assert skip["path"] == "Artist 1/4.flac"
    assert "damaged" in skip["reason"]
    left = songs_of(catalog)
    assert len(left) == 6
    assert left == {id: song for id, song in good.items() if id in left}


def test_bad_songs_do_not_empty_a_split(make_song, settings, tmp_path):
    make_songs(make_song)
    first = prepare(settings(out="first"))
    for entry in first.songs("held_out"):
        (tmp_path / "songs" / entry["path"]).write_bytes(b"")
    catalog = prepare(settings())
    assert len(catalog.songs("held_out")) == 2
    assert len(catalog.skipped) == 2


def test_no_usable_song_is_an_error(make_song, settings):
    make_song("a.flac").write_bytes(b"")
    make_song("b.flac", seconds=0.1)
    with pytest.raises(UserError, match=r"none of 2 songs can be used: .*\.flac: .*\.flac: "):
        prepare(settings())


def test_a_complete_catalog_is_returned_untouched(make_song, settings):
    make_songs(make_song)
    first = prepare(settings())
    before = contents(first.folder)
    calls: list[Progress] = []
    assert prepare(settings(workers=3), calls.append) == first
    assert calls == []
    assert contents(first.folder) == before


def test_other_settings_or_songs_are_refused_with_the_difference(make_song, settings, tmp_path):
    make_songs(make_song)
    prepare(settings())
    with pytest.raises(UserError, match=r"prepared otherwise: sample_rate 8000 -> 4000; held_out 0\.3 -> 0\.5; choose"):
        prepare(settings(sample_rate=4000, held_out=0.5))
    (tmp_path / "songs").rename(tmp_path / "others")
    make_song("other.flac")
    with pytest.raises(UserError, match=r"otherwise: new songs: 1 \(other\.flac\); gone songs: 7 \(.*; choose another out="):
        prepare(settings())


def test_out_must_be_a_folder_of_its_own(make_song, settings, tmp_path):
    make_song("a.flac")
    with pytest.raises(UserError, match="lies inside catalog"):
        prepare(settings(out="songs/out"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(UserError, match="holds other files"):
        prepare(settings(out="mine"))
    with pytest.raises(UserError, match="is a file"):
        prepare(settings(out="mine/letter.txt"))


def test_a_full_disk_stops_the_run_and_names_the_file(make_song, settings, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    make_song("a.flac")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*\.work.*: No space left on device; make room"):
        prepare(settings())


def test_a_disk_that_is_full_in_the_middle_of_a_shard_leaves_no_half_of_it(make_song, settings):
    """The system refuses to let any file grow beyond one and a half songs, which it does in the midst of a write."""

    def in_little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (48_000, 48_000))
        try:
            prepare(settings())
        except UserError as error:
            (settings().out / ".work/message").write_text(str(error))

    make_songs(make_song)
    process = multiprocessing.get_context("fork").Process(target=in_little_room)
    process.start()
    process.join()
    assert "cannot write" in (settings().out / ".work/message").read_text()
    assert not [path for path in settings().out.rglob("*") if path.suffix in (".tar", ".part")]
    assert contents(prepare(settings()).folder) == contents(prepare(settings(out="roomy")).folder)


def test_a_song_that_changes_while_it_is_read_is_skipped(make_song, settings, monkeypatch):
    def load_and_touch(source, settings, out):
        loaded = load(source, settings, out)
        if source.path == "b.flac":
            make_song("b.flac", seconds=3.0)
        return loaded

    load = steps.load_song
    make_song("a.flac")
    make_song("b.flac")
    monkeypatch.setattr(steps, "load_song", load_and_touch)
    catalog = prepare(settings())
    assert [song["path"] for song in catalog.songs("train") + catalog.songs("held_out")] == ["a.flac"]
    assert catalog.skipped == [{"path": "b.flac", "reason": steps.CHANGED}]


def test_the_doctor_alone_says_the_same_and_makes_no_shards(make_song, settings, tmp_path):
    make_songs(make_song)
    (tmp_path / "songs/bad.mp3").write_text("no music")
    report = examine_all(settings(out="only"))
    assert {path.name for path in (tmp_path / "only").iterdir()} == {"doctor.json", ".work"}
    assert not list((tmp_path / "only").rglob("*.flac"))
    reports = []
    prepare(settings(out="also"), on_report=reports.append)
    assert reports == [report]
    alone, also = (json.loads((tmp_path / name / "doctor.json").read_bytes()) for name in ("only", "also"))
    assert alone == also
    assert {chart["verdict"] for chart in also["charts"]} <= {"kept", "kept with warning"}
    assert [skip["path"] for skip in also["skipped"]] == ["bad.mp3"]


def test_lyrics_in_another_script_than_their_language_are_told(make_song, settings):
    song = make_song("a.flac")
    song.with_suffix(".txt").write_text("ля ля ля, труляля\n" * 3, encoding="utf-8")
    (song.parent / "catalog.csv").write_text("path,language,lyrics\na.flac,English,a.txt\n")
    report = examine_all(settings("songs/catalog.csv"))
    assert report.findings["wrong script"] == 1


def test_who_does_not_ask_the_doctor_gets_the_same_shards(make_song, settings):
    make_songs(make_song)
    examined = contents(prepare(settings(out="examined"), on_report=lambda report: None).folder)
    assert examined.pop("doctor.json")
    assert contents(prepare(settings()).folder) == examined


def test_the_doctor_looks_only_at_what_it_has_not_seen(make_song, settings):
    make_songs(make_song)
    examine_all(settings())
    make_song("new.flac")
    seen: list[Progress] = []
    examine_all(settings(), seen.append)
    assert [now.done for now in seen] == [7, 8]
    assert len(songs_of(prepare(settings()))) == 8


WRONG = {
    "channels": 3,
    "held_out": 1.0,
    "songs_per_shard": 0,
    "workers": -1,
    "sample_rate": 0,
    "max_seconds": 0.5,
    "step_seconds": 0,
}


@pytest.mark.parametrize(("name", "value"), WRONG.items())
def test_settings_out_of_range_are_refused(settings, name, value):
    with pytest.raises(UserError, match=rf"{name}={value}: expected"):
        settings(**{name: value})


def test_a_separator_without_an_aligner_is_refused(settings):
    with pytest.raises(UserError, match=r"separator=\{.*HPSS'\}: expected null, as there is no aligner to use it"):
        settings(separator=SEPARATOR)


def test_shards_are_not_written_to_a_url(tmp_path):
    with pytest.raises(UserError, match=r"out=s3:/bucket/shards: expected a folder"):
        PrepareSettings(tmp_path, Path("s3://bucket/shards"))


def test_rare_names_become_unknown(make_song, settings):
    for name in ("Ada/one.wav", "Ada/two.wav", "Ben/three.wav"):
        make_song(name)
    assert prepare(settings(out="all")).artists == ["Ada", "Ben"]
    assert prepare(settings(out="frequent", min_songs=2)).artists == ["Ada"]
    assert prepare(settings(out="most", max_names=1)).artists == ["Ada"]
    with pytest.raises(UserError, match="min_songs=0: expected at least 1"):
        settings(min_songs=0)
