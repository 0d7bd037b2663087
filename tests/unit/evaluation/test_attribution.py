"""The rows differ in which codes are true; every level is sampled once, and what is kept is kept."""

from types import SimpleNamespace

import pytest
import torch

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.attribution import OTHER, SAMPLED, Attribution
from jukebox_pl.evaluation.suite import CannotTell, Evidence, SongAudio
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.types import Song, Word

RATE, LENGTH, HOPS = 11_025, 8192, (8, 32, 128)
ROWS = ["level 0", "level 1", "level 2", SAMPLED]


class Sample:
    """Draws the code 0 everywhere, and keeps in mind what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, songs, seed, codes=None, levels=None, seconds=None):
        (level,) = levels
        self.asked.append((level, len(songs), sorted(codes or {}), codes))
        drawn = torch.zeros(round(seconds * RATE) // HOPS[level], dtype=torch.long)
        return [SimpleNamespace(codes={level: drawn}) for _ in songs]


@pytest.fixture
def evidence():
    torch.manual_seed(0)
    vqvae = VQVAE(bins=16, code_dim=8, width=4, depth=1, multipliers=(1, 1, 1))
    vqvae(torch.randn(2, 1, 4096))
    words = (Word("la", 0.1, 0.3), Word("lo", 0.4, 0.6), Word("never", 0.7, 9.0))
    songs = [
        SongAudio(
            Song(str(i), LENGTH, RATE, lyrics="la lo never", words=words if i else ()), 0.3 * torch.randn(1, 1, LENGTH)
        )
        for i in range(4)
    ]
    short, silent = (
        SongAudio(Song(name, 0, RATE), torch.zeros(1, 1, length)) for name, length in (("short", 512), ("silent", LENGTH))
    )
    return Evidence(Bundle(vqvae.eval().requires_grad_(False), {}, {}, RATE), [short, silent, *songs], songs, Sample())


def test_each_level_is_drawn_once_under_what_each_row_has_above(evidence):
    found = Attribution(seconds=0.6)(evidence).figures
    assert list(found["true_codes"]) == [*ROWS, OTHER]
    assert [asked[:3] for asked in evidence.sample.asked] == [(2, 3, []), (1, 6, [2]), (0, 9, [1, 2])]
    vqvae = evidence.bundle.vqvae
    clips = torch.cat([song.audio[..., : 52 * 128] for song in evidence.songs[2:5]])
    true = vqvae.encode(clips)
    codes = evidence.sample.asked[-1][3]
    assert torch.equal(codes[2], torch.cat([true[2] * 0, true[2], true[2]]))
    assert torch.equal(codes[1], torch.cat([true[1] * 0, true[1] * 0, true[1]]))


def test_true_codes_are_nearest_and_what_is_sampled_has_no_distance_to_a_melody(evidence):
    answer = Attribution(seconds=0.6)(evidence)
    rows = answer.figures["true_codes"]
    assert rows[SAMPLED]["log_mel"] is None
    assert rows[SAMPLED]["kernel"]["value"] == rows["level 1"]["kernel"]["value"]  # all of them decode the code 0
    assert rows[OTHER]["kernel"] is None  # these are the same songs
    assert all(len(row) == len(answer.tables[0].columns) == 3 for row in answer.tables[0].rows)
    assert answer.tables[0].rows[3][1] == "-"
    assert {sound.shape for sound in answer.sounds.values()} == {(52 * 128,)}
    assert list(answer.sounds) == ["the original", *(f"true codes: {row}" for row in ROWS)]


def test_lyrics_are_those_of_words_that_end_in_time_and_of_songs_with_word_times(evidence):
    heard = []

    def recogniser(audio, sample_rate, song):
        heard.append(song.id)
        assert (audio.shape, song.duration) == ((52 * 128,), 52 * 128)
        return "la"

    rows = Attribution(seconds=0.6, recogniser=recogniser)(evidence).figures["true_codes"]
    assert [row["cer"]["value"] for row in rows.values()] == pytest.approx([3 / 5] * 5)
    assert set(heard) == {"1", "2"}


def test_without_a_song_that_is_long_enough_nothing_can_be_told(evidence):
    with pytest.raises(CannotTell, match=r"takes a song of 2\.01 s"):
        Attribution(seconds=2.0)(evidence)
    one = Attribution(songs=1, seconds=0.6)(evidence).figures["true_codes"]
    assert list(one) == ROWS
    assert one["level 0"]["kernel"] is None
