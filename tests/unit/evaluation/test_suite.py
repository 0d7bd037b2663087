"""Questions hold one song at a time and encode it once; what they find is what all songs in memory would give."""

import weakref
from types import SimpleNamespace

import pytest
import torch

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.codec import CodecFidelity, report_levels
from jukebox_pl.evaluation.prior import BitsPerDim
from jukebox_pl.evaluation.suite import SongAudio, evaluate
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.types import Labels, Song
from jukebox_pl.utils.progress import Meter

TOP = 128
LENGTHS = (40 * TOP, 12 * TOP, 70 * TOP)  # the second is shorter than a window of the top level


class CountingVQVAE(VQVAE):
    encoded = 0

    def encode_long(self, audio, piece=2**16):
        self.encoded += 1
        return super().encode_long(audio, piece)


class MeanPrior:
    """Its loss tells which codes, which codes above and which labels it was given."""

    def __init__(self, ctx):
        self.ctx = ctx

    def condition(self, labels, upper):
        return labels.offset.sum() / 1000 + (0 if upper is None else upper.float().mean())

    def losses(self, codes, cond):
        assert codes.shape == (1, self.ctx)
        return SimpleNamespace(codes=codes.float().mean() + cond)


class OffsetLabeller:
    def labels(self, song, offset, duration):
        nothing = torch.zeros(0, dtype=torch.long)
        return Labels(nothing, nothing, torch.tensor(song.duration), torch.tensor(offset), torch.tensor(duration), nothing)


class CountedSongs:
    """Songs of LENGTHS; at most `most_alive` of their sounds were in memory at once."""

    def __init__(self):
        self.alive, self.most_alive, self.reads = weakref.WeakSet(), 0, 0

    def __len__(self):
        return len(LENGTHS)

    def __iter__(self):
        for index in range(len(LENGTHS)):
            yield self.read(index)

    def read(self, index):
        audio = 0.3 * torch.randn(1, 1, LENGTHS[index], generator=torch.Generator().manual_seed(index))
        self.alive.add(audio)
        self.reads += 1
        self.most_alive = max(self.most_alive, len(self.alive))
        return SongAudio(Song(str(index), LENGTHS[index], 11025), audio)


@pytest.fixture
def bundle():
    torch.manual_seed(0)
    vqvae = CountingVQVAE(bins=16, code_dim=8, width=4, depth=1, multipliers=(1, 1, 1))
    for parameter in vqvae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    vqvae(torch.randn(2, 1, 4096))  # fills the codebooks
    return Bundle(
        vqvae.eval(), {level: MeanPrior(32) for level in range(3)}, dict.fromkeys(range(3), OffsetLabeller()), 11025
    )


def bpd_of_all_songs(bundle, level, windows):
    """The same with every song in memory, encoded window by window."""
    losses, hops, prior = [], bundle.vqvae.hops, bundle.priors[level]
    each, span = -(-windows // len(LENGTHS)), prior.ctx * hops[level]
    for song in CountedSongs():
        codes = VQVAE.encode_long(bundle.vqvae, song.audio)
        for i in range(each if span <= song.audio.shape[-1] else 0):
            offset = int((song.audio.shape[-1] - span) * (i + 0.5) / each) // TOP * TOP
            upper = None if level == 2 else codes[level + 1][:, offset // hops[level + 1] :][:, : span // hops[level + 1]]
            cond = prior.condition(OffsetLabeller().labels(song.song, offset, span), upper)
            losses.append(prior.losses(codes[level][:, offset // hops[level] :][:, : prior.ctx], cond).codes)
    return torch.stack(losses[:windows]).mean().item() / 0.6931471805599453


@pytest.mark.parametrize("windows", [1, 3, 4, 7])
def test_figures_are_those_of_all_songs_in_memory(bundle, windows):
    records = evaluate(bundle, CountedSongs(), (CodecFidelity(seconds=0.5), BitsPerDim(windows)), Meter(lambda status: None))
    assert [(record["level"], record["hop"]) for record in records] == [(0, 8), (1, 32), (2, 128)]
    middle = 43 * TOP  # of half a second
    clips = [song.audio[..., max(song.audio.shape[-1] - middle, 0) // 2 :][..., :middle] for song in CountedSongs()]
    for level, record in enumerate(records):
        reports = [report_levels(bundle.vqvae, clip)[level] for clip in clips]
        for name in ("reconstruction", "shuffled_codes", "silence"):
            assert record[name] == pytest.approx(sum(getattr(report, name) for report in reports) / 3, abs=1e-5)
        assert record["bpd"] == pytest.approx(bpd_of_all_songs(bundle, level, windows), rel=1e-6)


def test_one_song_is_in_memory_and_encoded_once_for_all_levels(bundle):
    for question, encoded in ((BitsPerDim(6), 3), (CodecFidelity(), 0)):
        songs, bundle.vqvae.encoded = CountedSongs(), 0
        evaluate(bundle, songs, (question,), Meter(lambda status: None))
        assert (songs.reads, songs.most_alive, bundle.vqvae.encoded) == (3, 1, encoded)


def test_a_level_whose_windows_fit_in_no_song_has_no_figure(bundle):
    bundle.priors[2].ctx = 1000
    figures = BitsPerDim(3)(bundle, CountedSongs())
    assert figures[2] == {"bpd": None}
    assert figures[1]["bpd"] is not None


def test_a_meter_sees_every_song_of_every_question(bundle):
    seen = []
    evaluate(bundle, CountedSongs(), (CodecFidelity(), BitsPerDim(3)), Meter(seen.append, "songs"))
    for task in ("CodecFidelity", "BitsPerDim"):
        assert [(status.done, status.total) for status in seen if status.task == task] == [(i, 3) for i in range(4)]


def test_questions_are_whatever_answers(bundle):
    def top_codes(bundle, songs):
        total = sum(song.audio.shape[-1] // TOP for song in songs)
        return {0: {"top_codes": total}, 2: {"top_codes": total}}

    records = evaluate(bundle, CountedSongs(), (top_codes,), Meter(lambda status: None))
    assert [record.get("top_codes") for record in records] == [122, None, 122]
