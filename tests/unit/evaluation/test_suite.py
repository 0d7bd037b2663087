"""Questions hold one song at a time and encode it once; what they find is what all songs in memory would give."""

import dataclasses
import json
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.codec import CodecFidelity, report_levels
from jukebox_pl.evaluation.prior import PriorQuestion
from jukebox_pl.evaluation.suite import Answer, CannotTell, Evidence, SongAudio, evaluate
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


class MeanPrior(torch.nn.Module):
    """Its loss tells which codes, which codes above and which labels it was given."""

    def __init__(self, ctx):
        super().__init__()
        self.ctx, self.conditioners, self.lyrics, self.prefix = ctx, torch.nn.ModuleDict(), None, 0

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


@pytest.fixture
def ask(bundle):
    """Asks questions on CountedSongs; `seen` are the statuses of the meter."""

    def ask(songs=None, seen=None, **questions):
        evidence = Evidence(bundle, CountedSongs() if songs is None else songs, CountedSongs(), sample=None)
        return evaluate(evidence, questions, Meter((lambda status: None) if seen is None else seen.append, "songs"))

    return ask


def bpd_of_all_songs(bundle, level, windows):
    """The same with every song in memory, encoded window by window: the mean over songs."""
    of_songs, hops, prior = [], bundle.vqvae.hops, bundle.priors[level]
    each, span = -(-windows // len(LENGTHS)), prior.ctx * hops[level]
    for song in CountedSongs():
        codes, losses = VQVAE.encode_long(bundle.vqvae, song.audio), []
        for i in range(each if span <= song.audio.shape[-1] else 0):
            offset = int((song.audio.shape[-1] - span) * (i + 0.5) / each) // TOP * TOP
            upper = None if level == 2 else codes[level + 1][:, offset // hops[level + 1] :][:, : span // hops[level + 1]]
            cond = prior.condition(OffsetLabeller().labels(song.song, offset, span), upper)
            losses.append(prior.losses(codes[level][:, offset // hops[level] :][:, : prior.ctx], cond).codes)
        of_songs += [torch.stack(losses).mean()] if losses else []
    return torch.stack(of_songs).mean().item() / 0.6931471805599453


@pytest.mark.parametrize("windows", [1, 3, 4, 7])
def test_figures_are_those_of_all_songs_in_memory(bundle, ask, windows):
    found = ask(codec=CodecFidelity(seconds=0.5), prior=PriorQuestion(windows)).to_json()
    assert found["protocol"]["levels"] == [{"level": 0, "hop": 8}, {"level": 1, "hop": 32}, {"level": 2, "hop": 128}]
    middle = 43 * TOP  # of half a second
    clips = [song.audio[..., max(song.audio.shape[-1] - middle, 0) // 2 :][..., :middle] for song in CountedSongs()]
    for level in range(3):
        reports = [report_levels(bundle.vqvae, clip)[level] for clip in clips]
        for name in ("reconstruction", "shuffled_codes", "silence"):
            mean = sum(getattr(report, name) for report in reports) / 3
            assert found["codec"]["levels"][str(level)][name] == pytest.approx(mean, abs=1e-5)
        bpd = found["prior"]["levels"][str(level)]["bpd"]
        assert bpd["value"] == pytest.approx(bpd_of_all_songs(bundle, level, windows), rel=1e-6)
        assert bpd["songs"] == (2 if level == 2 else 3)
        assert bpd["windows"] == bpd["songs"] * -(-windows // 3)


def test_one_song_is_in_memory_and_encoded_once_for_all_levels(bundle, ask):
    for question, encoded in ((PriorQuestion(6), 3), (CodecFidelity(), 0)):
        songs, bundle.vqvae.encoded = CountedSongs(), 0
        ask(songs, question=question)
        assert (songs.reads, songs.most_alive, bundle.vqvae.encoded) == (3, 1, encoded)


def test_a_level_whose_windows_fit_in_no_song_has_no_figure(bundle, ask):
    bundle.priors[2].ctx = 1000
    levels = ask(prior=PriorQuestion(3)).answers["prior"].figures["levels"]
    assert levels["2"] == {"bpd": None, "conditioning": {}}
    assert levels["1"]["bpd"] is not None
    bundle.priors[1].ctx = bundle.priors[0].ctx = 10_000
    assert ask(prior=PriorQuestion(3)).to_json()["prior"] == {
        "cannot_tell": "no song fills a window of any prior: that takes 7.26 s"
    }


def test_a_meter_sees_every_song_of_every_question(ask):
    seen = []
    ask(seen=seen, codec=CodecFidelity(), prior=PriorQuestion(3))
    for task in ("codec", "prior"):
        assert [(status.done, status.total) for status in seen if status.task == task] == [(i, 3) for i in range(4)]


def test_a_question_that_cannot_tell_says_so_and_the_others_go_on(ask):
    def unanswerable(evidence):
        raise CannotTell("no song is sung: that takes lyrics")

    def top_codes(evidence):
        return Answer(
            {"codes": {2: np.float64(sum(song.audio.shape[-1] // TOP for song in evidence.songs)), 0: float("nan")}}
        )

    found = ask(sung=unanswerable, top_codes=top_codes)
    assert found.to_json()["sung"] == {"cannot_tell": "no song is sung: that takes lyrics"}
    assert json.dumps(found.to_json()["top_codes"]) == '{"codes": {"2": 122.0, "0": null}}'


def test_songs_without_a_finite_sound_are_passed_over_and_counted(ask):
    class Broken(CountedSongs):
        def __iter__(self):
            yield SongAudio(Song("short", 3, 11025), torch.zeros(1, 1, 0))
            yield SongAudio(Song("nan", TOP, 11025), torch.full((1, 1, TOP), float("nan")))
            yield from super().__iter__()

    whole, rest = ask(codec=CodecFidelity()), ask(Broken(), codec=CodecFidelity())
    assert rest.protocol["skipped"] == 2
    assert rest.answers["codec"].figures == whole.answers["codec"].figures
    assert whole.protocol["skipped"] == 0


def test_without_songs_no_question_can_tell(ask):
    class NoSongs(CountedSongs):
        def __len__(self):
            return 0

        def __iter__(self):
            return iter(())

    answers = ask(NoSongs(), codec=CodecFidelity(), prior=PriorQuestion(3), samples=lambda evidence: evidence.samples)
    assert all(list(figures) == ["cannot_tell"] for figures in (answer.figures for answer in answers.answers.values()))


def test_songs_are_sampled_once_and_those_with_lyrics_first(bundle):
    class Sung(CountedSongs):
        def read(self, index):
            song, audio = super().read(index)
            return SongAudio(dataclasses.replace(song, lyrics="la" if index else ""), audio)

    asked = []

    def sample(songs, seed, codes=None, levels=None, seconds=None):
        asked.append(([song.id for song in songs], seed))
        return list(songs)

    def twice(evidence):
        return Answer({"ids": [found.sampled.id for found in (*evidence.samples, *evidence.samples)]})

    evidence = Evidence(bundle, Sung(), Sung(), sample, seed=5, sample_count=2)
    found = evaluate(evidence, {"one": twice, "other": twice}, Meter(lambda status: None))
    assert found.answers["other"].figures == {"ids": ["1", "2", "1", "2"]}
    assert asked == [(["1", "2"], 5)]
