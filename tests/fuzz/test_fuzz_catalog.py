"""A catalog with one file damaged: every song as it was, or one line."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import damaged_bytes, damaged_json, examples, outcome

from jukebox_pl import audio
from jukebox_pl.catalog.shards import SPLITS, Catalog, ShardSample, write_shard
from jukebox_pl.types import Song, Word

CODES = {"bins": 16, "hops": [2, 4], "fingerprint": "made up"}
Contents = dict[str, list[bytes]]


def make(folder: Path, has_codes: bool) -> Path:
    """Two songs to train on in a shard, one held out."""
    splits, rng = {}, np.random.default_rng(0)
    for split, count in zip(SPLITS, (2, 1), strict=True):
        samples, entries = [], []
        for number in range(count):
            words = (Word("la", 0.0, 0.1), Word("là", 0.1, 0.5))
            song = Song(f"{split}_{number}", 64, 80, "Title", "Ada", ("folk",), "la\nlà", words, aligner="Linear")
            levels = tuple(rng.integers(0, 16, 64 // hop).astype(np.uint16) for hop in CODES["hops"])
            flac = audio.encode(rng.uniform(-0.5, 0.5, (1, 64)).astype(np.float32), 80)
            samples.append(ShardSample(song, codes=levels) if has_codes else ShardSample(song, audio=flac))
            entries.append({"id": song.id, "path": "a.mp3", "samples": 64, "title": "Title", "artist": "Ada"})
            entries[-1] |= {"genres": ["folk"], "lyrics": 5, "words": 2, "warnings": ["short"], "aligner": "Linear"}
        write_shard(folder / split / "000000.tar", samples)
        splits[split] = {"shards": [{"file": f"{split}/000000.tar", "songs": count}], "songs": entries}
    skipped, prepared = [{"path": "b.mp3", "reason": "silent"}], {"sample_rate": 80}
    codes = CODES if has_codes else None
    Catalog(80, 1, splits, ["Ada"], ["folk"], "alà\n", 64, codes, skipped, prepared, folder=folder).save()
    return folder


@pytest.fixture(scope="module", params=[True, False], ids=["codes", "sound"])
def catalog(request, tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("catalog") / "shards", request.param)


def read(folder: Path) -> Contents:
    """What training reads of every song."""
    found, catalog = {}, Catalog.load(folder)
    for split in SPLITS:
        for shard in catalog.shards(split):
            for sample in catalog.read(shard):
                found[sample.song.id] = [level.tobytes() for level in sample.codes or (sample.sound(),)]
    return found


def with_file(catalog: Path, folder: Path, name: str, data: bytes) -> Path:
    shutil.copytree(catalog, folder, dirs_exist_ok=True)
    (folder / name).write_bytes(data)
    return folder


def require_nothing_lost(catalog: Path, folder: Path, name: str, data: bytes) -> None:
    assert outcome(read, with_file(catalog, folder, name, data)) in (None, read(catalog))


@examples(120)
@given(data=st.data())
def test_catalog_json_with_another_value(catalog, tmp_path, data):
    whole = (catalog / "catalog.json").read_bytes()
    require_nothing_lost(catalog, tmp_path, "catalog.json", data.draw(damaged_json(whole)))


@examples(50)
@given(data=st.data())
def test_catalog_json_of_other_bytes(catalog, tmp_path, data):
    whole = (catalog / "catalog.json").read_bytes()
    require_nothing_lost(catalog, tmp_path, "catalog.json", data.draw(damaged_bytes(whole)))


@examples(120)
@given(data=st.data())
def test_a_shard_of_other_bytes(catalog, tmp_path, data):
    name = "train/000000.tar"
    require_nothing_lost(catalog, tmp_path, name, data.draw(damaged_bytes((catalog / name).read_bytes())))


@examples(120)
@given(data=st.data())
def test_a_shard_with_a_damaged_member(catalog, tmp_path, data):
    """Written again around it, so that headers and checksums of the tar are right."""
    with tarfile.open(catalog / "train/000000.tar") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    name = data.draw(st.sampled_from(sorted(members)))
    change = data.draw(st.sampled_from(["bytes", "bytes", "gone", "renamed", "another's"]))
    content = members.pop(name)
    if change == "renamed":
        members[data.draw(st.sampled_from(["{}.pkl", "../{}", "/{}", "x{}", ".{}", "é.json"])).format(name)] = content
    elif change == "another's":  # of codes none has a name inside, by which it could be told
        kind = name.partition(".")[2]
        others = [other for other in members if kind == "json" or not other.endswith(kind)]
        members[name] = members[data.draw(st.sampled_from(sorted(others)))]
    elif change == "bytes":
        members[name] = data.draw(damaged_json(content) if name.endswith(".json") else damaged_bytes(content))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, content in sorted(members.items()):
            header = tarfile.TarInfo(member)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    require_nothing_lost(catalog, tmp_path, "train/000000.tar", buffer.getvalue())


def test_shards_that_changed_places(catalog, tmp_path):
    other = (catalog / "held_out/000000.tar").read_bytes()
    assert outcome(read, with_file(catalog, tmp_path, "train/000000.tar", other)) is None
