import base64
import html
import re

import numpy as np
import pytest
import torch

from jukebox_pl import audio
from jukebox_pl.report.song_page import plain, write_song_page
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest, Word

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


def test_words_have_their_times_when_they_are_known(tmp_path, song):
    assert "data-start" not in write_song_page(tmp_path, song, HOPS).read_text()
    song.words = (Word("la", 0.25, 0.5), Word("<to>", 0.5, 1.0))
    page = write_song_page(tmp_path, song, HOPS).read_text()
    assert re.findall(r'data-start="([\d.]+)" data-end="([\d.]+)"', page) == [("0.25", "0.5"), ("0.5", "1.0")]
    assert "&lt;to&gt;&nbsp;0.5" in page


def test_every_part_is_there_when_its_data_is(tmp_path, song):
    curves = {"vqvae": [(0, 2.0, None), (10, 1.0, 1.5)], "top_prior": [(0, 5.0, 5.0)]}
    references = {"original": (song.audio.numpy(), RATE), "level 0": (np.zeros((2, 44100), np.float32), 44100)}
    summary = [{"stage": "vqvae", "before": 2.0, "after": 1.23456}, {"stage": "top_prior", "before": 5.0, "after": None}]
    page = write_song_page(tmp_path, song, HOPS, curves, references, summary, "make").read_text()
    assert len(embedded(page, "audio/flac")) == 3
    assert len(embedded(page, "image/png")) == 4
    assert "<td>1.235</td>" in page
    bare = write_song_page(tmp_path, song, HOPS).read_text()
    assert len(embedded(bare, "image/png")) == 2
    assert not re.search("Training|Make another|How well", bare)


def test_text_from_outside_is_escaped(tmp_path, song):
    song.request = SongRequest(artist=ATTACK, genres=(ATTACK,), lyrics=f"{ATTACK}\n{ATTACK}")
    references = {ATTACK: (song.audio.numpy(), RATE)}
    page = write_song_page(tmp_path, song, HOPS, {ATTACK: [(0, 1, 1)]}, references, [{ATTACK: ATTACK}], ATTACK).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_nothing_is_fetched(tmp_path, song):
    page = write_song_page(tmp_path, song, HOPS).read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import|https?:""", page)


def test_a_song_without_words_or_names_has_a_page(tmp_path, song):
    song.request, song.codes = SongRequest(), {}
    page = write_song_page(tmp_path, song, HOPS).read_text()
    assert "A song without words" in page
    assert len(embedded(page, "image/png")) == 1


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
