"""Alignment by a wav2vec 2.0 network with a CTC head, such as MMS, from a folder of yours."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError

from jukebox_pl import audio
from jukebox_pl.catalog.aligners.ctc import CTCAligner, Emissions
from jukebox_pl.catalog.separators.separator import cut
from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import letters

PIECE_SECONDS, MARGIN_SECONDS = 30, 2


class Checkpoint(NamedTuple):
    """A network of `transformers`, and what it takes and answers: samples at `sample_rate`, a frame every `hop`."""

    network: Any
    sample_rate: int
    hop: int
    normalize: bool
    vocabulary: dict[str, int]
    blank: int
    delimiter: tuple[int, ...]


class Wav2Vec2Aligner(CTCAligner):
    """`path`: a folder with config.json, vocab.json and weights of a Wav2Vec2ForCTC; nothing is downloaded.

    `language` chooses among the adapters of MMS, as `fra`. Raises UserError when the folder is none, or `transformers` is
    not installed.
    """

    def __init__(self, path: str, language: str | None = None):
        self.path, self.language = path, language
        if missing := [name for name in ("config.json", "vocab.json") if not (Path(path) / name).is_file()]:
            raise UserError(
                f"path={path} holds no {' and no '.join(missing)}: give the folder of a Wav2Vec2ForCTC checkpoint"
            )
        if not find_spec("transformers"):
            raise UserError("this aligner needs transformers: pip install 'jukebox_pl[align]'")

    @cached_property
    def checkpoint(self) -> Checkpoint:
        try:
            return load(self.path, self.language)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{self.path} cannot be loaded as a Wav2Vec2ForCTC ({reason})") from error

    def emissions(self, vocals: np.ndarray, sample_rate: int) -> Emissions:
        """In pieces, since attention over a whole song takes memory by its square."""
        import torch

        network, rate, hop, normalize, _, blank, delimiter = self.checkpoint
        mono = audio.resample(audio.downmix(vocals)[None], sample_rate, rate)[0]
        if normalize:
            mono = (mono - mono.mean()) / np.sqrt(mono.var() + 1e-7)  # as Wav2Vec2FeatureExtractor
        frames = -(-len(mono) // hop)
        mono = np.pad(mono, (0, (frames + 1) * hop - len(mono)))
        pieces = cut(frames, PIECE_SECONDS * rate // hop, MARGIN_SECONDS * rate // hop)
        heard = []
        with torch.inference_mode():
            for piece in pieces:
                sound = mono[piece.start * hop : (piece.stop + 1) * hop]  # a frame sees a little beyond its hop
                logits = network(torch.from_numpy(sound.astype(np.float32))[None]).logits[0]
                heard.append(piece.keep(logits.float().log_softmax(-1).T.numpy()))
        return Emissions(np.concatenate(heard, axis=1).T, hop / rate, blank, delimiter)

    def tokenize(self, word: str) -> list[int]:
        """Each character by its own token, else in the other case, else as the letters it folds to, else not at all."""
        vocabulary = self.checkpoint.vocabulary
        tokens: list[int] = []
        for character in word:
            plain = letters(character)
            spellings = (character, character.lower(), character.upper(), plain, plain.upper())
            spelling = next((each for each in spellings if set(each) <= vocabulary.keys()), "")
            tokens += [vocabulary[token] for token in spelling]
        return tokens


def load(path: str, language: str | None) -> Checkpoint:
    """Raises what `transformers` raises, and UserError on a checkpoint without its CTC head, which would be made up."""
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    chosen: dict[str, Any] = {"target_lang": language} if language else {}
    adapted = chosen | {"ignore_mismatched_sizes": True} if language else {}
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(path, local_files_only=True, **chosen)
    features = Wav2Vec2FeatureExtractor.from_pretrained(path, local_files_only=True)
    network, found = Wav2Vec2ForCTC.from_pretrained(path, local_files_only=True, output_loading_info=True, **adapted)
    if any(name.startswith("lm_head") for name in found["missing_keys"]):
        raise UserError(f"{path} has no CTC head: it was not trained to hear characters; fine-tune it, or take another")
    vocabulary = tokenizer.get_vocab()
    signs = {*tokenizer.all_special_tokens, tokenizer.word_delimiter_token}
    return Checkpoint(
        network.eval(),
        features.sampling_rate,
        network.config.inputs_to_logits_ratio,
        features.do_normalize,
        {token: number for token, number in vocabulary.items() if len(token) == 1 and token not in signs},
        tokenizer.pad_token_id,
        (vocabulary[tokenizer.word_delimiter_token],) if tokenizer.word_delimiter_token in vocabulary else (),
    )
