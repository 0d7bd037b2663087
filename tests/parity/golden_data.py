"""Golden data of the original code: inputs and outputs of small models with random weights, in the released layout."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file

from jukebox_pl.openai.configs import complete
from jukebox_pl.openai.files import load_released
from jukebox_pl.openai.keys import sources
from jukebox_pl.openai.labels import IdFile, released_labeller
from jukebox_pl.types import Labels, Song

GOLDEN = Path(os.environ.get("JUKEBOX_GOLDEN", Path(__file__).parents[2] / "../shared/golden"))
RATE = 44_100


@cache
def arrays_of(name, file="io"):
    return load_file(GOLDEN / name / f"{file}.safetensors")


@cache
def numbers_of(name, file):
    return json.loads((GOLDEN / name / f"{file}.json").read_text())


@dataclass(frozen=True)
class Golden:
    """One folder: its arrays, its scalars, its hyper-parameters and the network of its checkpoint."""

    name: str

    @property
    def arrays(self):
        return arrays_of(self.name)

    @property
    def hps(self):
        return numbers_of(self.name, "hps")

    @property
    def metrics(self):
        return numbers_of(self.name, "metrics")

    def model(self, dtype=torch.float32):
        """A fresh copy of the network."""
        return load_released(next((GOLDEN / self.name).glob("*.pth.tar")), dtype)

    def labels(self, name="y"):
        """The packed rows of the original as Labels; None where the prior has no labels."""
        return unpack(self.arrays[name], self.hps["max_bow_genre_size"]) if name in self.arrays else None

    def labeller(self):
        """Knows each artist and genre by its id as a name."""
        genres, artists = ([IdFile(Path("ids"), [(str(i), i) for i in range(n)])] for n in self.hps["y_bins"])
        return released_labeller(complete(self.hps), artists, genres)

    def songs(self):
        """The songs that the rows of windowed sampling speak of, and where in them, in seconds, it begins."""
        labels = self.labels("win_y")
        return songs_of(labels, self.metrics["win_lyrics"]) if labels else ([Song("", 1, RATE)] * 3, [0.0] * 3)

    def match_gradients(self, match, model):
        """Compares, after `backward`, with what is recorded under the released names."""
        recorded, parameters = arrays_of(self.name, "grads"), dict(model.named_parameters())
        for name, source in sources(model).items():
            if source.key in recorded:
                found = parameters[name].grad
                found = (found.t() if source.transposed else found).reshape(source.shape)
                match(f"{self.name}/gradients", found, recorded[source.key], 1e-3, "norm")


def unpack(y, genre_slots):
    """Rows of [total, offset, duration, artist, genres .., lyric tokens ..]."""
    return Labels(y[:, 3], y[:, 4 : 4 + genre_slots], y[:, 0], y[:, 1], y[:, 2], y[:, 4 + genre_slots :])


def pack(labels):
    numbers = [labels.total, labels.offset, labels.duration, labels.artist]
    return torch.cat([torch.stack(numbers, dim=1), labels.genres, labels.lyrics], dim=1)


def songs_of(labels, lyrics):
    songs = [
        Song("", total, RATE, artist=str(artist), genres=tuple(str(genre) for genre in genres if genre >= 0), lyrics=text)
        for total, artist, genres, text in zip(
            labels.total.tolist(), labels.artist.tolist(), labels.genres.tolist(), lyrics, strict=True
        )
    ]
    return songs, [offset / RATE for offset in labels.offset.tolist()]
