"""Errors of recognition against texts whose errors are known, and recognisers made here, tiny and untrained."""

import json

import numpy as np
import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.recognition import Errors, TransformersRecogniser, error_rate
from jukebox_pl.types import Song

SONG = Song("a", 16_000, 16_000)


@pytest.mark.parametrize(
    ("truth", "heard", "errors"),
    [
        ("la la", "la la", (0, 0, 0, 5)),
        ("La  la\n", "la LA", (0, 0, 0, 5)),
        ("la la", "", (0, 0, 5, 5)),
        ("abc", "xabc", (0, 1, 0, 3)),
        ("abc", "adc", (1, 0, 0, 3)),
        ("abc", "ab", (0, 0, 1, 3)),
        ("é", "e\u0301", (0, 0, 0, 1)),
        ("ab", "abababab", (0, 6, 0, 2)),  # nothing is cut off: babble costs
    ],
)
def test_errors_are_counted_apart(truth, heard, errors):
    assert error_rate(truth, heard) == Errors(*errors)


def test_rate_of_several_texts_counts_characters():
    both = Errors.total([error_rate("aaaa", "aaab"), error_rate("bb", "")])
    assert both == Errors(1, 0, 2, 6)
    assert both.rate == pytest.approx(0.5)


def test_there_is_no_rate_of_nothing():
    with pytest.raises(ValueError, match="no characters"):
        error_rate(" \n", "la")


def test_a_folder_without_a_checkpoint_is_refused_at_once(tmp_path):
    with pytest.raises(UserError, match=r"holds no config\.json"):
        TransformersRecogniser(str(tmp_path))


def noise(seconds):
    return torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, int(seconds * 11_025)).astype(np.float32))


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory):
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'jukebox_pl[align]'")
    folder = tmp_path_factory.mktemp("wav2vec2")
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        vocab_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "c"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    transformers.Wav2Vec2Processor(transformers.Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def test_a_ctc_checkpoint_hears_the_same_twice(wav2vec2):
    recogniser = TransformersRecogniser(str(wav2vec2))
    heard = recogniser(noise(2), 11_025, SONG)
    assert set(heard) <= set("abc <unk>/s")
    assert recogniser(noise(2), 11_025, SONG) == heard


def test_a_broken_checkpoint_is_told_in_one_line(wav2vec2, tmp_path):
    (tmp_path / "config.json").write_bytes(b"{broken")
    with pytest.raises(UserError, match="cannot be loaded as a speech recogniser") as raised:
        TransformersRecogniser(str(tmp_path))(noise(1), 11_025, SONG)
    assert "\n" not in str(raised.value)
