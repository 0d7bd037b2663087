import pytest
import torch

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.codec import CodecFidelity, SpectralConvergence, report_levels
from jukebox_pl.evaluation.suite import Evidence, SongAudio
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.types import Song


def test_half_the_sound_is_six_decibels_and_silence_none():
    audio = torch.randn(3, 1, 4096)
    for share, decibels in ((0.5, -6.02), (0.0, 0.0)):
        metric = SpectralConvergence()
        metric.update(audio, share * audio)
        assert metric.compute().item() == pytest.approx(decibels, abs=0.01)


def test_batches_add_up_to_the_whole():
    audio, recon = torch.randn(4, 1, 4096), torch.randn(4, 1, 4096)
    whole, parts = SpectralConvergence(), SpectralConvergence()
    whole.update(audio, recon)
    for i in range(4):
        parts.update(audio[i : i + 1], recon[i : i + 1])
    torch.testing.assert_close(whole.compute(), parts.compute())


def test_a_report_compares_every_level_with_silence_and_shuffled_codes():
    torch.manual_seed(0)
    vqvae = VQVAE(bins=16, code_dim=8, width=4, depth=1, multipliers=(1, 1, 1))
    for parameter in vqvae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    clips = torch.randn(2, 1, 4096)
    vqvae(clips)
    reports = report_levels(vqvae.eval(), clips)
    assert [report.level for report in reports] == [0, 1, 2]
    assert all(report.silence == pytest.approx(0.0, abs=1e-3) for report in reports)
    assert all(report.reconstruction != report.shuffled_codes for report in reports)


@pytest.fixture
def evidence():
    """Three songs of noise and a silent one, through a codec that was never trained."""
    torch.manual_seed(0)
    vqvae = VQVAE(bins=16, code_dim=8, width=4, depth=1, multipliers=(1, 1, 1))
    vqvae(torch.randn(2, 1, 4096))  # fills the codebooks
    sounds = [*(0.3 * torch.randn(3, 1, 1, 8192)), torch.zeros(1, 1, 8192)]
    songs = [SongAudio(Song(str(i), 8192, 11_025, lyrics="la la" * (i < 2)), sound) for i, sound in enumerate(sounds)]
    return Evidence(Bundle(vqvae.eval(), {}, {}, 11_025), songs, songs, sample=None)


def test_every_level_has_every_figure_with_its_interval_and_silent_songs_none(evidence):
    found = CodecFidelity(seconds=0.5)(evidence)
    assert found.figures["songs"] == 3
    for level, hop in ((0, 8), (1, 32), (2, 128)):
        figures = found.figures["levels"][level]
        needed = figures["codebook"]
        assert needed["codes"] == 3 * 43 * 128 // hop
        assert needed["nominal_bits_per_second"] == pytest.approx(11_025 / hop * 4)
        assert needed["entropy_bits_per_second"]["value"] <= needed["nominal_bits_per_second"]
        assert 1 <= needed["perplexity"]["value"] <= 16 * needed["used"]["value"] + 1e-6
        for figure in (
            found for found in (*figures.values(), *needed.values()) if isinstance(found, dict) and "value" in found
        ):
            low, high = figure["interval"]
            assert low <= figure["value"] <= high
    assert [len(table.rows) for table in found.tables] == [3, 3, 3]
    assert all(len(row) == len(table.columns) for table in found.tables for row in table.rows)
    assert list(found.sounds) == ["0, the original", *(f"codes of level {level}" for level in range(3))]
    assert {sound.shape for sound in found.sounds.values()} == {(43 * 128,)}


def test_lyrics_are_listened_for_at_every_level_of_the_songs_that_have_them(evidence):
    def recogniser(audio, sample_rate, song):
        """Hears all of what is as it was, and of the rest the half."""
        true = next(sung.audio for sung in evidence.songs if sung.song.id == song.id)
        assert audio.shape == (8192,)
        return song.lyrics if torch.equal(audio, true.flatten()) else song.lyrics[:2]

    found = CodecFidelity(recogniser=recogniser)(evidence)
    assert found.figures["lyrics"]["songs"] == 2
    rates = {name: figure["value"] for name, figure in found.figures["lyrics"]["cer"].items()}
    assert rates == {"true sound": 0.0, **{f"codes of level {level}": pytest.approx(0.6) for level in range(3)}}
    assert [row[0] for row in found.tables[-1].rows] == list(rates)


def test_a_recogniser_that_does_not_know_such_songs_leaves_the_rest(evidence):
    def recogniser(audio, sample_rate, song):
        raise ValueError("no demo song")

    found = CodecFidelity(recogniser=recogniser)(evidence)
    assert found.figures["lyrics"] == {"cannot_tell": "no demo song"}
    assert len(found.tables) == 3
