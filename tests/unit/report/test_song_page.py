import base64
import hashlib
import html
import re

import numpy as np
import pytest
import torch

from jukebox_pl import audio
from jukebox_pl.report.page import plain
from jukebox_pl.report.song_page import link_child, write_song_page
from jukebox_pl.types import SampledSong, SamplingParams, Section, SongRequest, Word

RATE = 11025
HOPS = (8, 32, 128)
ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def song():
    sound = torch.from_numpy(np.random.default_rng(0).uniform(-0.5, 0.5, (1, RATE)).astype(np.float32))
    codes = {level: torch.arange(RATE // hop) % 64 for level, hop in enumerate(HOPS)}
    request = SongRequest(artist="Ada & Bell", genres=("Waltz", "March"), lyrics="la na\n\n  mi <to>")
    return SampledSong(sound, RATE, codes, request, SamplingParams(temperature=(0.9, 0.8, 0.7)), seed=7)


def embedded(page, kind):
    return [base64.b64decode(data) for data in re.findall(rf'"data:{kind};base64,([^"]+)"', html.unescape(page))]


def test_the_sound_on_the_page_is_the_song(tmp_path, song):
    page = write_song_page(tmp_path, song, HOPS).read_text()
    (sound,) = embedded(page, "audio/flac")
    heard, rate = audio.read(sound)
    assert rate == RATE
    assert np.abs(heard - song.audio.numpy()).max() < 1e-4


def test_the_page_says_what_was_asked(tmp_path, song):
    page = html.unescape(write_song_page(tmp_path, song, HOPS, command="sample seed=8").read_text())
    for fact in ("Ada & Bell", "Waltz, March", "0.9, 0.8, 0.7", "sample seed=8", "la na\n\n  mi <to>", "1.00 s at 11025 Hz"):
        assert fact in page


def test_words_have_their_times_when_they_are_known_line_by_line(tmp_path, song):
    assert "data-start" not in write_song_page(tmp_path, song, HOPS).read_text()
    song.words = (Word("la", 0.25, 0.5), Word("<to>", 0.5, 1.0))
    song.request = SongRequest(lyrics="la\n", schedule=(Section(0.5, lyrics="<to> be"),))
    page = write_song_page(tmp_path, song, HOPS).read_text()
    assert re.findall(r'data-start="([\d.]+)" data-end="([\d.]+)"[^>]*>(.*?)<', page) == [
        ("0.25", "0.5", "la"),
        ("0.5", "1.0", "&lt;to&gt;"),
    ]
    assert "<span>be</span>" in page


def test_lyrics_of_a_schedule_are_shown(tmp_path, song):
    song.request = SongRequest(schedule=(Section(0.5, lyrics="later on"),))
    page = write_song_page(tmp_path, song, HOPS).read_text()
    assert "<h1>later on</h1>" in page


def test_every_part_is_there_when_its_data_is(tmp_path, song):
    others = {"level 1": song.audio[0].numpy(), "the original": np.zeros(RATE, np.float32)}
    song.attention, song.took = torch.rand(30, 9), {0: 1.5, 2: 200.0}
    page = write_song_page(tmp_path, song, HOPS, others, {"heard": "x"}, "make", "<mother>", ["song.wav"]).read_text()
    assert len(embedded(page, "audio/flac")) == 3
    assert len(embedded(page, "image/png")) == 3 + 1 + len(HOPS)
    for part in ("<td>1.5 s</td>", "<td>3 min 20 s</td>", "../%3Cmother%3E/index.html", 'href="song.wav"'):
        assert part in page
    bare = write_song_page(tmp_path, song, HOPS).read_text()
    assert len(embedded(bare, "audio/flac")) == 1
    assert not re.search("Make it again|Files beside|made of", bare)


def test_long_songs_carry_themselves_alone(tmp_path, song, monkeypatch):
    monkeypatch.setattr("jukebox_pl.report.song_page.MOST_SECONDS_OF_LEVELS", 1)
    others = {name: song.audio[0].numpy() for name in ("level 1", "level 2")}
    assert len(embedded(write_song_page(tmp_path, song, HOPS, others).read_text(), "audio/flac")) == 1


def test_a_song_learns_once_of_each_of_its_children(tmp_path, song):
    write_song_page(tmp_path, song, HOPS)
    for child in ("<child>", "seed 2", "<child>"):
        link_child(tmp_path, child)
    page = (tmp_path / "index.html").read_text()
    assert re.findall(r'href="\.\./(.*?)/index.html">(.*?)</a>', page) == [
        ("%3Cchild%3E", "&lt;child&gt;"),
        ("seed%202", "seed 2"),
    ]
    link_child(tmp_path / "not there", "child")
    assert not (tmp_path / "not there").exists()


def test_text_from_outside_is_escaped(tmp_path, song):
    song.request = SongRequest(artist=ATTACK, genres=(ATTACK,), lyrics=f"{ATTACK}\n{ATTACK}")
    song.words = (Word(ATTACK, 0.0, 0.5),)
    others = {ATTACK: song.audio[0].numpy()}
    page = write_song_page(tmp_path, song, HOPS, others, {ATTACK: ATTACK}, ATTACK, ATTACK, [ATTACK]).read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_the_policy_names_the_one_script_there_is(tmp_path, song):
    page = write_song_page(tmp_path, song, HOPS).read_text()
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html.unescape(page)


def test_nothing_is_fetched(tmp_path, song):
    page = write_song_page(tmp_path, song, HOPS).read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import|https?:""", page)


def test_a_song_without_words_or_names_has_a_page(tmp_path, song):
    song.request, song.codes = SongRequest(), {}
    page = write_song_page(tmp_path, song, HOPS).read_text()
    assert "A song without words" in page
    assert len(embedded(page, "image/png")) == 1  # the spectrogram


def test_a_failed_page_leaves_the_old_one(tmp_path, song):
    before = write_song_page(tmp_path, song, HOPS).read_bytes()
    with pytest.raises(IndexError):
        write_song_page(tmp_path, song, hops=(8,))
    assert (tmp_path / "index.html").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0.123456, "0.1235"), (3, "3"), ((), "–"), (None, "–"), (("a", "b"), "a, b"), (0, "0")]
)
def test_values_read_plainly(value, text):
    assert plain(value) == text
