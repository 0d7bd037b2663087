"""A catalog grows: only what is new is decoded, what rests keeps its shard and its split, and no moment holds half of it."""

from __future__ import annotations

import pytest
from unit.catalog.test_prepare import ALIGNER, Stop, contents, make_songs, songs_of

from jukebox_pl.catalog import steps
from jukebox_pl.catalog.growing import fingerprint
from jukebox_pl.catalog.prepare import changes_of, prepare
from jukebox_pl.catalog.shards import SPLITS, Catalog


@pytest.fixture
def decoded(monkeypatch):
    """The paths of the songs that are decoded."""
    load, paths = steps.load_song, []
    monkeypatch.setattr(steps, "load_song", lambda source, *how: (paths.append(source.path), load(source, *how))[1])
    return paths


def splits(catalog: Catalog) -> dict[str, str]:
    return {song["path"]: split for split in SPLITS for song in catalog.songs(split)}


def change(make_song, tmp_path) -> None:
    """One song is gone, one has other lyrics, three are new."""
    songs = tmp_path / "songs"
    (songs / "Artist 0/0.flac").unlink()
    (songs / "Artist 1/1.txt").write_text("lo lo")
    (songs / "Artist 1/1.words.csv").unlink()
    for name in ("new 1.flac", "new 2.flac", "Artist 9/new 3.flac"):
        make_song(name, seconds=1.5)


def test_only_new_and_changed_songs_are_decoded_and_nothing_is_lost(make_song, settings, tmp_path, decoded):
    make_songs(make_song)
    before = prepare(settings())
    files, was = contents(before.folder), songs_of(before)
    decoded.clear()
    change(make_song, tmp_path)
    assert str(changes_of(settings())).startswith("new songs: 3 (")
    grown = prepare(settings())
    assert sorted(decoded) == ["Artist 1/1.flac", "Artist 9/new 3.flac", "new 1.flac", "new 2.flac"]
    assert songs_of(grown) == songs_of(prepare(settings(out="anew")))
    assert Catalog.load(grown.folder) == grown
    stay = [path for path in splits(grown) if path in splits(before)]
    assert {path: splits(grown)[path] for path in stay} == {path: splits(before)[path] for path in stay}
    assert len(grown.songs("held_out")) == round(0.3 * 9)
    rest = [name for name, data in contents(grown.folder).items() if files.get(name) == data and name.endswith(".tar")]
    assert len(rest) >= 2
    listed = {str(path.relative_to(grown.folder)) for split in SPLITS for path in grown.shards(split)}
    assert {name for name in contents(grown.folder) if name.endswith(".tar")} == listed
    assert "Artist 9" in grown.artists
    assert grown.prepared["grown_from"] == [fingerprint_of(files)]
    assert {id: song for id, song in songs_of(grown).items() if id in was} != {}
    assert prepare(settings()) == grown  # and again there is nothing to do


def fingerprint_of(files: dict[str, bytes]) -> str:
    import hashlib

    return hashlib.sha256(files["catalog.json"]).hexdigest()[:16]


@pytest.mark.parametrize(("step", "after"), [("decoded", 2), ("aligned", 4), ("packed", 0), ("packed", 4)])
def test_a_growth_that_is_stopped_leaves_the_old_catalog_whole_and_goes_on(make_song, settings, tmp_path, step, after):
    def stop(now) -> None:
        if (now.step, now.done) == (step, after):
            raise Stop

    make_songs(make_song)
    before = prepare(settings(aligner=ALIGNER))
    was, prints = songs_of(before), fingerprint(before)
    change(make_song, tmp_path)
    with pytest.raises(Stop):
        prepare(settings(aligner=ALIGNER), stop)
    assert songs_of(Catalog.load(before.folder)) == was
    assert fingerprint(before) == prints
    grown = prepare(settings(aligner=ALIGNER))
    assert songs_of(grown) == songs_of(prepare(settings(out="anew", aligner=ALIGNER)))


def test_a_song_that_is_mended_joins_and_one_that_is_spoilt_leaves(make_song, settings, tmp_path, decoded):
    make_songs(make_song)
    (tmp_path / "songs/bad.flac").write_text("no music")
    assert [skip["path"] for skip in prepare(settings()).skipped] == ["bad.flac"]
    make_song("bad.flac")
    (tmp_path / "songs/Artist 1/4.flac").write_text("no music")
    decoded.clear()
    grown = prepare(settings())
    assert sorted(decoded) == ["Artist 1/4.flac", "bad.flac"]
    assert [skip["path"] for skip in grown.skipped] == ["Artist 1/4.flac"]
    assert "bad.flac" in splits(grown)
    assert "Artist 1/4.flac" not in splits(grown)
    make_song("new.flac")
    assert [skip["path"] for skip in prepare(settings()).skipped] == ["Artist 1/4.flac"]  # as was known


def test_a_song_that_is_gone_takes_its_shard_along(make_song, settings, tmp_path, decoded):
    make_songs(make_song)
    prepare(settings(songs_per_shard=1))
    decoded.clear()
    (tmp_path / "songs/Artist 0/3.flac").unlink()
    grown = prepare(settings(songs_per_shard=1))
    assert decoded == []
    assert sum(len(grown.shards(split)) for split in SPLITS) == 6
    assert len(songs_of(grown)) == 6


def test_the_same_songs_by_another_path_are_the_same(make_song, settings, tmp_path, monkeypatch):
    make_songs(make_song, count=3)
    before = contents(prepare(settings()).folder)
    (tmp_path / "link").symlink_to(tmp_path / "songs")
    monkeypatch.chdir(tmp_path)
    for songs in ("link", "songs/", "./songs"):
        assert contents(prepare(settings(catalog=songs)).folder) == before
