"""What a prior uses is told from what it is merely given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.conditioning import in_words, summarize, swaps
from jukebox_pl.evaluation.prior import PriorQuestion
from jukebox_pl.evaluation.suite import Evidence, SongAudio
from jukebox_pl.evaluation.windows import Window
from jukebox_pl.models.conditioners import LabelConditioner, TimingConditioner, UpperCodesConditioner
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import Labels, Song

RATE, CTX, HOPS = 100, 8, (4, 8)
ARTISTS, GENRES = Vocabulary(["Ada", "Bo", "Cy"]), Vocabulary(["Folk", "Waltz"])
LABELLER = Labeller(ARTISTS, GENRES, Characters("abc"), lyric_tokens=4, genre_slots=2)


class Listening(torch.nn.Module):
    """A prior that charges for what is not as it was in its songs: the artist, and the lyrics, but not the genre."""

    prefix = 0

    def __init__(self, conditioners, reads_lyrics=True):
        super().__init__()
        self.ctx, self.conditioners = CTX, torch.nn.ModuleDict(conditioners)
        self.lyrics = object() if reads_lyrics else None

    def condition(self, labels, upper):
        return labels, upper

    def losses(self, codes, cond):
        labels, upper = cond
        wrong_artist = (labels.artist != ARTISTS.id("Bo")).float().sum()
        wrong_lyrics = (labels.lyrics.max() != labels.total % 3 + 1).float().sum()  # as in `Songs`
        wrong_upper = 0.0 if upper is None else (upper.float() - codes.float().mean()).abs().mean()
        return SimpleNamespace(codes=1.0 + 0.5 * wrong_artist + 0.25 * wrong_lyrics + wrong_upper)


class Codec(torch.nn.Module):
    """Codes of song i are i."""

    hops = HOPS

    def encode_long(self, audio):
        return [audio[:, 0, ::hop].long() for hop in HOPS]


class Songs:
    """Songs by Bo, a second long and a little, each of letters of its own."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __iter__(self):
        for i in range(self.count):
            samples = 12 * HOPS[-1] + i
            audio = torch.full((1, 1, samples // HOPS[-1] * HOPS[-1]), float(i))
            song = Song(str(i), samples, RATE, artist="Bo", genres=("Waltz",), lyrics="abc"[samples % 3] * 9)
            yield SongAudio(song, audio)


@pytest.fixture
def bundle():
    labels, upper = (
        LabelConditioner(4, len(ARTISTS), len(GENRES)),
        UpperCodesConditioner(4, 8, downs=1, conv_width=4, depth=1),
    )
    top = Listening({"labels": labels, "timing": TimingConditioner(4, CTX, 8, 0, 100)})
    bottom = Listening({"labels": labels, "upper": upper}, reads_lyrics=False)
    return Bundle(Codec(), {0: bottom, 1: top}, {0: LABELLER, 1: LABELLER}, RATE)


def conditioning(bundle, songs, windows, seed=0):
    """What the question finds of each level's conditioning, bottom first."""
    answer = PriorQuestion(windows)(Evidence(bundle, Songs(songs), Songs(songs), sample=None, seed=seed))
    return [figures["conditioning"] for figures in answer.figures["levels"].values()]


def test_what_costs_when_it_is_wrong_is_used_and_what_does_not_is_not(bundle):
    bottom, top = conditioning(bundle, songs=6, windows=12)
    assert {name: found["verdict"] for name, found in top.items()} == {
        "artist": "used",
        "genre": "unused",
        "timing": "unused",
        "lyrics": "used",
    }
    assert top["artist"]["wrong_costs_bits"] == pytest.approx(0.5 / np.log(2))
    assert top["artist"]["missing_costs_bits"] == pytest.approx(0.5 / np.log(2))
    assert top["genre"]["interval"] == [0.0, 0.0]
    assert top["lyrics"]["songs"] == 5  # the first one lends
    assert list(bottom) == ["artist", "genre", "upper"]
    assert bottom["upper"]["wrong_costs_bits"] == pytest.approx(1 / np.log(2))
    assert "missing_costs_bits" not in bottom["upper"]


def test_few_songs_cannot_tell(bundle):
    for count in (1, 2, 3):
        for level in conditioning(bundle, count, windows=4):
            assert all(found["verdict"] == "unknown" for found in level.values())
    assert conditioning(bundle, 1, windows=4) == [{}, {}]


def test_the_same_seed_gives_the_same_interval(bundle):
    assert conditioning(bundle, 5, 12, seed=1) == conditioning(bundle, 5, 12, seed=1)


@pytest.mark.parametrize(
    ("costs", "verdict"),
    [
        ([0.1, 0.2, 0.15, 0.12], "used"),
        ([0.0004, -0.0003, 0.001, 0.0], "unused"),
        ([0.0001, 0.0002, 0.0001, 0.0001], "unused"),  # too little to be heard, however certain
        ([0.5, -0.4, 0.1, -0.1], "unknown"),
        ([1.0, 1.0], "unknown"),
    ],
)
def test_a_verdict_follows_from_the_interval(costs, verdict):
    found = summarize(costs, seed=0)
    low, high = found["interval"]
    assert found["verdict"] == verdict
    assert found["wrong_costs_bits"] == pytest.approx(np.mean(costs))
    assert low <= found["wrong_costs_bits"] <= high


def window(lyrics="ab", upper=None):
    labels = LABELLER.labels(Song("1", 400, RATE, artist="Cy", genres=("Folk",), lyrics=lyrics), 0, 100)
    return Window(torch.zeros(1, CTX, dtype=torch.long), Labels.stack([labels]), upper)


def test_a_swap_changes_one_thing_alone(bundle):
    here, other = window(), window("cc")
    for swap in swaps(bundle.priors[1], LABELLER, here, other):
        pairs = zip(Labels._fields, here.labels, swap.window.labels, strict=True)
        changed = {name for name, one, two in pairs if not torch.equal(one, two)}
        assert changed == {{"genre": "genres", "timing": "offset"}.get(swap.name, swap.name)}


def test_there_is_no_wrong_one_of_a_single_name_and_of_no_lyrics(bundle):
    alone = Labeller(Vocabulary(["Ada"]), Vocabulary([]), Characters("abc"), lyric_tokens=4, genre_slots=2)
    assert [swap.name for swap in swaps(bundle.priors[1], alone, window(), window(""))] == ["timing"]


def test_a_verdict_in_words_says_how_few_songs_cannot_tell():
    found = {"artist": summarize([0.0] * 3, 0), "genre": summarize([0.013] * 3, 0), "lyrics": summarize([0.1] * 2, 0)}
    assert in_words(found) == "artist not used, genre used (+0.013 bits), lyrics cannot tell with 2 songs"
    assert in_words({}) == ""
