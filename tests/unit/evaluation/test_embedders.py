import json
import sys

import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.embedders import CodecEmbedder, FolderEmbedder, LogMelEmbedder, seconds_of
from jukebox_pl.models.vqvae import VQVAE

RATE = 11_025


@pytest.mark.parametrize(
    ("length", "rate", "sizes"), [(10, 3.0, [3, 3, 3]), (2, 3.0, [2]), (7, 3.5, [4, 3]), (9, 3.0, [3, 3, 3])]
)
def test_values_are_cut_into_whole_seconds(length, rate, sizes):
    parts = seconds_of(torch.arange(length).view(-1, 1), rate)
    assert [len(part) for part in parts] == sizes
    assert torch.cat(parts).flatten().tolist() == list(range(sum(sizes)))


@pytest.fixture
def vqvae():
    torch.manual_seed(0)
    return VQVAE(bins=16, code_dim=8, width=4, depth=1, multipliers=(1, 1, 1)).eval()


def test_a_second_is_an_embedding_whatever_is_beside_it(vqvae):
    music = torch.randn(1, 1, 3 * RATE + 500) * torch.linspace(0.1, 1, 3 * RATE + 500)
    for embedder, dimensions in ((CodecEmbedder(vqvae), 16), (CodecEmbedder(vqvae, 0), 16), (LogMelEmbedder(), 160)):
        assert embedder(music, RATE).shape == (3, dimensions)
        assert embedder(music[..., :RATE], RATE).shape == (1, dimensions)


def test_how_loud_a_song_is_does_not_count_in_log_mel(vqvae):
    music = torch.randn(1, 1, 2 * RATE)
    torch.testing.assert_close(LogMelEmbedder()(music, RATE), LogMelEmbedder()(0.1 * music, RATE), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(CodecEmbedder(vqvae)(music, RATE), CodecEmbedder(vqvae)(0.1 * music, RATE), rtol=0.1)


def test_a_folder_without_a_model_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match="expected a folder of") as raised:
        FolderEmbedder(tmp_path)
    assert "\n" not in str(raised.value)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match="pip install"):
        FolderEmbedder(tmp_path)


@pytest.mark.slow
def test_any_hugging_face_audio_model_embeds_and_pickles_are_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(16, 20),
        conv_kernel=(16, 20),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        num_feat_extract_layers=2,
    )
    model = transformers.Wav2Vec2Model(config)
    model.save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=16_000).save_pretrained(tmp_path)
    assert FolderEmbedder(tmp_path)(torch.randn(1, 1, 3 * RATE + 100), RATE).shape == (3, 16)

    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "wav2vec2"
    with pytest.raises(UserError, match="expected a folder"):
        FolderEmbedder(tmp_path)
