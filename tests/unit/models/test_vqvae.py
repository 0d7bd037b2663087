import pytest
import torch

from jukebox_pl.models.losses import Bandwidth, VQVAELoss, spectral_convergence
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.nn.codebook import Codebook, Unquantized


@pytest.fixture
def vqvae():
    torch.manual_seed(0)
    model = VQVAE(bins=32, code_dim=8, width=8, depth=2, multipliers=(2, 1, 1))
    model(torch.randn(2, 1, 4096))
    return model.eval()


def test_codes_and_sound_have_the_lengths_of_the_hops(vqvae):
    audio = torch.randn(2, 1, 4096)
    assert vqvae.hops == (8, 32, 128)
    assert [codes.shape for codes in vqvae.encode(audio)] == [(2, 512), (2, 128), (2, 32)]
    for level, codes in enumerate(vqvae.encode(audio)):
        assert vqvae.decode(codes, level).shape == audio.shape


def test_forward_decodes_what_encode_says(vqvae):
    audio = torch.randn(2, 1, 4096)
    output = vqvae(audio)
    for level, codes in enumerate(vqvae.encode(audio)):
        assert codes.equal(output.codes[level])
        torch.testing.assert_close(vqvae.decode(codes, level), output.recons[level], rtol=1e-4, atol=1e-5)


def test_codes_and_sound_are_the_same_with_and_without_gradients(vqvae):
    for parameter in vqvae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    audio = torch.randn(2, 1, 4096)
    for level, codes in enumerate(vqvae.encode(audio)):
        sound = vqvae.decode(codes, level)
        with torch.no_grad():
            assert vqvae.encode(audio, [level])[0].equal(codes)
            torch.testing.assert_close(vqvae.decode(codes, level), sound, rtol=0, atol=1e-5 * sound.abs().max().item())


def test_batch_of_two_equals_two_of_one(vqvae):
    audio = torch.randn(2, 1, 4096)
    for both, one in zip(vqvae.encode(audio), vqvae.encode(audio[:1]), strict=True):
        assert both[:1].equal(one)


def test_codes_of_a_window_are_a_slice_of_the_whole_away_from_its_edges(vqvae):
    audio = torch.randn(1, 1, 8192)
    whole, window = vqvae.encode(audio, [0])[0], vqvae.encode(audio[:, :, 2048:6144], [0])[0]
    margin = 32
    assert window[:, margin:-margin].equal(whole[:, 2048 // 8 + margin : 6144 // 8 - margin])


def test_odd_strides_are_refused():
    with pytest.raises(ValueError, match="strides must be even, found \\[3, 2, 2\\]"):
        VQVAE(strides=(3, 2, 2))


def test_the_released_size_has_the_released_number_of_parameters():
    with torch.device("meta"):
        model = VQVAE()
    assert sum(p.numel() for p in model.parameters()) == 1_485_763


def test_silence_trains_without_nan(vqvae):
    silence = torch.zeros(1, 1, 4096)
    output = vqvae.train()(silence)
    loss = VQVAELoss()
    parts = loss.components(silence, output.recons[0], output.commit_losses[0], Bandwidth())
    loss.weigh(parts).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in vqvae.parameters())


def test_spectral_convergence_is_zero_for_the_same_and_one_for_silence():
    audio = torch.randn(2, 1, 4096)
    assert spectral_convergence(audio, audio).tolist() == [0, 0]
    torch.testing.assert_close(spectral_convergence(audio, torch.zeros_like(audio)), torch.ones(2))


@torch.no_grad()
def test_codes_of_pieces_are_the_codes_of_the_whole(vqvae, monkeypatch):
    audio = torch.randn(1, 1, 10_000)
    whole = vqvae.encode(audio[..., : 10_000 // 128 * 128])
    monkeypatch.setattr("jukebox_pl.models.vqvae.MARGINS_A_PIECE", 1)
    for one, other in zip(vqvae.encode_long(audio, piece=1000), whole, strict=True):
        assert one.equal(other)


@torch.no_grad()
@pytest.mark.parametrize("level", [0, 1, 2])
def test_sound_of_pieces_is_the_sound_of_the_whole(vqvae, level, monkeypatch):
    for parameter in vqvae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    codes = torch.randint(32, (1, 300))
    whole = vqvae.decode(codes, level)
    monkeypatch.setattr("jukebox_pl.models.vqvae.MARGINS_A_PIECE", 1)
    pieces = vqvae.decode_long(codes, level, piece=70)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-5 * whole.abs().max().item())


def test_sound_keeps_its_size_through_every_level_at_the_start():
    torch.manual_seed(0)
    model, audio = VQVAE(bins=64, code_dim=16, width=16, depth=2, multipliers=(1, 1, 1)), torch.randn(2, 1, 8192)
    for level in model.levels:
        assert 0.2 < level.encoder(audio).std() < 5


def test_past_the_codebooks_sound_is_decoded_from_what_the_encoder_says_and_they_stay_as_they_are(vqvae):
    audio, before = torch.randn(2, 1, 4096), vqvae.levels[0].codebook.codes.clone()
    output, level = vqvae.train()(audio, quantize=False), vqvae.levels[0]
    assert output.recons[0].equal(level.out(level.decoder(level.encoder(audio))))
    assert [codes.numel() for codes in output.codes] == [0, 0, 0]
    assert level.codebook.codes.equal(before)


def test_codebooks_that_start_by_kmeans_fit_the_sound(vqvae):
    torch.manual_seed(0)
    audio, other = torch.randn(8, 1, 4096), VQVAE(bins=32, code_dim=8, width=8, depth=2, multipliers=(2, 1, 1))
    other.load_state_dict(
        {name: tensor for name, tensor in vqvae.state_dict().items() if "codebook" not in name}, strict=False
    )
    other.start_codebooks(audio, 2 * 4096)
    for level, codebook in enumerate(autoencoder.codebook for autoencoder in other.levels):
        assert codebook.counts.sum().item() == pytest.approx(2 * 4096 / other.hops[level])
    with torch.no_grad():
        at_random, by_kmeans = (model(audio).commit_losses for model in (vqvae, other.eval()))
    assert all(mine < theirs for mine, theirs in zip(by_kmeans, at_random, strict=True))


def test_a_bottleneck_that_quantises_nothing_has_no_codes_and_the_same_weights():
    torch.manual_seed(0)
    codebooks = VQVAE(code_dim=8, width=8, depth=2, multipliers=(1, 1, 1))
    torch.manual_seed(0)
    model = VQVAE(code_dim=8, width=8, depth=2, multipliers=(1, 1, 1), bottleneck=Unquantized())
    assert model.state_dict().keys() == {name for name in codebooks.state_dict() if "codebook" not in name}
    audio = torch.randn(2, 1, 4096)
    for mine, theirs in zip(model(audio).recons, codebooks(audio, quantize=False).recons, strict=True):
        assert mine.equal(theirs)


def test_every_level_has_a_bottleneck_of_its_own():
    given = Codebook(16, 8)
    model = VQVAE(bins=16, code_dim=8, width=8, depth=1, multipliers=(1, 1, 1), bottleneck=given)
    model(torch.randn(2, 1, 4096))
    first, second = (level.codebook.codes for level in model.levels[:2])
    assert given.updates == 0
    assert not first.equal(second)
