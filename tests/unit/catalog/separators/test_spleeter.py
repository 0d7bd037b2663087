"""Spleeter's network in torch: the numbers of the original, and the properties that make them right."""

import pickle

import numpy as np
import pytest
import torch

from jukebox_pl.catalog.separators.spleeter import BINS, FRAMES, HOP, Spleeter, from_checkpoint
from jukebox_pl.errors import UserError

RATE = 44_100
SEGMENT = FRAMES * HOP
# Every 70001st sample of what spleeter 2.4.2 itself (TensorFlow 2.12.1) makes of `sweeps` with the same checkpoint.
ORIGINAL = [
    [-0.02991967, 0.08850434, 0.04591011, 0.15048546, -0.05668492, 0.13690683, 0.06308622, 0.13441241, -0.01118344],
    [0.11199303, -0.03561773, 0.06571069, -0.18923764, -0.17950067, 0.19459447, -0.14937648, -0.10171332, -0.16305669],
]


@pytest.fixture(scope="module")
def sweeps():
    """Two tones that rise and fall over 13 seconds, which is more than a segment."""
    t = np.arange(13 * RATE) / RATE
    rising, falling = 0.4 * np.sin(2 * np.pi * (200 * t + 300 * t**2)), 0.3 * np.cos(2 * np.pi * (2000 * t - 70 * t**2))
    return np.stack([rising, falling]).astype(np.float32)


def swapped(tensors):
    """The same two U-Nets, in the other order."""
    network = from_checkpoint(tensors)
    network.unets = torch.nn.ModuleList(reversed(network.unets))
    return network


def one_sided(tensors):
    """Masks that tell one thing only: the left channel is sung, the right one is played."""
    changed = dict(tensors)
    for name, bias in (("conv2d_6", [30, -30]), ("conv2d_13", [-30, 30])):
        changed |= {f"{name}/kernel": 0 * tensors[f"{name}/kernel"], f"{name}/bias": np.array(bias, np.float32)}
    return changed


def test_the_numbers_of_the_original(model_path, sweeps):
    vocals = Spleeter(str(model_path))(sweeps, RATE)
    np.testing.assert_allclose(vocals[:, ::70001], ORIGINAL, atol=2e-5)


def test_vocals_and_accompaniment_are_the_song_below_11_khz(two_stems, stereo):
    song = torch.from_numpy(stereo)
    total = from_checkpoint(two_stems)(song) + swapped(two_stems)(song)
    spectrum = torch.fft.rfft(song)
    cutoff = round(BINS / 4096 * song.shape[1])
    below = spectrum.clone()
    below[:, cutoff:] = 0
    expected = torch.fft.irfft(below, n=song.shape[1])
    assert (total - expected).square().mean() < 1e-5 * song.square().mean()


def test_left_and_right_are_not_mixed_up(tmp_path, install_model, two_stems, sweeps):
    vocals = Spleeter(str(install_model(tmp_path / "models", one_sided(two_stems))))(sweeps, RATE)
    inside = slice(5000, -5000)  # the song's sudden ends reach above 11 kHz, which is cut off
    np.testing.assert_allclose(vocals[0, inside], sweeps[0, inside], atol=1e-4)
    assert np.abs(vocals[1]).max() < 1e-6


def test_a_song_that_starts_a_segment_later_ends_a_segment_later(two_stems, sweeps):
    network, song = from_checkpoint(two_stems), torch.from_numpy(sweeps[:, : 3 * RATE])
    later = network(torch.nn.functional.pad(song, (SEGMENT, 0)))
    torch.testing.assert_close(later[:, SEGMENT:], network(song), atol=1e-6, rtol=0)


def test_mono_at_another_rate_and_another_process(model_path, sung):
    mix = sung[0][:, : 3 * RATE : 2]
    separator = Spleeter(str(model_path))
    sent = pickle.loads(pickle.dumps(separator))
    vocals = separator(mix, RATE // 2)
    assert vocals.shape == mix.shape
    assert vocals.dtype == np.float32
    np.testing.assert_array_equal(sent(mix, RATE // 2), vocals)


def test_the_model_path_of_the_environment(model_path, monkeypatch):
    monkeypatch.setenv("MODEL_PATH", str(model_path))
    assert Spleeter().folder == model_path / "2stems"


def test_missing_files_are_told_with_their_place(model_path):
    (model_path / "2stems" / "model.index").unlink()
    (model_path / "2stems" / "checkpoint").write_text("")
    with pytest.raises(UserError, match=r"2stems lacks checkpoint, model\.index: unpack 2stems\.tar\.gz .* there"):
        Spleeter(str(model_path))


def without(name):
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("conv2d_13/bias"), "another network's .*conv2d_13/bias"),
        (without("conv2d/kernel"), "another network's .*conv2d/kernel"),
        (lambda tensors: tensors | {"conv2d_14/kernel": tensors["conv2d/kernel"]}, "more than two instruments"),
        (lambda tensors: tensors | {"conv2d_7/bias": np.zeros(1, np.float32)}, r"conv2d_7/bias \(1,\) for \(2,\)"),
    ],
)
def test_the_checkpoint_of_another_network_is_refused(two_stems, change, message):
    with pytest.raises(UserError, match=message):
        from_checkpoint(change(two_stems))
