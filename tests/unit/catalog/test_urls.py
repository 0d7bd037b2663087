"""What is read from a URL is what lies there, or an error: through failing servers and breaking connections."""

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path

import numpy as np
import pytest
from unit.catalog.flaky_server import ALWAYS, serving

from datamodules.audio import AudioDataModule
from jukebox_pl.catalog import urls
from jukebox_pl.catalog.shards import Catalog, ShardSample, read_shard, write_shard
from jukebox_pl.catalog.urls import Url, to_place
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song

BYTES = np.random.default_rng(0).bytes(3 * 2**20 + 7)
SONGS = [ShardSample(Song(f"{number:016x}", 100, 8000), audio=BYTES[number::3]) for number in range(3)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(urls, "WAITS", (0.01, 0.01, 0.01))
    monkeypatch.setattr(urls, "SILENCE_SECONDS", 0.3)


@pytest.fixture(params=[True, False], ids=["ranges", "no ranges"])
def server(request, tmp_path):
    (tmp_path / "file").write_bytes(BYTES)
    write_shard(tmp_path / "0.tar", SONGS)
    with serving(tmp_path, ranges=request.param) as flaky:
        yield flaky


@pytest.mark.parametrize(
    "faults",
    [[], ["500", "503", "429"], ["cut", "cut"], ["gone", "cut", "500"], ["slow"], ["cut", "500", "500"]],
    ids=lambda faults: "-".join(faults) or "none",
)
def test_every_byte_arrives_once(server, faults):
    server.faults = list(faults)
    assert Url(f"{server.url}/file").read_bytes() == BYTES


def test_a_broken_connection_goes_on_where_it_broke(tmp_path):
    (tmp_path / "file").write_bytes(BYTES)
    with serving(tmp_path) as server:
        server.faults = ["cut"] * 9  # more often than it is tried without a byte in between
        assert Url(f"{server.url}/file").read_bytes() == BYTES
        starts = [0]
        for _ in range(9):
            starts.append(starts[-1] + (len(BYTES) - starts[-1]) // 2)
        assert server.requests == [("/file", f"bytes={start}-" if start else None) for start in starts]


GIVEN_UP = {
    "busy": ("500", "HTTP 500 Internal Server Error"),
    "gone": ("gone", "RemoteDisconnected|Connection reset"),
}


@pytest.mark.parametrize(("fault", "message"), GIVEN_UP.values(), ids=GIVEN_UP.keys())
def test_what_stays_broken_is_one_line_with_the_url(server, fault, message):
    server.faults = [fault] * ALWAYS
    with pytest.raises(
        UserError, match=rf"^{server.url}/0\.tar cannot be read \(.*({message}).*, 4 tries\): see that"
    ) as caught:
        list(read_shard(f"{server.url}/0.tar"))
    assert "\n" not in str(caught.value)
    assert len(server.requests) == 4


def test_what_is_forbidden_or_changed_is_not_tried_again(server):
    server.faults = ["403"]
    with pytest.raises(UserError, match="/file cannot be read: HTTP 403"):
        Url(f"{server.url}/file").read_bytes()
    server.faults = ["cut"]
    file = Url(f"{server.url}/file").open()
    file.read(10)
    server.version = "2"
    with pytest.raises(UserError, match="/file changed while it was read"):
        file.read()


def test_no_server_is_one_line():
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/x/catalog\.json cannot be read .*refused"):
        Catalog.load("http://127.0.0.1:9/x")


def test_a_shard_at_a_url_is_the_shard_in_the_folder(server, tmp_path):
    server.faults = ["500", "cut", "cut"]
    assert list(read_shard(f"{server.url}/0.tar")) == list(read_shard(tmp_path / "0.tar")) == SONGS


def test_a_shard_that_was_cut_before_it_was_served_is_no_shard(tmp_path):
    write_shard(tmp_path / "whole.tar", SONGS)
    data = (tmp_path / "whole.tar").read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as tar:
        between = [member.offset for member in tar]
    with serving(tmp_path) as server:
        for length in (*between, 512, len(data) // 3, len(data.rstrip(b"\0"))):
            (tmp_path / "cut.tar").write_bytes(data[:length])
            with pytest.raises(UserError, match=r"cut\.tar is broken"):
                list(read_shard(f"{server.url}/cut.tar"))


def test_a_catalog_is_served_as_it_lies(demo_shards):
    here = Catalog.load(demo_shards)
    with serving(demo_shards) as server:
        there = Catalog.load(f"{server.url}/")
        assert dataclasses.replace(there, folder=here.folder) == here
        modules = [AudioDataModule(str(place), clip=4096, batch_size=2) for place in (demo_shards, server.url)]
        batches = []
        for module in modules:
            module.setup("fit")
            server.faults = ["500", "cut"]
            batches.append([batch.audio for batch in module.train_dataloader()])
    assert len(batches[0]) == len(batches[1]) > 0
    assert all((one == two).all() for one, two in zip(*batches, strict=True))


def test_no_catalog_at_a_url_says_so(tmp_path):
    with serving(tmp_path) as server, pytest.raises(UserError, match=r"catalog\.json does not exist"):
        Catalog.load(server.url)


def test_other_schemes_go_through_fsspec(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    write_shard(tmp_path / "0.tar", SONGS)
    with fsspec.open("memory://bucket/0.tar", "wb") as file:
        file.write((tmp_path / "0.tar").read_bytes())
    assert list(read_shard("memory://bucket/0.tar")) == SONGS
    with pytest.raises(UserError, match=r"telnet://host/x/0\.tar cannot be read .*: give a folder, http://"):
        list(read_shard("telnet://host/x/0.tar"))


def test_a_program_is_no_url():
    with pytest.raises(UserError, match="cannot be read"):
        list(read_shard("pipe://touch exploded/0.tar"))
    assert not Path("exploded").exists()


def test_urls_behave_as_paths_do():
    url = to_place("http://host/shards/")
    assert str(url / "train/000001.tar") == "http://host/shards/train/000001.tar"
    assert ((url / "a").name, (url / "a").parent) == ("a", url)
    assert to_place("some/folder") == Path("some/folder")
    assert to_place(url) is url
