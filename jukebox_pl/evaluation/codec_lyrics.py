"""How much of the lyrics the codes of each level keep, to who listens to them."""

from __future__ import annotations

from typing import Any

from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.intervals import figure, interval, shown
from jukebox_pl.evaluation.recognition import Recogniser, accustomed_to, error_rate
from jukebox_pl.evaluation.suite import CANNOT_TELL, Evidence, SongAudio, Table


def lyrics_kept(evidence: Evidence, recogniser: Recogniser) -> tuple[dict[str, Any], tuple[Table, ...]]:
    """Character error rates of whole songs as they are and through every level; no table where they cannot be told."""
    vqvae, rate = evidence.bundle.vqvae, evidence.bundle.sample_rate

    def rates(song: SongAudio) -> list[float]:
        if not song.song.lyrics.strip():
            return []
        heard = [(recogniser, song.audio)]
        for level, codes in enumerate(vqvae.encode_long(song.audio)):
            heard.append((accustomed_to(recogniser, vqvae, level), vqvae.decode_long(codes, level)))
        return [error_rate(song.song.lyrics, listen(sound[0, 0], rate, song.song)).rate for listen, sound in heard]

    try:
        songs = [found for found in map(rates, evidence.songs) if found]
    except UserError:
        raise
    except ValueError as reason:  # the recogniser does not know such songs
        return {CANNOT_TELL: str(reason)}, ()
    if not songs:
        return {CANNOT_TELL: "no song has lyrics"}, ()
    names = ["true sound", *(f"codes of level {level}" for level in range(len(vqvae.hops)))]
    found = {name: interval(values, evidence.seed) for name, values in zip(names, zip(*songs, strict=True), strict=True)}
    rows = tuple((name, shown(*mean, len(songs))) for name, mean in found.items())
    note = (
        f"{len(songs)} {evidence.kind} with lyrics, whole; {type(recogniser).__name__} listens, accustomed to the level "
        "where it can learn; 0 is perfect, silence is 1"
    )
    figures = {name: figure(mean) for name, mean in found.items()}
    return {"songs": len(songs), "cer": figures}, (Table("codec: lyrics", ("", "characters wrong [95 %]"), rows, note),)
