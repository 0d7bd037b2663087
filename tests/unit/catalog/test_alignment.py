"""Word times are found where none are given; whatever aligner and separator do, the song stays, and so do the others."""

from __future__ import annotations

import dataclasses

import pytest
from unit.catalog.fakes import ANSWERS, MOODS, PLACE, TRUSTED

from jukebox_pl.catalog.alignment import WordFinder
from jukebox_pl.catalog.prepare import prepare
from jukebox_pl.catalog.shards import SPLITS, Catalog, read_shard
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word

FAKES = {"aligner": PLACE, "trusted": TRUSTED, "separator": {"_target_": "unit.catalog.fakes.MoodySeparator"}}
FATAL = ("dies", "crashes", "hangs")


def songs_of(catalog: Catalog) -> dict[str, Song]:
    shards = (shard for split in SPLITS for shard in catalog.shards(split))
    return {sample.song.title: sample.song for shard in shards for sample in read_shard(shard)}


def warnings_of(catalog: Catalog) -> dict[str, list[str]]:
    return {song["title"]: song["warnings"] for split in SPLITS for song in catalog.songs(split)}


@pytest.fixture
def sing(make_song):
    """sing("a", "la la"): a song of three seconds with these lyrics."""

    def make(name: str, lyrics: str):
        song = make_song(f"{name}.flac", seconds=3.0)
        song.with_suffix(".txt").write_text(lyrics, encoding="utf-8")
        return song

    return make


def test_words_are_found_where_none_are_given(sing, make_song, settings):
    sing("found", "la là\nla")
    sing("given", "la la").with_suffix(".words.json").write_text('[["", 1, 1.5], ["", 2, 2.5]]')
    sing("blank", " \n")
    make_song("silent.flac")
    songs = songs_of(prepare(settings(**FAKES)))
    assert songs["found"].words == (Word("la", 0.0, 0.05), Word("là", 0.1, 0.15), Word("la", 0.2, 0.25))
    assert songs["found"].aligner == "MoodyAligner of MoodySeparator"
    assert songs["given"].words == (Word("la", 1.0, 1.5), Word("la", 2.0, 2.5))
    assert {songs[title].aligner for title in ("given", "blank", "silent")} == {""}
    assert songs["blank"].words == songs["silent"].words == ()


@pytest.mark.slow
def test_whoever_spoils_a_song_leaves_it_without_words_and_the_others_alone(sing, settings):
    for mood in MOODS:
        sing(mood, f"{mood} la la")
    sing("good", "la la la")
    catalog = prepare(settings(**FAKES, workers=2, step_seconds=5.0))
    songs, warnings = songs_of(catalog), warnings_of(catalog)
    assert songs.keys() == {"good", *MOODS}
    assert [word.text for word in songs["good"].words] == ["la", "la", "la"]
    assert warnings.pop("good") == []
    assert {title for title, song in songs.items() if not song.words and not song.aligner} == set(MOODS)
    assert all(len(lines) == 1 and lines[0].startswith("no word times: ") for lines in warnings.values())
    assert {warnings[mood][0] for mood in FATAL} == {"no word times: finding them crashed or hung (step_seconds=5)"}
    assert warnings["sleeps"] == ["no word times: took over step_seconds=5"]
    assert "out of tune" in warnings["raises"][0]


def test_without_worker_processes_what_python_can_stop_is_stopped(sing, settings):
    sing("sleeps", "sleeps la")
    catalog = prepare(settings(**FAKES, step_seconds=0.5))
    assert warnings_of(catalog) == {"sleeps": ["no word times: took over step_seconds=0.5"]}


@pytest.mark.parametrize("mood", [mood for mood in ANSWERS if mood])
def test_what_is_no_sound_is_not_aligned(sing, settings, mood):
    sing("a", "la la")
    separator = FAKES["separator"] | {"mood": mood}
    catalog = prepare(settings(**(FAKES | {"separator": separator})))
    assert songs_of(catalog)["a"].words == ()
    assert warnings_of(catalog)["a"][0].startswith("no word times: ")


def test_ten_thousand_characters_of_lyrics_pass(sing, settings):
    sing("long", "là " * 3400)
    settings = settings(aligner={"_target_": "jukebox_pl.catalog.aligners.linear.LinearAligner"})
    song = songs_of(prepare(settings))["long"]
    assert len(song.lyrics) == 10_200
    assert len(song.words) == 3400
    assert 2.9 < song.words[-1].end <= 3.0


def test_without_an_aligner_the_record_of_a_song_is_as_ever(sing, settings):
    sing("a", "la la")
    song = songs_of(prepare(settings()))["a"]
    assert song.words == ()
    assert song.to_json().keys() == {field.name for field in dataclasses.fields(Song)} - {"aligner"}


def test_another_aligner_is_another_catalog(sing, settings):
    sing("a", "la la")
    prepare(settings(**FAKES))
    with pytest.raises(UserError, match=r"prepared otherwise: separator \{.*\} -> None; aligner \{.*\} -> None"):
        prepare(settings())


WRONG = {
    "not ours": ({"_target_": "os.system"}, r"os\.system is not from jukebox_pl\.catalog, unit\.catalog: add its package"),
    "no target": ({"model": "x"}, "names nothing that can be called"),
    "no module": ({"_target_": "jukebox_pl.catalog.humming.Hum"}, "cannot be imported"),
    "no class": ({"_target_": "jukebox_pl.catalog.aligners.linear.spread"}, "has no class 'spread'"),
    "misfit": (PLACE | {"tempo": 3}, "MoodyAligner does not take these settings"),
    "inside": ({"_target_": "jukebox_pl.catalog.aligners.chain.Chain", "aligners": [{"_target_": "os.system"}]}, "os"),
}


@pytest.mark.parametrize(("config", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_built_is_refused_before_anything_is_decoded(sing, settings, config, message):
    sing("a", "la la")
    with pytest.raises(UserError, match=message):
        prepare(settings(aligner=config, trusted=TRUSTED))
    assert not settings().out.exists()


def test_aligners_may_be_made_of_aligners(settings):
    chain = {"_target_": "jukebox_pl.catalog.aligners.chain.Chain", "aligners": [PLACE]}
    finder = WordFinder.of(settings(aligner=chain, trusted=TRUSTED))
    assert type(finder.aligner.aligners[0]).__name__ == "MoodyAligner"
