"""PocketSphinx: English that is close to speech. Its model and dictionary come with the package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from jukebox_pl import audio
from jukebox_pl.catalog.aligners.aligner import complete, match, require_alignment, seconds_of
from jukebox_pl.errors import UserError
from jukebox_pl.text import phonemes
from jukebox_pl.types import Word

RATE, FRAMES = 16_000, 100  # a second
NO_WORD = ("<", "[", "+")  # how its silences and noises begin
IPA_TO_ARPABET = (
    "ɑ:AA æ:AE a:AE ʌ:AH ə:AH ɐ:AH ɔ:AO o:AO aʊ:AW aɪ:AY ɛ:EH e:EH ɚ:ER ɜ:ER ɝ:ER eɪ:EY ɪ:IH ᵻ:IH i:IY oʊ:OW ɔɪ:OY ʊ:UH "
    "u:UW b:B tʃ:CH d:D ð:DH f:F ɡ:G h:HH dʒ:JH k:K x:K l:L m:M n:N ŋ:NG p:P ɹ:R r:R s:S ʃ:SH t:T ɾ:T ʔ:T θ:TH v:V w:W "
    "j:Y z:Z ʒ:ZH"
)
ARPABET = dict(pair.split(":") for pair in IPA_TO_ARPABET.split())
PHONE = re.compile("|".join(sorted(ARPABET, key=len, reverse=True)))


@dataclass
class SphinxAligner:
    """Raises UserError when the package is not installed, and in a call when less than the share `coverage` of the words
    is found, as on most singing: put it into a `Chain` before an aligner that always answers.

    Words that are not in its dictionary are sounded by espeak-ng where that is installed. Those not found fit between
    their neighbours. `beam` is how unlikely a path may become: a wider one, as 1e-64, takes minutes a
    song of real music.
    """

    coverage: float = 0.8
    beam: float = 1e-48

    def __post_init__(self) -> None:
        if not find_spec("pocketsphinx"):
            raise UserError("this aligner needs pocketsphinx: pip install 'jukebox_pl[align]'")

    @cached_property
    def decoder(self) -> Any:
        from pocketsphinx import Decoder

        beams = dict.fromkeys(("beam", "pbeam", "wbeam"), self.beam)
        return Decoder(lm=None, loglevel="FATAL", samprate=RATE, **beams)

    def __call__(self, vocals: np.ndarray, sample_rate: int, lyrics: str) -> list[Word]:
        seconds, texts = seconds_of(vocals, sample_rate), lyrics.split()
        if not texts:
            return []
        plain = [phonemes.bare(text).replace("’", "'") for text in texts]  # as the dictionary has them
        known = [word for word in plain if self._knows(word)]
        if not known:
            raise UserError("no word of these lyrics is one that pocketsphinx knows: it hears English")
        sound = audio.resample(audio.downmix(vocals)[None], sample_rate, RATE)[0]
        spans = match(texts, [word._replace(end=min(word.end, seconds)) for word in self._find(known, sound)], self.coverage)
        return require_alignment(complete(texts, spans, seconds), lyrics, seconds)

    def _knows(self, word: str) -> bool:
        """Whether a word can be heard, once it has been added to the dictionary where need be."""
        if not word or self.decoder.lookup_word(word):
            return bool(word)
        phones = sound_out(word)
        if phones:
            self.decoder.add_word(word, " ".join(phones))
        return bool(phones)

    def _find(self, words: list[str], sound: np.ndarray) -> list[Word]:
        """Those of the words that are heard in sound [T] at RATE; the last one's frame may end beyond it."""
        samples = (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
        self.decoder.set_align_text(" ".join(words))
        self.decoder.start_utt()
        self.decoder.process_raw(samples, full_utt=True)
        self.decoder.end_utt()
        runs = [run for run in self.decoder.seg() or () if not run.word.startswith(NO_WORD)]
        return [Word(run.word.partition("(")[0], run.start_frame / FRAMES, (run.end_frame + 1) / FRAMES) for run in runs]


def sound_out(word: str) -> list[str]:
    """The phones of a word by espeak-ng, none where that is not installed."""
    try:
        spoken = phonemes.spell([word], "en-us")[word]
    except UserError:
        return []
    return [ARPABET[phone] for phone in PHONE.findall(spoken)]
