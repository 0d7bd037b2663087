"""What a listener hears of the words, and how far that is from the lyrics: errors by character."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from jukebox_pl import audio as sound
from jukebox_pl.errors import UserError
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.types import Song

PIECE_SECONDS, MARGIN_SECONDS = 30, 3  # CTC over a whole song would take memory by the square of its length


class Recogniser(Protocol):
    """Hears the words of audio [T] in one greedy pass. `song` tells what was to be sung: its length, rate and language.

    Whoever listens must not read the lyrics there.
    """

    def __call__(self, audio: Tensor, sample_rate: int, song: Song) -> str: ...

    def __hash__(self) -> int: ...


@cache  # what has been learned once serves every question
def accustomed_to(recogniser: Recogniser, vqvae: VQVAE, level: int) -> Recogniser:
    """The recogniser when it has learned how songs sound through a level of a codec; itself, where it cannot learn.

    One that can has a method `accustomed`, which takes a function from audio [T] to [T].
    """

    @torch.inference_mode()
    def through(audio: Tensor) -> Tensor:
        whole = F.pad(audio, (0, -len(audio) % vqvae.hops[-1]))[None, None]
        (codes,) = vqvae.encode(whole, [level])
        return vqvae.decode(codes, level)[0, 0, : len(audio)]

    learn = getattr(recogniser, "accustomed", None)
    return learn(through) if learn else recogniser


class Errors(NamedTuple):
    """What turns a true text of `length` characters into the one heard, at the fewest edits."""

    substitutions: int
    insertions: int
    deletions: int
    length: int

    @property
    def rate(self) -> float:
        """Edits a true character: 0 is perfect, silence is 1, and babble is beyond 1."""
        return (self.substitutions + self.insertions + self.deletions) / self.length

    @classmethod
    def total(cls, errors: Iterable[Errors]) -> Errors:
        return cls(*(sum(counts) for counts in zip(*errors, strict=True)))


def error_rate(truth: str, heard: str) -> Errors:
    """Errors over the characters of whole texts, alike in case, blanks and composition; signs count.

    Raises ValueError when the truth is empty, for which there is no rate.
    """
    truth, heard = plain(truth), plain(heard)
    if not truth:
        raise ValueError("there are no characters to be heard")
    edits = Counter(edit.tag for edit in Levenshtein.editops(truth, heard))
    return Errors(edits["replace"], edits["insert"], edits["delete"], len(truth))


def plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())


class TransformersRecogniser:
    """`path`: a folder with a CTC checkpoint (wav2vec 2.0, HuBERT) or a Whisper of `transformers`; nothing is downloaded.

    `language`, as `english`, keeps Whisper from guessing. Greedy: one candidate, no sampling, no language model. Raises
    UserError when the folder is none, or `transformers` is not installed.
    """

    def __init__(self, path: str, language: str | None = None):
        self.path, self.language = path, language
        if not (Path(path) / "config.json").is_file():
            raise UserError(f"{path} holds no config.json: give the folder of a speech recogniser of transformers")
        if not find_spec("transformers"):
            raise UserError("this recogniser needs transformers: pip install 'jukebox_pl[align]'")

    def __call__(self, audio: Tensor, sample_rate: int, song: Song) -> str:
        rate = self.pipeline.feature_extractor.sampling_rate
        mono = sound.resample(audio.detach().cpu().float().numpy()[None], sample_rate, rate)[0]
        if self.pipeline.type == "ctc":
            how: dict[str, Any] = {"chunk_length_s": PIECE_SECONDS, "stride_length_s": MARGIN_SECONDS}
        else:  # Whisper goes on by itself from where the last words of a piece ended
            spoken = {"language": self.language, "task": "transcribe"} if self.language else {}
            how = {"return_timestamps": True, "generate_kwargs": {"num_beams": 1, "do_sample": False, **spoken}}
        return str(self.pipeline({"raw": mono, "sampling_rate": rate}, **how)["text"])

    @cached_property
    def pipeline(self) -> Any:
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor, pipeline

        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            names = AutoConfig.from_pretrained(self.path, **local).architectures or [""]
            kind = AutoModelForCTC if names[0].endswith("ForCTC") else AutoModelForSpeechSeq2Seq
            network, found = kind.from_pretrained(self.path, output_loading_info=True, **local)
            processor = AutoProcessor.from_pretrained(self.path, **local)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{self.path} cannot be loaded as a speech recogniser ({reason})") from error
        if found["missing_keys"]:
            raise UserError(f"{self.path} was not trained to write down what it hears: it lacks {found['missing_keys'][0]}")
        parts = {"tokenizer": processor.tokenizer, "feature_extractor": processor.feature_extractor}
        return pipeline("automatic-speech-recognition", model=network.eval(), device="cpu", **parts)
