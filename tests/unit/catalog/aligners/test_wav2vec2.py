"""Checkpoints of wav2vec 2.0, made here, tiny and untrained: what is loaded, spelt and cut into pieces."""

import json
import pickle

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs transformers: pip install 'jukebox_pl[align]'")
import torch
from safetensors.torch import save_file
from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, Wav2Vec2Model

from jukebox_pl.catalog.aligners import wav2vec2
from jukebox_pl.catalog.aligners.wav2vec2 import Wav2Vec2Aligner
from jukebox_pl.errors import UserError

RATE = 16_000
SIGNS = ("<pad>", "<s>", "</s>", "<unk>", "|")
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "pad_token_id": 0,
}


def vocabulary(characters):
    return {token: number for number, token in enumerate([*SIGNS, *characters])}


def save(folder, characters="abcdé'", network=Wav2Vec2ForCTC, **settings):
    torch.manual_seed(0)
    network(Wav2Vec2Config(vocab_size=len(vocabulary(characters)), **(TINY | settings))).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary(characters)))
    Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("wav2vec2"))


def noise(seconds, rate=RATE, channels=1):
    return np.random.default_rng(0).normal(0, 0.1, (channels, round(seconds * rate))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.05, 1.0, 3.017])
def test_there_is_a_frame_every_20_milliseconds(folder, seconds):
    heard = Wav2Vec2Aligner(folder).emissions(noise(seconds), RATE)
    assert heard.log_probs.shape == (-(-round(seconds * RATE) // 320), 11)
    assert (heard.frame_seconds, heard.blank, heard.delimiter) == (0.02, 0, (4,))
    np.testing.assert_allclose(np.exp(heard.log_probs).sum(1), 1, atol=1e-5)


def test_pieces_are_slices_of_the_whole(tmp_path, monkeypatch):
    folder = save(tmp_path, num_hidden_layers=0, feat_extract_norm="layer")  # without attention what is far is not heard
    sound = noise(9.1)
    whole = Wav2Vec2Aligner(folder).emissions(sound, RATE).log_probs
    monkeypatch.setattr(wav2vec2, "PIECE_SECONDS", 2)
    np.testing.assert_allclose(Wav2Vec2Aligner(folder).emissions(sound, RATE).log_probs, whole, atol=1e-4)


def test_every_word_has_a_place_at_any_rate_and_loudness(folder):
    aligner = Wav2Vec2Aligner(folder)
    lyrics = "abc Dé\nb'a 日本 —\ncab"
    words = aligner(noise(4, 44_100, channels=2), 44_100, lyrics)
    assert [word.text for word in words] == lyrics.split()
    louder = aligner(5 * noise(4, 44_100, channels=2), 44_100, lyrics)
    np.testing.assert_allclose([word.start for word in louder], [word.start for word in words], atol=0.021)


def test_it_travels_to_another_process_before_it_loads(folder):
    assert "checkpoint" not in vars(pickle.loads(pickle.dumps(Wav2Vec2Aligner(folder))))


@pytest.mark.parametrize(
    ("word", "tokens"),
    [("ab", "ab"), ("AB", "ab"), ("é", "é"), ("è", ""), ("d'A!", "d'a"), ("çà", "ca"), ("日", ""), ("", ""), ("b|d", "bd")],
)
def test_a_word_is_spelt_by_what_there_is(folder, word, tokens):
    known = vocabulary("abcdé'")
    assert Wav2Vec2Aligner(folder).tokenize(word) == [known[character] for character in tokens]


def test_capitals_are_spelt_where_there_are_only_capitals(tmp_path):
    assert Wav2Vec2Aligner(save(tmp_path, "AE")).tokenize("Éa") == [6, 5]


def test_an_adapter_of_a_language_is_chosen(tmp_path):
    languages = {"eng": vocabulary("abc"), "fra": vocabulary("abcéè")}
    save(tmp_path, "abc", adapter_attn_dim=4, do_stable_layer_norm=True)
    (tmp_path / "vocab.json").write_text(json.dumps(languages))
    Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"), target_lang="eng").save_pretrained(tmp_path)
    for language, tokens in languages.items():
        config = Wav2Vec2Config(vocab_size=len(tokens), adapter_attn_dim=4, do_stable_layer_norm=True, **TINY)
        adapter = Wav2Vec2ForCTC(config)._get_adapters()
        save_file({name: tensor.detach() for name, tensor in adapter.items()}, tmp_path / f"adapter.{language}.safetensors")
    aligner = Wav2Vec2Aligner(str(tmp_path), "fra")
    assert len(aligner(noise(2), RATE, "abc é è")) == 3
    assert aligner.emissions(noise(1), RATE).log_probs.shape[1] == len(languages["fra"])
    with pytest.raises(UserError, match="cannot be loaded as a Wav2Vec2ForCTC"):
        Wav2Vec2Aligner(str(tmp_path), "deu")(noise(1), RATE, "abc")


def test_a_checkpoint_that_never_learned_characters_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no CTC head"):
        Wav2Vec2Aligner(save(tmp_path, network=Wav2Vec2Model))(noise(1), RATE, "abc")


@pytest.mark.parametrize("file", ["config.json", "vocab.json", "model.safetensors"])
def test_a_file_that_is_broken_is_told_in_one_line(tmp_path, file):
    aligner = Wav2Vec2Aligner(save(tmp_path))
    (tmp_path / file).write_bytes(b"{broken")
    with pytest.raises(UserError, match="cannot be loaded as a Wav2Vec2ForCTC") as raised:
        aligner(noise(1), RATE, "abc")
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_checkpoint_is_refused_at_once(tmp_path):
    with pytest.raises(UserError, match=r"holds no config.json and no vocab.json"):
        Wav2Vec2Aligner(str(tmp_path))
