"""How far samples are from real songs as a whole, beside how far real songs are from each other, and noise from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from jukebox_pl.evaluation.embedders import CodecEmbedder, Embedder, FolderEmbedder, LogMelEmbedder
from jukebox_pl.evaluation.intervals import FEWEST_SONGS, figure, shown
from jukebox_pl.evaluation.suite import Answer, CannotTell, Evidence, SongAudio, Table
from jukebox_pl.evaluation.two_samples import SongSet, frechet_distance, kernel_distance

REAL, SAMPLES, DECODED, TRAINING, NOISE = "real", "samples", "through the codec", "training songs", "white noise"
NOTE = (
    "Kernel distance: 100 MMD^2 (KAD, Chung et al., 2025), unbiased over songs; around 0 is one distribution. Frechet (FAD, "
    "Kilgour et al., 2019) is too large for so few: it is that of as many songs in every row, so compare rows. No sample "
    "need be nearer than training songs, which are real"
)

Embedded = tuple[str, list[Tensor]]  # the id of a song, and its embeddings [seconds, D] by every embedder


@dataclass(frozen=True)
class Distances:
    """Kernel and Frechet distances to the beginnings of held-out songs, over one embedding a second.

    Embeddings: of the codec's own encoder, log-mel statistics, and of the Hugging Face audio model in the folder `embedder`.
    Up to `training_songs` of the training songs say how far apart two sets of real songs are.
    """

    training_songs: int = 16
    embedder: str | None = None

    def __call__(self, evidence: Evidence) -> Answer:
        """Raises CannotTell when there are too few songs for an interval."""
        if (count := min(len(evidence.songs), evidence.sample_count)) < FEWEST_SONGS:
            raise CannotTell(f"a distance takes {FEWEST_SONGS} songs and samples={FEWEST_SONGS}, found {count}")
        embedders: dict[str, Embedder] = {"codec": CodecEmbedder(evidence.bundle.vqvae), "log-mel": LogMelEmbedder()}
        if self.embedder:
            embedders["model"] = FolderEmbedder(self.embedder)
        songs = embedded_songs(evidence, list(embedders.values()), self.training_songs)
        figures = {}
        for i, name in enumerate(embedders):
            sets = {
                row: SongSet([id for id, _ in found], [frames[i] for _, frames in found]) for row, found in songs.items()
            }
            figures[name] = {row: distances(sets[row], sets[REAL], evidence.seed) for row in sets if row != REAL}
        seconds = evidence.samples[0].sampled.audio.shape[-1] / evidence.bundle.sample_rate
        protocol = f"To the first {seconds:.3g} s of {len(songs[REAL])} {evidence.kind}, one embedding a second."
        return Answer({"seconds": seconds, "embeddings": figures}, tuple(tables(figures, protocol)))


def embedded_songs(evidence: Evidence, embedders: list[Embedder], training_songs: int) -> dict[str, list[Embedded]]:
    """The beginnings of songs, as long as the samples, by what they are."""
    vqvae, rate, samples = evidence.bundle.vqvae, evidence.bundle.sample_rate, evidence.samples
    length, rng = samples[0].sampled.audio.shape[-1], torch.Generator().manual_seed(evidence.seed)

    def embed(sound: Tensor) -> list[Tensor]:
        return [embedder(sound, rate) for embedder in embedders]

    def real(song: SongAudio) -> Embedded:
        return song.song.id, embed(song.audio[..., :length])

    def with_baselines(song: SongAudio) -> tuple[Embedded, ...]:
        clip, id = song.audio[..., :length], song.song.id
        noise = torch.randn(clip.shape, generator=rng) * clip.square().mean().sqrt()  # as loud as the song
        return (id, embed(clip)), (id, embed(vqvae.decode(vqvae.encode(clip, [0])[0]))), (f"noise {id}", embed(noise))

    held_out = list(map(with_baselines, evidence.songs))
    found: dict[str, list[Embedded]] = dict(zip((REAL, DECODED, NOISE), map(list, zip(*held_out, strict=True)), strict=True))
    found[SAMPLES] = [(f"sample {song.id}", embed(sampled.audio[None])) for song, sampled in samples]
    known = {id for id, _ in found[REAL]}
    found[TRAINING] = list(
        islice(map(real, (song for song in evidence.training if song.song.id not in known)), training_songs)
    )
    return {row: found[row] for row in (REAL, SAMPLES, DECODED, TRAINING, NOISE) if len(found[row]) >= FEWEST_SONGS}


def distances(songs: SongSet, real: SongSet, seed: int) -> dict[str, Any]:
    """Of some songs to real ones. The Frechet distance is that of the first few of each, so that all have as many."""
    frechet = frechet_distance(songs.frames[:FEWEST_SONGS], real.frames)
    frames = sum(map(len, songs.frames))
    return {
        "kernel": figure(kernel_distance(songs, real, seed)),
        "frechet": frechet,
        "songs": len(songs.ids),
        "embeddings": frames,
    }


def tables(figures: Mapping[str, Mapping[str, Mapping[str, Any]]], protocol: str) -> list[Table]:
    columns = ("", "kernel distance [95 %]", "Frechet", "songs", "embeddings")
    found = []
    for name, rows in figures.items():
        cells = tuple(
            (
                row,
                shown(of_row["kernel"]["value"], of_row["kernel"]["interval"], of_row["songs"], 2),
                f"{of_row['frechet']:.4g}",
                str(of_row["songs"]),
                str(of_row["embeddings"]),
            )
            for row, of_row in rows.items()
        )
        found.append(Table(f"distances: {name}", columns, cells, protocol))
    return [*found[:-1], found[-1]._replace(note=f"{protocol} {NOTE}")]
