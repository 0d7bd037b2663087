"""Reads demo songs back: which character is heard in each slot, learned from songs that were sung for the purpose.

It is made from the synthesis alone and never hears a model. The grid of slots is known from the genre, so it has to name
sounds, not to find them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import librosa
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.demo.bands import CHARACTERS_PER_BEAT, GENRES, slot_samples
from datamodules.demo.songs import DemoSong, Syllables, make_song
from datamodules.demo.voices import ARTISTS, CHARACTER_SOUNDS
from jukebox_pl.audio import resample
from jukebox_pl.types import Song
from jukebox_pl.utils.progress import terminal_meter

BANDS, FRAMES = 40, 12  # of a slot's log-mel spectrogram
SILENT = 0  # the class of a rest
CHARACTERS = "".join(character for character, sound in CHARACTER_SOUNDS.items() if sound.formants or sound.noise)
EVERY_SYLLABLE = Syllables("lmnrbdzsftkp", "aeiou")
SECONDS = 6.0  # of a song that is learned from

Through = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class DemoRecogniser:
    """Hears the lyrics of demo songs. Learned, once a process, from `songs` new ones of free syllables.

    `consonants`, `vowels` and `step` are those of the songs to be heard. `blur`: the standard deviation of the noise on its
    inputs in training, so that a sound that is not quite clean is still told; the inputs have one of 1. `through`: what the
    songs that it learns from are heard through.
    """

    sample_rate: int = 11025
    consonants: str = EVERY_SYLLABLE.consonants
    vowels: str = EVERY_SYLLABLE.vowels
    step: int | None = None
    songs: int = 200
    steps: int = 1500
    blur: float = 0.5
    seed: int = 0
    through: Through | None = None

    def __call__(self, audio: Tensor, sample_rate: int, song: Song) -> str:
        """What is heard in audio [T] of a song, whose artist and first genre are known; a rest is a blank.

        Raises ValueError for a genre or an artist that the demo does not have.
        """
        if song.artist not in ARTISTS or not song.genres or song.genres[0] not in GENRES:
            raise ValueError(f"no demo song: {song.artist!r}, {song.genres}; this recogniser knows only those of the demo")
        sound, network = resample(audio[None].numpy(), sample_rate, self.sample_rate)[0], learned(self)
        with torch.inference_mode():
            heard = network(self.inputs(sound, song.artist, song.genres[0])).argmax(-1)
        return "".join(" " if sound == SILENT else CHARACTERS[sound - 1] for sound in heard.tolist())

    def accustomed(self, through: Through) -> DemoRecogniser:
        """One that learns from the same songs as they sound `through` something, such as a codec: audio [T] to [T]."""
        return replace(self, through=through)

    def inputs(self, sound: np.ndarray, artist: str, genre: str) -> Tensor:
        """The log-mel frames of each slot, less their mean over the song, and who sings what: [S, inputs]."""
        slot = slot_samples(genre, self.sample_rate, self.step)
        slots, hop = len(sound) // slot, slot // FRAMES
        power = librosa.feature.melspectrogram(
            y=sound, sr=self.sample_rate, n_fft=256, hop_length=hop, n_mels=BANDS, fmin=60
        )
        middles = (np.arange(slots * FRAMES) + 0.5) * slot / FRAMES / hop
        frames = np.log(power + 1e-4).T[middles.astype(int).clip(max=power.shape[1] - 1)].reshape(slots, FRAMES * BANDS)
        who = np.array([name == artist for name in ARTISTS] + [name == genre for name in GENRES], dtype=np.float32)
        return torch.from_numpy(np.hstack([frames - frames.mean(), np.tile(who, (slots, 1))]).astype(np.float32))


@lru_cache(maxsize=1)  # one that gets accustomed to many levels learns from the same songs
def songs_to_learn(listener: DemoRecogniser) -> list[DemoSong]:
    pairs = [(artist, genre) for artist in ARTISTS for genre in GENRES]
    syllables = Syllables(listener.consonants, listener.vowels)
    rngs = (np.random.default_rng([listener.seed, i, 1]) for i in range(listener.songs))
    return [
        make_song(*pairs[i % len(pairs)], SECONDS, listener.sample_rate, rng, syllables, listener.step)
        for i, rng in enumerate(rngs)
    ]


@cache
@torch.inference_mode(False)
def learned(listener: DemoRecogniser) -> nn.Module:
    """Slots [S, inputs] to the scores of silence and every character [S, 1 + characters]."""
    inputs, heard = [], []
    for song in songs_to_learn(replace(listener, through=None)):
        sound = torch.from_numpy(song.mix)
        sound = listener.through(sound) if listener.through else sound
        inputs.append(listener.inputs(sound.numpy(), song.artist, song.genre))
        heard.append(slot_classes(song, len(inputs[-1])))
    return train_slots(torch.cat(inputs), torch.cat(heard), listener.steps, listener.blur, listener.seed)


def slot_classes(song: DemoSong, slots: int) -> Tensor:
    """What is sung in each of the first `slots` slots of a song: [slots]."""
    sung = [SILENT] * GENRES[song.genre].beats * CHARACTERS_PER_BEAT  # the band alone
    for character in song.lyrics:
        sung += [CHARACTERS.find(character) + 1] * CHARACTER_SOUNDS[character].slots
    return torch.tensor((sung + [SILENT] * slots)[:slots])


@torch.enable_grad()
def train_slots(inputs: Tensor, heard: Tensor, steps: int, blur: float, seed: int) -> nn.Module:
    """A perceptron of one hidden layer that tells classes [n] from inputs [n, D]."""
    generator = torch.Generator().manual_seed(seed)
    mean, spread = inputs.mean(0), inputs.std(0) + 1e-3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            Standardize(mean, spread), nn.Linear(inputs.shape[1], 192), nn.ReLU(), nn.Linear(192, 1 + len(CHARACTERS))
        )
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=steps)
    with terminal_meter("steps") as meter:
        for step in range(steps):
            rows = torch.randint(len(inputs), (256,), generator=generator)
            noise = blur * spread * torch.randn(256, inputs.shape[1], generator=generator)
            loss = F.cross_entropy(network(inputs[rows] + noise), heard[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            meter.update("learning to hear", step + 1, steps)
    return network.eval()


class Standardize(nn.Module):
    """To mean 0 and standard deviation 1, as measured."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.spread
