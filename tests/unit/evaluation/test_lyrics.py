"""What is heard of the lyrics, by a recogniser that reads a made-up sound: a character is a level of the audio."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.lyrics import LyricsQuestion
from jukebox_pl.evaluation.suite import CannotTell, Evidence, SongAudio
from jukebox_pl.models.conditioners import LyricsEncoder
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import SampledSong, SamplingParams, Song, SongRequest, Word

RATE, HOPS, ALPHABET = 100, (10, 20), "abcd"
TEXTS = ["abab", "cdcd", "abcd"]
LABELLER = Labeller(Vocabulary([]), Vocabulary([]), Characters(ALPHABET), lyric_tokens=4)


def sing(text):
    """A character takes 20 samples, and sounds as loud as its place in the alphabet: [1, 1, N]."""
    levels = torch.tensor([float(ALPHABET.index(character)) for character in text])
    return levels.repeat_interleave(HOPS[-1]).view(1, 1, -1)


def hear(audio, sample_rate, song):
    assert sample_rate == RATE
    return "".join(ALPHABET[int(level) % len(ALPHABET)] for level in audio[:: HOPS[-1]])


class Codec(torch.nn.Module):
    """The bottom level keeps everything, the top level takes every character for the next one."""

    hops = HOPS

    def encode_long(self, audio):
        return [audio[:, 0, ::hop].long() for hop in HOPS]

    def decode_long(self, codes, level):
        return (codes.float() + level).repeat_interleave(HOPS[level], 1).unsqueeze(1)


class Songs:
    def __init__(self, texts, timed=True):
        self.texts, self.timed = texts, timed

    def __len__(self):
        return len(self.texts)

    def __iter__(self):
        for number, text in enumerate(self.texts):
            audio = sing(text.strip() or "aaaa")
            words = (Word(text, 0.0, audio.shape[-1] / RATE),) if text and self.timed else ()
            yield SongAudio(Song(str(number), audio.shape[-1], RATE, lyrics=text, words=words), audio)


def sample(songs, seed, codes=None, levels=None, seconds=None):
    """Sings the lyrics, but for the first character, whose place the seed tells."""
    (song,) = songs
    assert seconds == song.duration / RATE
    audio = sing(ALPHABET[seed % len(ALPHABET)] + song.lyrics[1:])
    drawn = {level: audio[0, 0, ::hop].long() - level for level, hop in enumerate(HOPS)}
    return [SampledSong(audio[0], RATE, drawn, SongRequest(), SamplingParams(), seed)]


@pytest.fixture
def ask():
    torch.manual_seed(0)
    encoder = LyricsEncoder(len(LABELLER.characters), 8, Transformer(8, 2, "R", 4, 2))
    prior = Prior(5, Transformer(8, 2, "RX", 4, 2), lyrics=encoder).eval()

    def ask(question, texts=TEXTS, prior=prior, sample_count=3, timed=True):
        bundle = Bundle(Codec(), {0: SimpleNamespace(), 1: prior}, dict.fromkeys(range(2), LABELLER), RATE)
        evidence = Evidence(bundle, Songs(texts, timed), Songs([]), sample, seed=1, sample_count=sample_count)
        with torch.inference_mode():
            return question(evidence)

    return ask


def test_every_way_to_hear_the_lyrics_has_its_rate(ask):
    found = ask(LyricsQuestion(hear)).figures
    assert found["floor"]["cer"] == found["codec"]["bottom"]["cer"] == 0
    assert found["codec"]["top"]["cer"] > 0.5
    assert found["cer"] == pytest.approx(2 / 12)  # the seed of the second song tells its own first character
    assert found["top_alone"]["cer"] == found["cer"]
    assert found["errors"] == {"substitutions": 2, "insertions": 0, "deletions": 0, "length": 12}
    assert found["chance"]["cer"] > found["cer"]
    low, high = found["interval"]
    assert low <= found["cer"] <= high
    assert found["songs"] == 3


def test_no_more_songs_are_sampled_than_are_asked_for(ask):
    assert ask(LyricsQuestion(hear), sample_count=2).figures["songs"] == 2
    alone = ask(LyricsQuestion(hear), sample_count=1).figures
    assert alone["chance"] is None  # there is no other song
    assert ask(LyricsQuestion(hear), sample_count=0).figures["cer"] is None


def test_without_a_recogniser_the_attention_is_answered(ask):
    answer = ask(LyricsQuestion())
    assert answer.figures["cer"] is None
    assert "recogniser=FOLDER" in answer.figures["no_cer"]
    attention = answer.figures["attention"]
    assert {(head["layer"], head["head"]) for head in attention["heads"]} == {(1, 0), (1, 1)}
    assert attention["share"] == max(head["share"] for head in attention["heads"])
    assert attention["songs"] == 3
    assert not answer.sounds
    assert [table.title for table in answer.tables] == ["attention to the lyrics"]
    (picture,) = answer.pictures.values()
    assert picture.values.shape == (4, 4)
    assert picture.seconds == 4 * HOPS[-1] / RATE


def test_a_recogniser_that_does_not_know_such_songs_says_so(ask):
    def foreign(audio, sample_rate, song):
        raise ValueError("no demo song")

    assert ask(LyricsQuestion(foreign)).figures["no_cer"] == "no demo song"


def test_what_cannot_be_told_is_said(ask):
    with pytest.raises(CannotTell, match="none of the 2 held-out songs has lyrics"):
        ask(LyricsQuestion(hear), texts=["", " "])
    with pytest.raises(CannotTell, match="no prior of this bundle reads lyrics"):
        ask(LyricsQuestion(hear), prior=Prior(5, Transformer(8, 2, "R", 4, 2)))


def test_without_word_times_there_is_still_a_best_head(ask):
    attention = ask(LyricsQuestion(), timed=False).figures["attention"]
    assert attention["interval"] is None
    assert attention["monotonicity"] == max(head["monotonicity"] for head in attention["heads"])
