"""What the page of a run's song says of its words."""

from types import SimpleNamespace

import pytest
import torch
from small_run import BINS, HOPS, RATE, VQVAE

from jukebox_pl import checkpoints
from jukebox_pl.pipeline.song import SongStage, listen
from jukebox_pl.sessions.models import Models
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest

MODELS = Models({"vqvae": "x"}, RATE, HOPS, BINS)


class Parrot:
    """Hears what it was told before; through a codec, only the beginning of it."""

    def __init__(self, text):
        self.text, self.calls = text, []

    def __call__(self, audio, sample_rate, song):
        self.calls.append((len(audio), sample_rate, song.artist, song.genres))
        return self.text

    def accustomed(self, through):
        assert through(torch.zeros(10)).shape == (10,)
        parrot = Parrot(self.text[:3])
        parrot.calls = self.calls
        return parrot


def sampled(lyrics="la\nnu", artist="Anna"):
    request = SongRequest(artist=artist, genres=("folk",), lyrics=lyrics, seconds=1.0)
    return SampledSong(torch.zeros(1, RATE), RATE, {0: torch.zeros(20, dtype=torch.long)}, request, SamplingParams(), seed=0)


def test_who_listens_is_used_to_the_codec_and_knows_who_sings():
    parrot = Parrot(" la  nu ")
    text, errors = listen(parrot, checkpoints.build(VQVAE), sampled())
    assert text == "la"
    assert errors.rate == pytest.approx(3 / 5)
    assert parrot.calls == [(RATE, RATE, "Anna", ("folk",))]


def test_a_blend_of_artists_is_nobody():
    parrot = Parrot("x")
    listen(parrot, checkpoints.build(VQVAE), sampled(artist={"Anna": 1.0, "Ben": 1.0}))
    assert parrot.calls[0][2] == ""


@pytest.mark.parametrize("lyrics", ["la nu", ""])
def test_the_page_says_what_is_heard(tmp_path, monkeypatch, lyrics):
    stage = SongStage(
        {"lyrics": lyrics, "genres": []}, {}, 0, recogniser={"_target_": f"{__name__}.Parrot", "text": "la nu"}
    )
    shown = {}
    place = "jukebox_pl.pipeline.song"
    bundle = SimpleNamespace(vqvae=checkpoints.build(VQVAE))
    monkeypatch.setattr("jukebox_pl.checkpoints.load_bundle", lambda folder: bundle)
    monkeypatch.setattr(f"{place}.sample_song", lambda *_: sampled(lyrics))
    monkeypatch.setattr(f"{place}.command_again", lambda *_: "again")
    monkeypatch.setattr(f"{place}.ModelPool", lambda folder: SimpleNamespace(models=MODELS))
    monkeypatch.setattr(f"{place}.write_song", lambda *_, **parts: shown.update(parts) or tmp_path / "index.html")
    result = stage.run(tmp_path / "song")
    assert shown["command"] == "again"
    assert shown["notes"] == ({"a listener hears": "la", "characters heard wrong": "60%"} if lyrics else {})
    assert ("characters heard wrong" in result.summary) == bool(lyrics)
