"""Whether songs sing their lyrics: where the prior looks while it writes, and what a recogniser hears of the words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.intervals import interval, shown
from jukebox_pl.evaluation.lyric_attention import Head, LyricHeads, to_figures
from jukebox_pl.evaluation.recognition import Errors, Recogniser, accustomed_to, error_rate
from jukebox_pl.evaluation.suite import Answer, CannotTell, Evidence, Picture, SongAudio, Table
from jukebox_pl.models.lyric_attention import lyric_attention, lyric_layers
from jukebox_pl.types import Labels, SampledSong, Song

SAMPLED, OTHERS, FLOOR, TOP_ALONE = "sampled", "chance", "floor", "top_alone"
NO_RECOGNISER = (
    "nobody listens: that takes recogniser=FOLDER (wav2vec 2.0, Whisper), or for songs of the demo recogniser=demo"
)
WHAT = {
    FLOOR: "recordings",
    "codec_bottom": "recordings through the codec, bottom level",
    "codec_top": "recordings through the codec, top level",
    SAMPLED: "sampled songs",
    TOP_ALONE: "sampled songs, top level alone",
    OTHERS: "sampled songs, lyrics of others (chance)",
}


@dataclass(frozen=True)
class LyricsQuestion:
    """Attention of every head to what is sung in `windows` windows of each song, and character error rates.

    Whole songs are sampled under whole lyrics, once each, heard in one greedy pass, and compared with nothing cut off: there
    is no choice among candidates. `recogniser` None leaves that half out.
    """

    recogniser: Recogniser | None = None
    windows: int = 4

    def __call__(self, evidence: Evidence) -> Answer:
        """Raises CannotTell when no prior reads lyrics, or no song has any."""
        bundle = evidence.bundle
        top, hops = max(bundle.priors), bundle.vqvae.hops
        prior, labeller = bundle.priors[top], bundle.labellers[top]
        if not lyric_layers(prior):
            raise CannotTell("no prior of this bundle reads lyrics: that takes the stage lyrics_prior or joint_prior")
        heads = LyricHeads(prior, labeller, hops[top], self.windows)
        listener = Listener(evidence, self.recogniser)
        pictures: dict[str, Picture] = {}

        def study(song: SongAudio) -> None:
            if not song.song.lyrics.strip():
                return
            codes = bundle.vqvae.encode_long(song.audio)
            heads.add(song.song, codes[top][0])
            if not pictures and (best := heads.best()):
                pictures[f"attention of layer {best[0]}, head {best[1]}"] = picture(heads, song.song, codes[top], best)
            listener.hear_recording(song, codes)

        for _ in map(study, evidence.songs):
            pass
        best = heads.best()
        if best is None:
            raise CannotTell(f"none of the {len(evidence.songs)} {evidence.kind} has lyrics: that takes one that has")
        samples = listener.hear_samples()
        recognition = listener.figures()
        figures = {**recognition, "attention": attention_figures(heads, best, evidence.seed)}
        tables = attention_table(heads, evidence.kind), *listener.tables()
        sounds = {f"sampled: {song.title or song.id}": made.audio[0] for song, made in samples[:1]}
        return Answer(figures, tables, pictures, sounds)


class Listener:
    """What the recogniser hears of as many songs as are sampled, and of what is made under their lyrics."""

    def __init__(self, evidence: Evidence, recogniser: Recogniser | None):
        self.evidence, self.recogniser = evidence, recogniser
        self.songs: list[Song] = []
        self.errors: dict[str, list[Errors]] = {kind: [] for kind in WHAT}
        self.unaccustomed: dict[str, list[Errors]] = {kind: [] for kind in WHAT}  # to the codec
        self.chance: list[float] = []  # mean over the lyrics of the others, of each song
        self.reason = "" if recogniser else NO_RECOGNISER

    def hear_recording(self, song: SongAudio, codes: Sequence[Tensor]) -> None:
        """Of a song with lyrics and its codes [1, T] by level: itself, and what the codec leaves of it."""
        if self.reason or len(self.songs) >= self.evidence.sample_count:
            return
        vqvae, top = self.evidence.bundle.vqvae, len(codes) - 1
        try:
            self._judge(FLOOR, song.audio[0, 0], song.song)
            for kind, level in (("codec_bottom", 0), ("codec_top", top)):
                self._judge(kind, vqvae.decode_long(codes[level], level)[0, 0], song.song, level)
        except UserError:
            raise
        except ValueError as error:  # a recogniser that does not know such songs
            self.reason = str(error)
            return
        self.songs.append(song.song)

    def hear_samples(self) -> list[tuple[Song, SampledSong]]:
        """The songs sampled anew, each whole; none where nobody listens."""
        evidence, vqvae = self.evidence, self.evidence.bundle.vqvae
        samples, texts = [], []
        for number, song in enumerate(self.songs):
            (made,) = evidence.sample([song], evidence.seed + number, seconds=song.duration / song.sample_rate)
            top = max(made.codes)
            texts.append(self._judge(SAMPLED, made.audio[0], song, 0))
            preview = vqvae.decode_long(made.codes[top][None], top)[0, 0]
            self._judge(TOP_ALONE, preview, song, top)
            samples.append((song, made))
        for song, text in zip(self.songs, texts, strict=True):
            others = [error_rate(other.lyrics, text) for other in self.songs if other.lyrics != song.lyrics]
            if others:
                self.errors[OTHERS].append(Errors.total(others))
                self.chance.append(float(np.mean([errors.rate for errors in others])))
        return samples

    def figures(self) -> dict[str, Any]:
        """`cer` is that of the sampled songs, None where there is none for the reason in `no_cer`; the others beside it."""
        if not self.songs:
            return {"cer": None, "no_cer": self.reason or "no song is sampled: that takes samples=1 or more"}
        found = {kind: self._rate(kind) for kind in WHAT}
        total = Errors.total(self.errors[SAMPLED])
        return {
            **(found[SAMPLED] or {}),
            "songs": len(self.songs),
            "errors": total._asdict(),
            FLOOR: found[FLOOR],
            "codec": {"bottom": found["codec_bottom"], "top": found["codec_top"]},
            TOP_ALONE: found[TOP_ALONE],
            OTHERS: found[OTHERS],
            "unaccustomed": {kind: rate_figures(found, self.evidence.seed) for kind, found in self._strangers().items()},
        }

    def tables(self) -> list[Table]:
        if not self.songs:
            return []
        rows = []
        for kind, what in WHAT.items():
            if (found := self._rate(kind)) and self.errors[kind]:
                total = Errors.total(self.errors[kind])
                shares = (f"{100 * count / total.length:.0f} %" for count in total[:3])
                strange = rate_figures(self._strangers().get(kind, []), self.evidence.seed)
                by_stranger = f"{strange['cer']:.2f}" if strange else "-"
                rows.append((what, shown(found["cer"], found["interval"], len(self.songs)), *shares, by_stranger))
        columns = ("heard", "characters wrong [95 %]", "others instead", "added", "left out", "wrong to a stranger")
        note = (
            f"{len(self.songs)} {self.evidence.kind}, whole, each sampled once from seed {self.evidence.seed} on; one "
            "greedy pass of the recogniser, nothing cut off, no choice among candidates. It has learned what songs sound "
            "like through the level, where it can learn; to a stranger: where it has not"
        )
        return [Table("lyrics", columns, tuple(rows), note)]

    def _rate(self, kind: str) -> dict[str, Any] | None:
        if kind != OTHERS:
            return rate_figures(self.errors[kind], self.evidence.seed)
        return interval_figures(self.chance, self.evidence.seed)

    def _strangers(self) -> dict[str, list[Errors]]:
        return {kind: errors for kind, errors in self.unaccustomed.items() if errors}

    def _judge(self, kind: str, audio: Tensor, song: Song, level: int | None = None) -> str:
        """Counts what is heard wrong in audio [T], which comes through a level of the codec; returns what is heard."""
        recogniser, bundle = self.recogniser, self.evidence.bundle
        assert recogniser
        accustomed = recogniser if level is None else accustomed_to(recogniser, bundle.vqvae, level)
        text = accustomed(audio.cpu(), bundle.sample_rate, song)
        self.errors[kind].append(error_rate(song.lyrics, text))
        if accustomed is not recogniser:
            heard = recogniser(audio.cpu(), bundle.sample_rate, song)
            self.unaccustomed[kind].append(error_rate(song.lyrics, heard))
        return text


def rate_figures(errors: Sequence[Errors], seed: int) -> dict[str, Any] | None:
    return interval_figures([song.rate for song in errors], seed)


def interval_figures(rates: Sequence[float], seed: int) -> dict[str, Any] | None:
    if not rates:
        return None
    mean, bounds = interval(rates, seed)
    return {"cer": mean, "interval": bounds}


def attention_figures(heads: LyricHeads, best: Head, seed: int) -> dict[str, Any]:
    """The best head, and all of them in `heads`; a head that looks anywhere has a share of `chance`."""
    looks = heads.looks()
    shares = [song[best].share for song in heads.songs if np.isfinite(song[best].share)]
    return {
        **to_figures(best, looks[best]),
        "interval": interval(shares, seed)[1] if shares else None,
        "chance": heads.chance,
        "songs": len(heads.songs),
        "windows": heads.windows,
        "heads": [to_figures(head, found) for head, found in looks.items()],
    }


def attention_table(heads: LyricHeads, kind: str) -> Table:
    """The heads that see the lyrics, the ones that follow them best first."""
    looks: Mapping[Head, Any] = heads.looks()
    ranked = sorted(looks, key=lambda head: (np.nan_to_num(looks[head].share), looks[head].monotonicity), reverse=True)
    rows = [
        (*map(str, head), *(f"{number:.2f}" if np.isfinite(number) else "-" for number in looks[head])) for head in ranked
    ]
    columns = ("layer", "head", "within 1 character", "characters away", "seconds away", "rank correlation with time")
    note = (
        f"{len(heads.songs)} {kind}, {heads.windows} windows of each; a head that looks anywhere has "
        f"{heads.chance:.3f} within 1 character"
    )
    return Table("attention to the lyrics", columns, tuple(rows[:8]), note)


def picture(heads: LyricHeads, song: Song, codes: Tensor, head: Head) -> Picture:
    """What one head looks at in the first window of codes [1, T]."""
    prior, hop = heads.prior, heads.samples_per_code
    window = codes[:, : prior.ctx]
    labels = Labels.stack([heads.labeller.labels(song, 0, prior.ctx * hop)]).to(codes.device)
    ((_, weights),) = lyric_attention(prior, window, prior.condition(labels), [head[0]])
    looks = weights[:, head[1]].float().mT  # [1, L, T]
    looks = F.adaptive_max_pool2d(looks, (looks.shape[1], min(looks.shape[2], 1000)))[0]
    return Picture(looks.cpu().numpy(), window.shape[1] * hop / song.sample_rate, "lyric tokens of the window")
