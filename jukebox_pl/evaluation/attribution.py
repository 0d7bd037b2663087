"""Whose the errors of a song are: the codec's, an upsampler's or the top prior's.

Songs are made from the true codes of one level after the other, and what lies below is sampled under their own labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.embedders import LogMelEmbedder
from jukebox_pl.evaluation.fidelity import SHORTEST, log_mel_distance
from jukebox_pl.evaluation.intervals import FEWEST_SONGS, figure, interval, shown
from jukebox_pl.evaluation.recognition import Recogniser, accustomed_to, error_rate
from jukebox_pl.evaluation.suite import Answer, CannotTell, Evidence, SongAudio, Table
from jukebox_pl.evaluation.two_samples import SongSet, kernel_distance

SAMPLED, OTHER = "none, all sampled", "another song"
NOTE = (
    "Log-mel: mean difference from the song itself. It says nothing of what is all sampled, which may be another melody. "
    "Kernel: as under distances, log-mel; whether it sounds like such songs, not whether it is the right one"
)


@dataclass(frozen=True)
class Attribution:
    """What is lost of the first `seconds` of a few songs when fewer and fewer of their codes are the true ones.

    With a `recogniser` also the share of characters heard wrong, of the words that end by then.
    """

    songs: int = 3
    seconds: float = 2.0
    recogniser: Recogniser | None = None

    def __call__(self, evidence: Evidence) -> Answer:
        """Raises CannotTell when no song is that long."""
        vqvae, rate, top = evidence.bundle.vqvae, evidence.bundle.sample_rate, evidence.bundle.vqvae.hops[-1]
        length = -(-max(int(self.seconds * rate), SHORTEST) // top) * top

        def beginning(song: SongAudio) -> SongAudio:
            return song._replace(audio=song.audio[..., :length].clone())

        beginnings = (song for song in map(beginning, evidence.songs) if song.audio.shape[-1] == length and song.audio.any())
        songs = list(islice(beginnings, self.songs))
        if not songs:
            raise CannotTell(f"whose the errors are takes a song of {length / rate:.3g} s that is not silent")
        clips = torch.cat([song.audio for song in songs])  # [n, 1, N]
        made = {
            name: vqvae.decode(codes[0], 0) for name, codes in songs_with_fewer_true_codes(evidence, songs, clips).items()
        }
        if len(songs) > 1:
            made[OTHER] = clips.roll(1, 0)
        figures = {name: compare(songs, sounds, rate, evidence.seed) for name, sounds in made.items()}
        figures[SAMPLED]["log_mel"] = None  # it need not be the same melody
        if OTHER in figures:
            figures[OTHER]["kernel"] = None  # these are the same songs
        if self.recogniser:
            for name, sounds in made.items():
                figures[name]["cer"] = error_rates(
                    songs, sounds, accustomed_to(self.recogniser, vqvae, 0), rate, evidence.seed
                )
        protocol = f"The first {length / rate:.3g} s of {len(songs)} {evidence.kind}. {NOTE}"
        heard = {f"true codes: {name}": sounds[0, 0] for name, sounds in made.items() if name != OTHER}
        return Answer(
            {"seconds": length / rate, "songs": len(songs), "true_codes": figures},
            (table_of(figures, len(songs), protocol),),
            sounds={"the original": clips[0, 0]} | heard,
        )


def songs_with_fewer_true_codes(evidence: Evidence, songs: Sequence[SongAudio], clips: Tensor) -> dict[str, list[Tensor]]:
    """Codes [n, T_l] of every level, by the lowest whose codes are true; each level is sampled once, for all of them."""
    true = evidence.bundle.vqvae.encode(clips)
    seconds, every = clips.shape[-1] / evidence.bundle.sample_rate, range(len(true))
    found: dict[str, dict[int, Tensor]] = {SAMPLED: {}}
    for level in reversed(every):
        above = {upper: torch.cat([codes[upper] for codes in found.values()]) for upper in every[level + 1 :]}
        asked = [song.song for song in songs] * len(found)
        sampled = evidence.sample(asked, evidence.seed, above or None, {level}, seconds)
        drawn = torch.stack([song.codes[level] for song in sampled]).split(len(songs))
        for codes, here in zip(found.values(), drawn, strict=True):
            codes[level] = here
        found[f"level {level}"] = {upper: true[upper] for upper in every[level:]}
    return {name: [codes[level] for level in every] for name, codes in reversed(found.items())}


def compare(songs: Sequence[SongAudio], sounds: Tensor, sample_rate: int, seed: int) -> dict[str, Any]:
    """Sounds [n, 1, N] with the songs that they should be; the kernel distance is None for too few songs."""
    ids, embed = [song.song.id for song in songs], LogMelEmbedder()
    log_mel = [log_mel_distance(song.audio, sound, sample_rate) for song, sound in zip(songs, sounds, strict=True)]
    if len(songs) < FEWEST_SONGS:
        return {"log_mel": figure(interval(log_mel, seed)), "kernel": None}
    made, real = (
        SongSet(ids, [embed(sound, sample_rate) for sound in of]) for of in (sounds, [song.audio for song in songs])
    )
    return {"log_mel": figure(interval(log_mel, seed)), "kernel": figure(kernel_distance(made, real, seed))}


def error_rates(
    songs: Sequence[SongAudio], sounds: Tensor, recogniser: Recogniser, sample_rate: int, seed: int
) -> dict[str, Any] | None:
    """Of the words that end within sounds [n, 1, N]; None where no song has such words, or is one the recogniser knows."""
    seconds, rates = sounds.shape[-1] / sample_rate, []
    for (song, _), sound in zip(songs, sounds, strict=True):
        if sung := " ".join(word.text for word in song.words if word.end <= seconds):
            try:
                heard = recogniser(sound[0], sample_rate, replace(song, duration=sounds.shape[-1]))
            except UserError:
                raise
            except ValueError:  # the recogniser does not know such songs
                continue
            rates.append(error_rate(sung, heard).rate)
    return figure(interval(rates, seed)) if rates else None


def table_of(figures: Mapping[str, Mapping[str, Any]], songs: int, protocol: str) -> Table:
    columns = {"log_mel": "log-mel, dB [95 %]", "kernel": "kernel distance", "cer": "characters wrong"}
    shown_columns = {name: title for name, title in columns.items() if any(row.get(name) for row in figures.values())}

    def cell(found: Mapping[str, Any] | None) -> str:
        return shown(found["value"], found["interval"], songs, 2) if found else "-"

    rows = tuple((name, *(cell(row.get(column)) for column in shown_columns)) for name, row in figures.items())
    return Table("attribution", ("true codes", *shown_columns.values()), rows, protocol)
