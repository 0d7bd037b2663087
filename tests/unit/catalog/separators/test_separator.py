import numpy as np
import pytest

from jukebox_pl.catalog.separators.separator import StereoSeparator, cut, require_vocals
from jukebox_pl.errors import UserError


def smooth(sound):
    """The mean of 9 samples around each: listens 4 samples to either side."""
    return np.stack([np.convolve(channel, np.ones(9) / 9, "same") for channel in sound])


def smooth_in_pieces(sound, margin):
    pieces = cut(sound.shape[1], 50_000, margin)
    return np.concatenate([piece.keep(smooth(sound[:, piece.start : piece.stop])) for piece in pieces], axis=1)


class Listener(StereoSeparator):
    """Answers with what it hears."""

    def separate(self, stereo):
        self.heard = stereo
        return stereo


@pytest.mark.parametrize("total", [1, 99, 100, 101, 250])
def test_pieces_make_up_the_whole_and_hear_their_margins(total):
    pieces = list(cut(total, 100, 30))
    assert [n for piece in pieces for n in range(piece.first, piece.last)] == list(range(total))
    assert all(piece.start == max(piece.first - 30, 0) for piece in pieces)
    assert all(piece.stop == min(piece.last + 30, total) for piece in pieces)


def test_pieces_add_up_to_the_whole(stereo):
    np.testing.assert_array_equal(smooth_in_pieces(stereo, 4), smooth(stereo))


def test_a_margin_that_is_too_small_is_heard(stereo):
    assert not np.array_equal(smooth_in_pieces(stereo, 3), smooth(stereo))


@pytest.mark.parametrize("rate", [11025, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_model_hears_stereo_at_its_rate_and_the_answer_has_the_songs(rate, channels):
    time = np.arange(rate + 7) / rate
    song = np.repeat(np.sin(2 * np.pi * 440 * time)[None], channels, axis=0).astype(np.float32)
    listener = Listener()
    answer = listener(song, rate)
    assert answer.shape == song.shape
    np.testing.assert_allclose(answer[:, 500:-500], song[:, 500:-500], atol=1e-3)
    assert listener.heard.shape == (2, pytest.approx(song.shape[1] * 44_100 / rate, abs=1))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda vocals: vocals[:, :-1], r"answered with \(2, 529199\) \(channels, samples\) to \(2, 529200\)"),
        (lambda vocals: vocals[:1], r"answered with \(1, 529200\)"),
        (lambda vocals: vocals * np.nan, "NaN or infinite"),
        (lambda vocals: vocals * 1e-6, "answered with silence"),
    ],
)
def test_rubbish_is_refused(stereo, spoil, message):
    with pytest.raises(UserError, match=message):
        require_vocals(spoil(stereo), stereo)


def test_vocals_are_float32_and_those_of_silence_are_silent(stereo):
    assert require_vocals(stereo.astype(np.float64), stereo).dtype == np.float32
    assert not require_vocals(np.zeros_like(stereo), np.zeros_like(stereo)).any()
