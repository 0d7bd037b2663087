"""Spleeter without TensorFlow, on any Python: the network of its 2stems model (Hennequin et al. 2020) in torch, reading the
published TensorFlow checkpoint.

For every instrument a U-Net (Jansson et al. 2017) tells how much of a magnitude spectrogram is its own; the voice keeps
its share of the energy. What TensorFlow does otherwise than torch is written out here: "same" padding and the windows
of the Fourier transform.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jukebox_pl.catalog.separators.separator import StereoSeparator
from jukebox_pl.catalog.separators.spleeter_process import model_folder
from jukebox_pl.catalog.separators.tf_checkpoint import read_checkpoint
from jukebox_pl.errors import UserError

INSTRUMENTS = 2  # vocals, accompaniment
FRAME, HOP = 4096, 1024
FRAMES, BINS = 512, 1024  # of a segment; the bins above, from 11 kHz on, stay silent
EPSILON = 1e-10
OVERLAP_GAIN = 1.5  # what four squared Hann windows add up to

CONVOLUTION = {"weight": "kernel", "bias": "bias"}
NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
KINDS: dict[type[nn.Module], tuple[str, dict[str, str]]] = {
    nn.Conv2d: ("conv2d", CONVOLUTION),
    nn.ConvTranspose2d: ("conv2d_transpose", CONVOLUTION),
    nn.BatchNorm2d: ("batch_normalization", NORM),
}
THIRD_INSTRUMENT = "conv2d_14/kernel"  # a U-Net has seven


class UNet(nn.Module):
    """Magnitudes [B, C, T, F] to those of one instrument; T and F are multiples of 2 ** len(filters)."""

    def __init__(self, filters: Sequence[int], channels: int = 2):
        super().__init__()
        inner = filters[:-1]
        self.down = nn.ModuleList(nn.Conv2d(*sizes, 5, stride=2) for sizes in pairwise((channels, *filters)))
        self.down_norm = nn.ModuleList(nn.BatchNorm2d(size, eps=1e-3) for size in filters)
        wide, narrow = (filters[-1], *(2 * size for size in reversed(inner))), (*reversed(inner), 1)
        self.up = nn.ModuleList(nn.ConvTranspose2d(*sizes, 5, stride=2) for sizes in zip(wide, narrow, strict=True))
        self.up_norm = nn.ModuleList(nn.BatchNorm2d(size, eps=1e-3) for size in narrow)
        self.mask = nn.Conv2d(1, channels, 4, dilation=2)

    def forward(self, magnitudes: Tensor) -> Tensor:
        hidden, skips = magnitudes, []
        for conv, norm in zip(self.down, self.down_norm, strict=True):
            skips.append(conv(F.pad(hidden, (1, 2, 1, 2))))
            hidden = F.leaky_relu(norm(skips[-1]), 0.2)
        hidden = skips.pop()  # the innermost norm has weights and no use
        for conv, norm in zip(self.up, self.up_norm, strict=True):
            hidden = norm(F.relu(conv(hidden)[..., 1:-2, 1:-2]))
            hidden = torch.cat([skips.pop(), hidden], 1) if skips else hidden
        return magnitudes * torch.sigmoid(self.mask(F.pad(hidden, (3, 3, 3, 3))))


class TwoStems(nn.Module):
    """Stereo audio [2, T] at 44.1 kHz to its vocals, a segment of 512 frames at a time."""

    window: Tensor

    def __init__(self, filters: Sequence[int] = (16, 32, 64, 128, 256, 512)):
        super().__init__()
        self.unets = nn.ModuleList(UNet(filters) for _ in range(INSTRUMENTS))
        self.register_buffer("window", torch.hann_window(FRAME), persistent=False)

    @torch.inference_mode()
    def forward(self, audio: Tensor) -> Tensor:
        """A frame of zeros goes before the first sample, and as many after the last as the segments need."""
        length, span = audio.shape[1], FRAMES * HOP
        segments = -(-(length + FRAME) // span)
        padded = F.pad(audio, (FRAME, segments * span - HOP - length))
        vocals = torch.zeros_like(padded)
        for start in range(0, segments * span, span):
            heard = slice(start, start + span + FRAME - HOP)
            vocals[:, heard] += self.segment(padded[:, heard])
        return vocals[:, FRAME : FRAME + length]

    def segment(self, audio: Tensor) -> Tensor:
        """The windowed vocals [2, T] of 512 frames, to be added to those of the segments beside."""
        spectrum = torch.fft.rfft(audio.unfold(1, FRAME, HOP) * self.window)
        magnitudes = spectrum[None, ..., :BINS].abs()
        energy, other = (unet(magnitudes)[0].square() for unet in self.unets)
        share = (energy + EPSILON / INSTRUMENTS) / (energy + other + EPSILON)
        spectrum = spectrum * F.pad(share, (0, spectrum.shape[-1] - BINS))
        frames = torch.fft.irfft(spectrum, n=FRAME) * self.window / OVERLAP_GAIN
        return F.fold(frames.transpose(1, 2), (1, audio.shape[1]), (1, FRAME), stride=(1, HOP))[:, 0, 0]


@dataclass
class Spleeter(StereoSeparator):
    """Vocals by Spleeter's 2stems model, without what is above 11 kHz.

    `model_path` holds the folder `2stems` with the published checkpoint, as MODEL_PATH does for Spleeter itself. Raises
    UserError when its files are missing, and on the first call when they are damaged.
    """

    model_path: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        self.folder = model_folder(self.model_path)

    @cached_property
    def network(self) -> TwoStems:
        return from_checkpoint(read_checkpoint(self.folder / "model")).to(self.device)

    def separate(self, stereo: np.ndarray) -> np.ndarray:
        return self.network(torch.from_numpy(stereo).float().to(self.device)).cpu().numpy()


def from_checkpoint(tensors: Mapping[str, np.ndarray]) -> TwoStems:
    """The network with the weights of a TensorFlow checkpoint. Raises UserError when they are another network's."""
    if THIRD_INSTRUMENT in tensors:
        raise UserError("the checkpoint is of more than two instruments: expected Spleeter's 2stems")
    counts: Counter[str] = Counter()
    try:
        network = TwoStems([tensors[tf_name("conv2d", i) + "/kernel"].shape[-1] for i in range(6)])
        for layer in network.modules():
            if type(layer) not in KINDS:
                continue
            kind, names = KINDS[type(layer)]
            for ours, theirs in names.items():
                name, parameter = f"{tf_name(kind, counts[kind])}/{theirs}", getattr(layer, ours)
                values = torch.from_numpy(tensors[name])
                # [H, W, in, out] to [out, in, H, W]; transposed convolutions have in and out the other way round in both
                values = values.permute(3, 2, 0, 1) if values.ndim == 4 else values
                if values.shape != parameter.shape:
                    raise ValueError(f"{name} {tuple(values.shape)} for {tuple(parameter.shape)}")
                parameter.data.copy_(values)
            counts[kind] += 1
    except (LookupError, ValueError) as error:
        raise UserError(f"the checkpoint is another network's ({error}): expected Spleeter's 2stems") from None
    return network.eval()


def tf_name(kind: str, number: int) -> str:
    """Keras numbers layers through by their kind, the first without a number."""
    return f"{kind}_{number}" if number else kind
