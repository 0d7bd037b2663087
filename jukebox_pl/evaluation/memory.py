"""How close the samples come to songs that the bundle was trained on, beside how close songs come that it never heard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.code_index import group_codes
from jukebox_pl.evaluation.similarity import FingerprintAgreement, Match, MelCorrelation, SharedCodes, Similarity
from jukebox_pl.evaluation.suite import Answer, CannotTell, Evidence, SongAudio, Songs, Table
from jukebox_pl.types import SampledSong, Song

COPIES, COPIES_NOT, UNKNOWN = "copies", "does not copy", "cannot tell"
CODES_A_GROUP = 4  # measured: DECISIONS.md, "How runs of codes survive"
FALSE_ALARM = 0.05  # the chance that any sample is called a copy where none is
FEWEST_EXCERPTS = 8  # of held-out songs; from fewer nobody knows what chance does
HEARD_SECONDS = 3.0  # the least that is played of a copy

Features = list[np.ndarray]  # of one sound, one for each similarity


class Comparison(NamedTuple):
    """What one similarity found: the samples' closest places, and how close excerpts come that were never heard.

    `perfect` are the scores of the samples against themselves: a copy that would stay below the threshold is not seen.
    """

    similarity: Similarity
    matches: list[Match]
    perfect: list[float]
    chance: list[float]
    threshold: float

    def verdict(self, sample: int) -> str:
        if self.matches[sample].score > self.threshold:
            return COPIES
        return COPIES_NOT if self.perfect[sample] > self.threshold else UNKNOWN


@dataclass(frozen=True)
class Memory:
    """Compares every sample with the first `songs` training songs: by shared runs of codes of the top level, which decides
    what is played, by mel spectrum and by fingerprint. What comes closer than chance is called a copy.

    Chance is what some `excerpts` excerpts of held-out songs come to, as long as the samples and decoded as they are.
    """

    songs: int = 100  # to encode 100 songs of four minutes takes 20 minutes of a CPU
    excerpts: int = 32

    def __call__(self, evidence: Evidence) -> Answer:
        """Raises CannotTell without samples, training songs, or enough held-out songs as long as the samples."""
        if not evidence.held_out:
            raise CannotTell("no song is held out, and only those show how close chance comes: prepare with held_out=0.1")
        bundle, samples = evidence.bundle, [sample.sampled for sample in evidence.samples]
        similarities, length = similarities_of(bundle), samples[0].audio.shape[-1]
        each = math.ceil(self.excerpts / max(len(evidence.songs), 1))
        unheard = list(
            chain.from_iterable(map(partial(of_excerpts, bundle, similarities, length=length, count=each), evidence.songs))
        )
        seconds = f"{length / bundle.sample_rate:.3g} s"
        if len(unheard) < FEWEST_EXCERPTS:
            found = f"{len(unheard)} excerpts of {seconds} are all that the held-out songs give"
            raise CannotTell(f"{found}: to know what chance does takes {FEWEST_EXCERPTS}, so more songs or shorter samples")
        trained = list(map(partial(of_song, bundle, similarities), islice(evidence.training, self.songs)))
        if not trained:
            raise CannotTell("there is no training song to compare with: that takes the shards that it was trained on")
        songs, known = zip(*trained, strict=True)
        sampled = [
            features(similarities, sample.audio, [sample.codes[level] for level in sorted(sample.codes)])
            for sample in samples
        ]
        compared = [compare(i, similarity, known, unheard, sampled) for i, similarity in enumerate(similarities)]
        protocol = f"{len(samples)} samples of {seconds}; {len(known)} of {len(evidence.training)} training songs; "
        protocol += f"chance: {len(unheard)} excerpts of {len(evidence.songs)} held-out songs"
        return Answer(
            figures(compared, songs) | {"protocol": protocol},
            (table_of(compared, songs, protocol),),
            sounds=pairs(compared, songs, samples, evidence.training),
        )


def similarities_of(bundle: Bundle) -> list[Similarity]:
    vqvae, rate, top = bundle.vqvae, bundle.sample_rate, len(bundle.vqvae.hops) - 1
    vectors = vqvae.levels[top].codebook.codes.cpu().numpy()
    groups = group_codes(vectors, max(vqvae.bins // CODES_A_GROUP, 1))
    return [SharedCodes(top, groups, vqvae.hops[top] / rate), MelCorrelation(rate), FingerprintAgreement(rate)]


def features(similarities: Sequence[Similarity], audio: Tensor, codes: Sequence[Tensor]) -> Features:
    """Of audio of N samples and codes [..., T_l] of every level, bottom first."""
    sound, levels = audio.flatten().cpu().numpy(), [level.flatten().cpu().numpy() for level in codes]
    return [similarity.features(sound, levels) for similarity in similarities]


def of_song(bundle: Bundle, similarities: Sequence[Similarity], song: SongAudio) -> tuple[Song, Features]:
    return song.song, features(similarities, song.audio, bundle.vqvae.encode_long(song.audio))


def of_excerpts(
    bundle: Bundle, similarities: Sequence[Similarity], song: SongAudio, length: int, count: int
) -> list[Features]:
    """Of up to `count` excerpts of `length` samples, through the codec; evenly spread, overlapping by half at most."""
    hop, room = bundle.vqvae.hops[-1], song.audio.shape[-1] - length
    count = min(count, 1 + 2 * room // length) if room >= 0 else 0
    found = []
    for i in range(count):
        start = room * i // max(count - 1, 1) // hop * hop
        codes = bundle.vqvae.encode_long(song.audio[..., start : start + length])
        found.append(features(similarities, bundle.vqvae.decode_long(codes[0]), codes))
    return found


def compare(
    i: int, similarity: Similarity, known: Sequence[Features], unheard: Sequence[Features], sampled: Sequence[Features]
) -> Comparison:
    """By the features that `similarity` made, which are the `i`-th of every sound."""
    songs, excerpts, sounds = ([sound[i] for sound in group] for group in (known, unheard, sampled))
    found = similarity.nearest(songs, excerpts + sounds)
    chance, matches = [match.score for match in found[: len(excerpts)]], found[len(excerpts) :]
    perfect = [similarity.nearest([sound], [sound])[0].score for sound in sounds]
    return Comparison(similarity, matches, perfect, chance, threshold(chance, len(sampled) * len(sampled[0])))


def threshold(chance: Sequence[float], tests: int) -> float:
    """The score that `tests` maxima which chance makes all stay below in 95 of 100 evaluations; at least the highest seen.

    Maxima have a Gumbel distribution, fitted by its moments; Karlin and Altschul (1990) have it for the longest runs.
    """
    scale = math.sqrt(6) / math.pi * float(np.std(chance))
    quantile = (1 - FALSE_ALARM) ** (1 / tests)
    return max(*chance, float(np.mean(chance)) - scale * (np.euler_gamma + math.log(-math.log(quantile))))


def verdict(compared: Sequence[Comparison], sample: int) -> str:
    """Of all similarities together: one that sees a copy is enough, and one that would have seen it."""
    found = {comparison.verdict(sample) for comparison in compared}
    return next(word for word in (COPIES, COPIES_NOT, UNKNOWN) if word in found)


def figures(compared: Sequence[Comparison], songs: Sequence[Song]) -> dict[str, Any]:
    verdicts = [verdict(compared, sample) for sample in range(len(compared[0].matches))]
    return {
        "verdict": next(word for word in (COPIES, UNKNOWN, COPIES_NOT) if word in verdicts),
        "samples": verdicts,
        "similarities": {
            comparison.similarity.name: {
                "unit": comparison.similarity.unit,
                "threshold": comparison.threshold,
                "chance": comparison.chance,
                "samples": [
                    match._asdict() | {"song": songs[match.song].id if match.score else None, "perfect": perfect}
                    for match, perfect in zip(comparison.matches, comparison.perfect, strict=True)
                ],
            }
            for comparison in compared
        },
    }


def table_of(compared: Sequence[Comparison], songs: Sequence[Song], note: str) -> Table:
    rows = []
    for sample in range(len(compared[0].matches)):
        for comparison in compared:
            match, median = comparison.matches[sample], float(np.median(comparison.chance))
            scores = (f"{score:.3g}" for score in (match.score, median, comparison.threshold))
            place = f"{name(songs[match.song])} at {match.song_seconds:.1f} s, {match.seconds:.1f} s" if match.score else "-"
            rows.append((str(sample), comparison.similarity.name, *scores, place, comparison.verdict(sample)))
    columns = ("sample", "by", "closest", "chance", "copy above", "training song", "verdict")
    return Table("memory of training songs", columns, tuple(rows), note)


def name(song: Song) -> str:
    return song.title or song.id


def pairs(
    compared: Sequence[Comparison], songs: Sequence[Song], samples: Sequence[SampledSong], training: Songs
) -> dict[str, Tensor]:
    """To hear what was copied: the place in a sample and the one in its song, for the first similarity that says so."""
    found: dict[int, Match] = {}
    for comparison in reversed(compared):
        found |= {i: match for i, match in enumerate(comparison.matches) if comparison.verdict(i) == COPIES}
    sounds = {}
    wanted = {songs[match.song].id for match in found.values()}
    for song, audio in filter(lambda song: song.song.id in wanted, training if wanted else ()):
        for i, match in sorted(found.items()):
            if songs[match.song].id == song.id:
                for what, sound, start in (
                    (f"sample {i}", samples[i].audio, match.start_seconds),
                    (f"{name(song)}, a training song,", audio, match.song_seconds),
                ):
                    rate = samples[i].sample_rate
                    first = round(start * rate)
                    length = round(max(match.seconds, HEARD_SECONDS) * rate)
                    sounds[f"{what} from {start:.1f} s"] = sound.flatten()[first : first + length]
    return sounds
