"""Prepared once is prepared the same: after kills, from any number of workers, beside songs that cannot be used."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import time

import numpy as np
import pytest

from jukebox_pl import audio
from jukebox_pl.catalog.prepare import Progress, prepare
from jukebox_pl.catalog.shards import Catalog, read_shard
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song


def make_songs(make_song, count: int = 7) -> None:
    for number in range(count):
        song = make_song(f"Artist {number % 3}/{number}.flac", seconds=1.0 + 0.1 * number, rate=12_000)
        if number % 2:
            song.with_suffix(".txt").write_text(f"la là {number}\n")
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


def test_a_song_in_a_shard_is_the_song_of_the_file(make_song, settings):
    path = make_song("a.flac", seconds=2.0)
    catalog = prepare(settings())
    (sample,) = read_shard(catalog.shards("train")[0])
    np.testing.assert_array_equal(audio.read(sample.audio)[0], audio.read(path)[0])


def test_any_number_of_workers_gives_the_same_bytes(make_song, settings):
    make_songs(make_song)
    alone = prepare(settings(out="alone"))
    together = prepare(settings(out="together", workers=2))
    assert contents(alone.folder) == contents(together.folder)


def test_killed_at_random_moments_is_never_killed(make_song, settings):
    make_songs(make_song)
    begun = time.monotonic()
    whole = prepare(settings(out="whole"))
    length = time.monotonic() - begun
    rng, fork = random.Random(0), multiprocessing.get_context("fork")
    for attempt in range(12):
        process = fork.Process(target=prepare, args=(settings(out=str(attempt)),))
        process.start()
        time.sleep(rng.uniform(0, 1.2 * length))
        process.kill()
        process.join()
        assert contents(prepare(settings(out=str(attempt))).folder) == contents(whole.folder)


class Stop(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3, 7])
def test_an_interrupted_run_decodes_no_song_again(make_song, settings, after):
    def stop(now: Progress) -> None:
        if now.done == after:
            raise Stop

    make_songs(make_song)
    with pytest.raises(Stop):
        prepare(settings(), stop)
    seen: list[Progress] = []
    prepare(settings(), seen.append)
    assert seen[0] == Progress(after, 7)
    assert [now.done for now in seen] == list(range(after, 8))


def test_a_run_interrupted_with_other_settings_leaves_no_trace(make_song, settings):
    make_songs(make_song)
    prepare(settings(songs_per_shard=1, sample_rate=4000))
    (settings().out / "catalog.json").unlink()
    (settings().out / ".work").mkdir()
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
    make_song("new.flac")
    (tmp_path / "songs/Artist 0/0.flac").unlink()
    (tmp_path / "songs/Artist 1/1.txt").write_text("lo lo")
    with pytest.raises(
        UserError, match=r"new songs: 1 \(new\.flac\); gone songs: 1 \(.*0\.flac\); changed songs: 1 \(.*1\.flac\)"
    ):
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


WRONG = {"channels": 3, "held_out": 1.0, "songs_per_shard": 0, "workers": -1, "sample_rate": 0, "max_seconds": 0.5}


@pytest.mark.parametrize(("name", "value"), WRONG.items())
def test_settings_out_of_range_are_refused(settings, name, value):
    with pytest.raises(UserError, match=rf"{name}={value}: expected"):
        settings(**{name: value})
