"""What is heard where windows meet, as numbers: clicks, and sudden changes of the sound."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

RADIUS = 8  # samples to each side of a seam in which a click is looked for
FRAME = 1024  # samples on each side of a seam whose spectra are compared


def click_ratio(audio: Tensor, seams: Iterable[int], quantile: float = 0.5) -> float:
    """How much rougher audio [T] is at `seams` (sample indices) than elsewhere: 1 is no difference.

    Roughness is the largest second difference within a few samples, its `quantile` over the seams divided by that over
    all places; a step of a tenth of full scale in smooth music gives 10 or more.
    """
    bends = audio.float().diff(n=2).abs()
    rough = bends.unfold(0, 2 * RADIUS, 1).amax(1)  # rough[i]: around sample i + RADIUS
    places = torch.tensor([seam - RADIUS for seam in seams if RADIUS <= seam < len(rough) + RADIUS], dtype=torch.long)
    return (rough[places].quantile(quantile) / rough[::RADIUS].quantile(quantile).clamp(min=1e-9)).item()


def flux_ratio(audio: Tensor, seams: Iterable[int]) -> float:
    """How much more the spectrum of audio [T] changes at `seams` (sample indices) than elsewhere: 1 is no difference.

    The mean `spectral_flux` at the seams, divided by that at places all over the audio.
    """
    everywhere = range(FRAME, len(audio) - FRAME + 1, FRAME // 4)
    return (spectral_flux(audio, seams).mean() / spectral_flux(audio, everywhere).mean().clamp(min=1e-9)).item()


def spectral_flux(audio: Tensor, places: Iterable[int]) -> Tensor:
    """How different audio [T] is before and after each place (sample index): 0 is equal, 1 is nothing in common.

    The absolute difference of the two magnitude spectra over their sum; places without a whole frame on both sides are
    left out.
    """
    inside = [place for place in places if FRAME <= place <= len(audio) - FRAME]
    frames = audio.float().unfold(0, FRAME, 1)  # frames[i]: from sample i on
    before, after = (frames[[place + shift for place in inside]] for shift in (-FRAME, 0))
    was, now = (torch.fft.rfft(part * torch.hann_window(FRAME)).abs() for part in (before, after))
    return (now - was).abs().sum(1) / (now + was).sum(1).clamp(min=1e-9)
