"""Shards written are shards read; anything else in a shard is refused by name."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import re
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from jukebox_pl.catalog.shards import Catalog, ShardSample, read_shard, write_shard
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word


def song(number: int, **changes) -> Song:
    return replace(Song(id=f"{number:016x}", duration=1000 + number, sample_rate=8000), **changes)


SUNG = song(
    7,
    title="Ä. b.c \ud800",
    artist="X",
    genres=("pop", "rock"),
    lyrics="la\nlà",
    words=(Word("la", 0.1, 0.2), Word("là", 0.25, 1.0)),
)
SAMPLES = [
    ShardSample(SUNG, audio=b"fLaC" + bytes(range(256))),
    ShardSample(song(3), audio=b"x"),
    ShardSample(song(5), audio=b""),
]
CODES = tuple(np.arange(n, dtype=np.uint16) for n in (64, 16, 4))


def write_tar(path, members: list[tuple[str, bytes]]):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def record(number: int, schema: int = 1) -> bytes:
    return json.dumps({"schema": schema} | song(number).to_json()).encode()


def test_audio_written_is_audio_read_in_the_same_order(tmp_path):
    write_shard(tmp_path / "train/000000.tar", SAMPLES)
    assert list(read_shard(tmp_path / "train/000000.tar")) == SAMPLES


def test_codes_written_are_codes_read(tmp_path):
    write_shard(tmp_path / "0.tar", [ShardSample(SUNG, codes=CODES), ShardSample(song(3), codes=CODES[:1])])
    first, second = read_shard(tmp_path / "0.tar")
    assert first.song == SUNG
    assert first.audio is None
    assert [code.tolist() for code in first.codes] == [code.tolist() for code in CODES]
    assert {code.dtype for code in first.codes} == {np.dtype(np.uint16)}
    assert len(second.codes) == 1


def test_a_plain_webdataset_pipeline_gets_every_song(tmp_path):
    """A contract: who has our shards needs webdataset, soundfile and NumPy to use them, and nothing of this package."""
    webdataset = pytest.importorskip("webdataset")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 1000)
    flac = io.BytesIO()
    soundfile.write(flac, noise, 8000, format="flac")
    songs = [SUNG, song(3), song(5), song(6)]
    samples = [ShardSample(each, audio=flac.getvalue(), codes=CODES) for each in songs]
    write_shard(tmp_path / "train/000000.tar", samples[:3])
    write_shard(tmp_path / "train/000001.tar", samples[3:])
    url = str(tmp_path / "train/{000000..000001}.tar")
    found = list(webdataset.WebDataset(url, shardshuffle=False).decode())
    assert [sample["__key__"] for sample in found] == [each.id for each in songs]
    for sample, each in zip(found, songs, strict=True):
        assert sample.keys() - {"__url__", "__local_path__"} == {"__key__", "json", "flac", "codes.npz"}
        assert sample["json"] == {"schema": 1} | json.loads(json.dumps(each.to_json()))
        sound, rate = soundfile.read(io.BytesIO(sample["flac"]))
        assert rate == 8000
        np.testing.assert_allclose(sound, noise, atol=2**-15)
        codes = sample["codes.npz"]
        assert sorted(codes) == ["level_0", "level_1", "level_2"]
        for level, written in enumerate(CODES):
            assert codes[f"level_{level}"].dtype == np.uint16
            np.testing.assert_array_equal(codes[f"level_{level}"], written)


def test_what_found_the_words_is_told_and_may_be_missing(tmp_path):
    found = replace(SUNG, aligner="LinearAligner")
    write_shard(tmp_path / "0.tar", [ShardSample(found, audio=b""), ShardSample(song(3), audio=b"")])
    assert [sample.song.aligner for sample in read_shard(tmp_path / "0.tar")] == ["LinearAligner", ""]
    assert "aligner" not in song(3).to_json()


def test_same_samples_same_bytes(tmp_path):
    samples = [*SAMPLES, ShardSample(song(9), codes=CODES)]
    write_shard(tmp_path / "a.tar", samples)
    os.utime(tmp_path / "a.tar", (0, 0))
    write_shard(tmp_path / "b.tar", iter(samples))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_codes_must_be_uint16(tmp_path):
    with pytest.raises(ValueError, match="level 0 must be uint16"):
        write_shard(tmp_path / "a.tar", [ShardSample(SUNG, codes=(np.arange(4),))])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_shard_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*a\.tar: No space left on device"):
        write_shard(tmp_path / "a.tar", SAMPLES)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_cut_anywhere_is_refused(tmp_path):
    whole, cut = tmp_path / "whole.tar", tmp_path / "cut.tar"
    write_shard(whole, SAMPLES)
    data = whole.read_bytes()
    for length in range(0, len(data) - 10_240, 256):
        cut.write_bytes(data[:length])
        with pytest.raises(UserError, match=r"cut\.tar is broken"):
            list(read_shard(cut))


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


ID = song(3).id
BROKEN = {
    "a pickle": ([(f"{ID}.json", record(3)), (f"{ID}.pkl", pickle.dumps(Bomb()))], rf"{ID}\.pkl: only json, flac"),
    "pickled codes": ([(f"{ID}.json", record(3)), (f"{ID}.codes.npz", npz(level_0=np.array([Bomb()])))], "pickle"),
    "a way up": ([(f"../{ID}.json", record(3)), (f"../{ID}.flac", b"")], r"\.\./.*json: only json, flac"),
    "a way out": ([(f"/etc/{ID}.json", record(3)), (f"/etc/{ID}.flac", b"")], "etc/.*json: it is no plain file"),
    "unknown": ([(f"{ID}.json", record(3)), (f"{ID}.mp3", b"")], rf"{ID}\.mp3: only json, flac"),
    "no extension": ([("README", b"hello")], "README: only json, flac"),
    "twice": ([(f"{ID}.json", record(3)), (f"{ID}.flac", b"1"), (f"{ID}.flac", b"2")], rf"{ID}\.flac: it is there twice"),
    "apart": ([(f"{ID}.json", record(3)), (f"{song(4).id}.json", record(4)), (f"{ID}.flac", b"")], "expected its json and"),
    "no sound": ([(f"{ID}.json", record(3))], "expected its json and its flac or codes.npz"),
    "no json": ([(f"{ID}.flac", b"")], "KeyError: 'json'"),
    "not json": ([(f"{ID}.flac", b""), (f"{ID}.json", b"{")], "is not JSON"),
    "another song": ([(f"{ID}.flac", b""), (f"{ID}.json", record(4))], song(4).id),
    "another schema": ([(f"{ID}.flac", b""), (f"{ID}.json", record(3, schema=2))], "schema 2 found, this version reads 1"),
    "unknown field": ([(f"{ID}.flac", b""), (f"{ID}.json", record(4)[:-1] + b', "tempo": 3}')], "tempo"),
    "wide codes": ([(f"{ID}.json", record(3)), (f"{ID}.codes.npz", npz(level_0=np.arange(3)))], "expected uint16 or int32"),
    "signed codes": (
        [(f"{ID}.json", record(3)), (f"{ID}.codes.npz", npz(level_0=np.arange(3, dtype=np.int32)))],
        "level 0 must be uint16",
    ),
    "level missing": ([(f"{ID}.json", record(3)), (f"{ID}.codes.npz", npz(level_1=CODES[0]))], "level_0 is missing"),
    "no zip": ([(f"{ID}.json", record(3)), (f"{ID}.codes.npz", b"PK\x03\x04")], "no readable npz"),
}


@pytest.mark.parametrize(("members", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_does_not_belong_in_a_shard_is_named(tmp_path, monkeypatch, members, message):
    monkeypatch.chdir(tmp_path)
    write_tar(tmp_path / "0.tar", members)
    with pytest.raises(UserError, match=message) as caught:
        list(read_shard(tmp_path / "0.tar"))
    assert "0.tar is broken at" in str(caught.value)
    assert "make it again" in str(caught.value)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE])
def test_only_plain_files_are_in_a_shard(tmp_path, kind):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        info = tarfile.TarInfo(f"{ID}.flac")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(UserError, match=rf"broken at {ID}\.flac: it is no plain file"):
        list(read_shard(tmp_path / "0.tar"))


def catalog(folder) -> Catalog:
    write_shard(folder / "train/000000.tar", SAMPLES[:1])
    entry = {"id": SUNG.id, "path": "a.mp3", "samples": 5, "title": "Ä", "artist": "", "genres": [], "lyrics": 2, "words": 2}
    splits = {
        "train": {"shards": [{"file": "train/000000.tar", "songs": 1}], "songs": [entry | {"warnings": []}]},
        "held_out": {"shards": [], "songs": []},
    }
    return Catalog(
        8000, 1, splits, ["X"], ["pop"], "à", 5, codes={"bins": 32, "hops": [8], "fingerprint": "f"}, folder=folder
    )


def test_a_catalog_saved_is_a_catalog_loaded(tmp_path):
    saved = catalog(tmp_path)
    saved.save()
    loaded = Catalog.load(str(tmp_path))
    assert loaded == saved
    assert loaded.shards("train") == [tmp_path / "train/000000.tar"]
    assert loaded.songs("held_out") == []


def rename_shard(path, name: str) -> None:
    path.write_text(path.read_text().replace("train/000000.tar", name))


DAMAGE = {
    "missing": (lambda path: path.unlink(), r"python -m jukebox_pl.prepare catalog=SONGS out="),
    "cut": (lambda path: path.write_text(path.read_text()[:50]), "is corrupt"),
    "binary": (lambda path: path.write_bytes(b"\xff\xfe"), "is corrupt"),
    "a list": (lambda path: path.write_text("[]"), "is corrupt"),
    "later": (lambda path: path.write_text('{"schema": 9}'), "has schema 9, this version reads 1"),
    "other fields": (lambda path: path.write_text('{"schema": 1, "songs": []}'), "is corrupt"),
    "elsewhere": (lambda path: rename_shard(path, "../../secret.tar"), r"corrupt .*secret\.tar' is no shard of train"),
    "absolute": (lambda path: rename_shard(path, "/etc/000000.tar"), "is corrupt"),
    "no shard": (lambda path: (path.parent / "train/000000.tar").unlink(), r"000000\.tar is missing"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_catalog_tells_the_way_out(tmp_path, damage, message):
    catalog(tmp_path).save()
    damage(tmp_path / "catalog.json")
    with pytest.raises(UserError, match=message):
        Catalog.load(tmp_path)


def promised(folder, song: Song, **codes) -> Catalog:
    """A catalog that lists `song` in its one shard, which is yet to be written."""
    entry = {"id": song.id, "path": "a.mp3", "samples": song.duration, "title": "", "artist": "", "genres": []}
    entry |= {"lyrics": 0, "words": 0, "warnings": []}
    shards = [{"file": "train/000000.tar", "songs": 1}]
    splits = {"train": {"shards": shards, "songs": [entry]}, "held_out": {"shards": [], "songs": []}}
    return Catalog(song.sample_rate, 1, splits, [], [], "", song.duration, codes or None, folder=folder)


def flac(samples: int, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(samples), rate, format="flac")
    return buffer.getvalue()


A = song(3, duration=64)
HEARD = ShardSample(A, audio=flac(64))
UNKEPT = {
    "no song": ([], "1 songs of it are missing, 0000000000000003 (a.mp3) among them"),
    "another song": ([ShardSample(song(4), audio=b"")], "lists no such song in it"),
    "a song more": ([HEARD, ShardSample(song(4), audio=b"")], "lists no such song in it"),
    "another length": (
        [ShardSample(replace(A, duration=63), audio=b"")],
        "63 samples at 8000 Hz found, expected 64",
    ),
    "another rate": ([ShardSample(replace(A, sample_rate=8001), audio=b"")], "64 samples at 8001 Hz found"),
    "codes for sound": ([ShardSample(A, codes=CODES)], "codes found, expected sound"),
}


@pytest.mark.parametrize(("samples", "message"), UNKEPT.values(), ids=UNKEPT)
def test_a_shard_holds_what_its_catalog_promises(tmp_path, samples, message):
    write_shard(tmp_path / "train/000000.tar", samples)
    catalog = promised(tmp_path, A)
    with pytest.raises(UserError, match=r"train/000000\.tar is broken at") as refused:
        list(catalog.read(tmp_path / "train/000000.tar"))
    assert message in str(refused.value)


def test_a_shard_of_zeros_lacks_its_songs(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/000000.tar").write_bytes(bytes(10_240))
    with pytest.raises(UserError, match=r"000000\.tar is broken at its end: 1 songs of it are missing"):
        list(promised(tmp_path, A).read(tmp_path / "train/000000.tar"))


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((np.zeros(32), np.zeros(15)), r"\[32, 15\] codes by level found, expected \[32, 16\]"),
        ((np.zeros(32),), r"\[32\] codes by level found"),
        ((np.zeros(32), np.full(16, 4)), "code 4 found, expected less than 4"),
    ],
)
def test_codes_are_those_the_catalog_promises(tmp_path, levels, message):
    write_shard(tmp_path / "train/000000.tar", [ShardSample(A, codes=tuple(level.astype(np.uint16) for level in levels))])
    catalog = promised(tmp_path, A, bins=4, hops=[2, 4], fingerprint="")
    with pytest.raises(UserError, match=message):
        list(catalog.read(tmp_path / "train/000000.tar"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Error opening"),
        (flac(64)[:-20], "the sound of 0000000000000003"),
        (flac(63), r"\('FLAC', 8000, 63\) found, expected \('FLAC', 8000, 64\)"),
        (flac(64, rate=16_000), "16000"),
        (b"garbage" * 100, "Error opening"),
    ],
)
def test_a_damaged_sound_names_song_and_shard(tmp_path, data, message):
    write_shard(tmp_path / "train/000000.tar", [ShardSample(A, audio=data)])
    (sample,) = promised(tmp_path, A).read(tmp_path / "train/000000.tar")
    with pytest.raises(
        UserError, match=rf"000000\.tar is broken at the sound of {A.id}.*delete .* and make it again"
    ) as refused:
        sample.sound()
    assert re.search(message, str(refused.value))
