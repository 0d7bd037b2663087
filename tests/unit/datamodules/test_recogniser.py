"""A listener that was taught on the synthesis reads new songs, and nothing in noise."""

import numpy as np
import pytest
import torch

from datamodules.demo.bands import GENRES
from datamodules.demo.recogniser import CHARACTERS, EVERY_SYLLABLE, SILENT, DemoRecogniser, slot_classes
from datamodules.demo.songs import make_song
from datamodules.demo.voices import ARTISTS
from jukebox_pl.types import Song

RATE = 11025


def demo_song(number, seconds=5.0):
    artist, genre = list(ARTISTS)[number % 4], list(GENRES)[number % 3]
    return make_song(artist, genre, seconds, RATE, np.random.default_rng([99, number]), EVERY_SYLLABLE)


def labelled(song):
    return Song("s", len(song.mix), RATE, artist=song.artist, genres=(song.genre,), lyrics=song.lyrics)


def test_every_slot_has_its_class():
    song = demo_song(0)
    classes = slot_classes(song, 40)
    assert classes.shape == (40,)
    assert (classes[: GENRES[song.genre].beats * 2] == SILENT).all()  # the band alone
    sung = "".join(CHARACTERS[number - 1] for number in classes.tolist() if number != SILENT)
    assert "".join(song.lyrics.split()).startswith(sung)


@pytest.mark.slow
def test_new_songs_are_read_and_noise_is_not():
    recogniser = DemoRecogniser(RATE, songs=60, steps=400)
    right, chance = 0, 0
    for number in range(6):
        song = demo_song(number)
        wanted = [letter for letter in song.lyrics if letter != "\n"]
        heard = recogniser(torch.from_numpy(song.mix), RATE, labelled(song))
        assert len(heard) == len(song.mix) // round(RATE / GENRES[song.genre].characters_per_second)
        said = "".join(heard.split())
        right += sum(a == b for a, b in zip(said, "".join(wanted).replace(" ", ""), strict=False)) / len(said)
        noise = np.random.default_rng(number).standard_normal(len(song.mix)).astype(np.float32) * 0.1
        muddle = "".join(recogniser(torch.from_numpy(noise), RATE, labelled(song)).split())
        chance += sum(a == b for a, b in zip(muddle, "".join(wanted).replace(" ", ""), strict=False)) / len(wanted)
    assert right / 6 > 0.9
    assert chance / 6 < 0.3


def test_songs_of_others_are_refused():
    with pytest.raises(ValueError, match="no demo song: 'Ann'"):
        DemoRecogniser(RATE)(torch.zeros(100), RATE, Song("s", 100, RATE, artist="Ann", genres=("Waltz",)))


def test_a_listener_learns_what_songs_sound_like_through_something():
    heard = []

    def through(sound):
        heard.append(len(sound))
        return torch.zeros_like(sound)

    recogniser = DemoRecogniser(RATE, songs=2, steps=2).accustomed(through)
    recogniser(torch.zeros(RATE), RATE, Song("s", RATE, RATE, artist="Ada Bell", genres=("Waltz",)))
    assert heard == [6 * RATE] * 2
