import pytest
import torch

from jukebox_pl.sampling.streaming import ChunkDecoder
from jukebox_pl.types import SamplingParams, SongRequest

PLAIN = SamplingParams(temperature=3.0, hop_fraction=0.5)
EXACT = {"atol": 2e-6, "rtol": 0}  # up to the rounding of convolutions over other lengths
REQUEST = SongRequest(artist="Anna", seconds=4.0)


@pytest.fixture(scope="module")
def song(real):
    return real.sample(REQUEST, PLAIN, seed=1)


def joined(chunks):
    """The sound of chunks that follow one another."""
    at = 0
    for chunk in chunks:
        assert chunk.start_sample == at
        at += chunk.audio.shape[1]
    return torch.cat([chunk.audio for chunk in chunks], dim=1)


@pytest.mark.parametrize("depth_first", [True, False])
def test_chunks_joined_are_the_song(real, song, depth_first):
    seen = []
    stream = real.stream(REQUEST, PLAIN, 1, on_window=seen.append, depth_first=depth_first)
    chunks = list(stream)
    assert len(chunks) > 5
    torch.testing.assert_close(joined(chunks), song.audio, **EXACT)
    drawn = {progress.level: progress.codes[0] for progress in seen}
    assert all(drawn[level].equal(codes) for level, codes in song.codes.items())


def test_depth_first_is_heard_after_one_window_a_level(real):
    def windows_before_sound(depth_first):
        seen = []
        next(real.stream(REQUEST, PLAIN, 1, on_window=seen.append, depth_first=depth_first))
        return [progress.level for progress in seen]

    assert windows_before_sound(True)[:3] == [2, 1, 0]
    assert len(windows_before_sound(True)) < len(windows_before_sound(False))


def test_an_upper_level_can_be_heard_before_the_bottom_is_there(real, song):
    chunks = list(real.stream(REQUEST, PLAIN, 1, preview_level=2, depth_first=False))
    levels = [chunk.level for chunk in chunks]
    assert levels == sorted(levels, reverse=True)
    early = joined([chunk for chunk in chunks if chunk.level == 2])
    torch.testing.assert_close(early, real.vqvae.decode(song.codes[2][None], 2)[0], **EXACT)
    torch.testing.assert_close(joined([chunk for chunk in chunks if chunk.level == 0]), song.audio, **EXACT)


def test_segments_side_by_side_and_whole_songs_are_streamed_too(real, song):
    parallel = SamplingParams(temperature=3.0, hop_fraction=0.5, parallel_windows=3)
    expected = real.sample(REQUEST, parallel, seed=1)
    torch.testing.assert_close(joined(list(real.stream(REQUEST, parallel, 1))), expected.audio, **EXACT)
    torch.testing.assert_close(joined(list(real.stream(REQUEST, codes=song.codes))), song.audio, **EXACT)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_chunk_stays_what_it_is_whatever_comes_later(real, level):
    torch.manual_seed(0)
    codes, later = torch.randint(10, (2, 1, 200))
    decoder, settled = ChunkDecoder(real.vqvae, level, 200), 100 - real.vqvae.decoder_margin(level)
    chunk = decoder(codes[:, :100])
    assert chunk.audio.shape == (1, settled * real.hops[level])
    assert decoder(codes[:, :100]) is None
    other = real.vqvae.decode(torch.cat([codes[:, :100], later[:, 100:]], 1), level)[0]
    torch.testing.assert_close(chunk.audio, other[:, : chunk.audio.shape[1]], **EXACT)
