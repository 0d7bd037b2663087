"""How much of the lyrics the codes of each level keep, to who listens to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jukebox_pl.evaluation.intervals import interval_of, shown
from jukebox_pl.evaluation.recognition import Errors, Recogniser, error_rate
from jukebox_pl.evaluation.suite import Evidence, SongAudio, Table


def lyrics_kept(evidence: Evidence, recogniser: Recogniser) -> tuple[dict[str, Any], tuple[Table, ...]]:
    """Character error rates of whole songs as they are and through every level; no table where no song has lyrics."""
    vqvae, rate = evidence.bundle.vqvae, evidence.bundle.sample_rate

    def heard(song: SongAudio) -> list[Errors]:
        if not song.song.lyrics.strip():
            return []
        codes = enumerate(vqvae.encode_long(song.audio))
        sounds = [song.audio, *(vqvae.decode_long(of_level, level) for level, of_level in codes)]
        return [error_rate(song.song.lyrics, recogniser(sound[0, 0], rate, song.song)) for sound in sounds]

    if not (songs := [errors for errors in map(heard, evidence.songs) if errors]):
        return {"songs": 0}, ()
    names = ["true sound", *(f"codes of level {level}" for level in range(len(vqvae.hops)))]
    found = {
        name: rate_interval(errors, evidence.seed) for name, errors in zip(names, zip(*songs, strict=True), strict=True)
    }
    rows = tuple((name, shown(*rates, len(songs))) for name, rates in found.items())
    note = (
        f"{len(songs)} {evidence.kind} with lyrics, whole; {type(recogniser).__name__} listens; 0 is perfect, silence is 1"
    )
    figures = {name: {"value": value, "interval": bounds} for name, (value, bounds) in found.items()}
    return {"songs": len(songs), "cer": figures}, (Table("codec: lyrics", ("", "characters wrong [95 %]"), rows, note),)


def rate_interval(errors: Sequence[Errors], seed: int) -> tuple[float, list[float]]:
    """Errors a true character over all songs, each with its Errors, and the 95 % interval over songs."""
    lengths = np.array([error.length for error in errors])
    edits = np.array([error.rate for error in errors]) * lengths
    return interval_of(lambda times: float(times @ edits / (times @ lengths)), [len(errors)], seed)
