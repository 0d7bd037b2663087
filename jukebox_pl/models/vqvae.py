"""The VQ-VAE (paper, section 3): one autoencoder a level, nothing shared, sound to codes and back.

Level l divides time by `hops[l]`; the released model has hops 8, 32, 128 at 44.1 kHz and 2048 codes of 64 numbers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from jukebox_pl.nn.codebook import Codebook, CodebookStats, unquantized
from jukebox_pl.nn.resnet1d import ResidualBlock, Resnet1D, module_list, zero_init

MARGINS_A_PIECE = 8  # what a piece of a long song brings of its surroundings costs at most a quarter of it


class VQVAEOutput(NamedTuple):
    """Lists hold one entry a level, bottom first."""

    recons: list[Tensor]  # [B, 1, N]
    codes: list[Tensor]  # [B, T_l]
    commit_losses: list[Tensor]
    stats: list[CodebookStats | None]


class DownBlock(nn.Module):
    """`downs` times a strided convolution and a residual stack: [B, in, T] to [B, out, T / stride ** downs]."""

    steps: Sequence[Any]  # pairs (convolution, stack)

    def __init__(
        self, in_width: int, out_width: int, width: int, depth: int, downs: int, stride: int, dilation_growth: int = 3
    ):
        super().__init__()
        kernel, padding = 2 * stride, stride // 2
        self.steps = module_list(
            nn.Sequential(
                nn.Conv1d(width if i else in_width, width, kernel, stride, padding),
                Resnet1D(width, depth, dilation_growth),
            )
            for i in range(downs)
        )
        self.out = nn.Conv1d(width, out_width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return self.out(x)


class UpBlock(nn.Module):
    """The mirror of DownBlock: [B, in, T] to [B, out, T * stride ** ups].

    `reverse` puts the widest dilation first (the VQ-VAE's decoders do, the conditioners do not).
    """

    steps: Sequence[Any]  # pairs (stack, transposed convolution)

    def __init__(
        self,
        in_width: int,
        out_width: int,
        width: int,
        depth: int,
        ups: int,
        stride: int,
        dilation_growth: int = 3,
        cycle: int | None = None,
        reverse: bool = True,
        scale: float = 1.0,
    ):
        super().__init__()
        kernel, padding = 2 * stride, stride // 2
        self.into = nn.Conv1d(in_width, width, 3, padding=1)
        self.steps = module_list(
            nn.Sequential(
                Resnet1D(width, depth, dilation_growth, cycle, reverse, scale),
                nn.ConvTranspose1d(width, out_width if i == ups - 1 else width, kernel, stride, padding),
            )
            for i in range(ups)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x)
        for step in self.steps:
            x = step(x)
        return x


def variance_preserving_init(module: nn.Module) -> None:
    """Starts convolutions so that they keep the size of what goes through them, and residual blocks as the identity."""
    if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
        transposed = isinstance(module, nn.ConvTranspose1d)
        taps = module.kernel_size[0] // module.stride[0] if transposed else module.kernel_size[0]
        nn.init.normal_(module.weight, std=(module.in_channels * taps) ** -0.5)
    elif isinstance(module, ResidualBlock):
        zero_init(module.pointwise)


class Autoencoder(nn.Module):
    """One level: encoder [B, 1, N] to [B, code_dim, T], codebook, decoder and `out` back to [B, 1, N]."""

    encoder: nn.Sequential
    codebook: Codebook
    decoder: nn.Sequential
    hop: int

    def __init__(
        self,
        downs: Sequence[int],
        strides: Sequence[int],
        code_dim: int,
        width: int,
        depth: int,
        dilation_growth: int,
        codebook: Codebook,
    ):
        super().__init__()
        steps = list(zip(downs, strides, strict=True))
        self.hop = math.prod(stride**down for down, stride in steps)
        self.encoder = nn.Sequential(
            *(
                DownBlock(code_dim if i else 1, code_dim, width, depth, *step, dilation_growth)
                for i, step in enumerate(steps)
            )
        )
        self.codebook = codebook
        self.decoder = nn.Sequential(
            *(UpBlock(code_dim, code_dim, width, depth, *step, dilation_growth) for step in reversed(steps))
        )
        self.out = nn.Conv1d(code_dim, 1, 3, padding=1)

    def encoder_receptive_field(self) -> int:
        """How many samples to each side a code can depend on, rounded up."""
        samples, rate = 0, 1  # `rate` samples a position, at the layer that the walk has come to
        for block in cast(Sequence[DownBlock], self.encoder):
            for down, residual in block.steps:
                samples += rate * down.kernel_size[0]
                rate *= down.stride[0]
                samples += rate * residual.receptive_field
            samples += rate
        return samples

    def decoder_receptive_field(self) -> int:
        """How many samples to each side of it a code can be heard, rounded up."""
        samples, rate = 1, self.hop
        for block in cast(Sequence[UpBlock], self.decoder):
            samples += rate
            for residual, up in block.steps:
                samples += rate * (residual.receptive_field + 1)
                rate //= up.stride[0]
        return samples


class VQVAE(nn.Module):
    """Separate autoencoders for every level.

    `downs[l]` halvings (by `strides[l]`, even) lead from level l - 1 to l. `multipliers` widen and deepen a level's
    autoencoder. Weights start so that sound keeps its size on its way through; `released_init` starts them as PyTorch
    does, under which the deeper levels stay silent for hundreds of steps. A `bottleneck` stands, a copy a level, where a
    codebook does. Raises ValueError for odd strides.
    """

    hops: tuple[int, ...]

    def __init__(
        self,
        downs: Sequence[int] = (3, 2, 2),
        strides: Sequence[int] = (2, 2, 2),
        bins: int = 2048,
        code_dim: int = 64,
        width: int = 32,
        depth: int = 4,
        dilation_growth: int = 3,
        multipliers: Sequence[int] = (2, 1, 1),
        codebook_decay: float = 0.99,
        restart_threshold: float | None = None,
        released_init: bool = False,
        restart_share: float = 0.05,
        bottleneck: nn.Module | None = None,
    ):
        super().__init__()
        if any(stride % 2 for stride in strides):
            raise ValueError(f"strides must be even, found {list(strides)}")
        self.bins = bins
        self.levels = module_list(
            Autoencoder(
                downs[: level + 1],
                strides[: level + 1],
                code_dim,
                width * times,
                depth * times,
                dilation_growth,
                cast(Codebook, copy.deepcopy(bottleneck))
                or Codebook(bins, code_dim, codebook_decay, restart_threshold, restart_share, seed=level),
            )
            for level, times in enumerate(multipliers)
        )
        self.hops = tuple(level.hop for level in self.levels)
        if not released_init:
            self.apply(variance_preserving_init)

    @torch.no_grad()  # whole numbers have no gradient
    def encode(self, audio: Tensor, levels: Sequence[int] | None = None) -> list[Tensor]:
        """audio [B, 1, N], N a multiple of the top hop, to codes [B, N / hop] of the levels asked for (all by default)."""
        chosen = range(len(self.levels)) if levels is None else levels
        return [self.levels[level].codebook.encode(self.levels[level].encoder(audio)) for level in chosen]

    def decode(self, codes: Tensor, level: int = 0) -> Tensor:
        """codes [B, T] of one level to audio [B, 1, T * hop]."""
        autoencoder = self.levels[level]
        return autoencoder.out(autoencoder.decoder(autoencoder.codebook.decode(codes)))

    def forward(self, audio: Tensor, quantize: bool = True) -> VQVAEOutput:
        """audio [B, 1, N] through every level, past the codebooks unless `quantize`. In training the codebooks move."""
        output = VQVAEOutput([], [], [], [])
        for level in self.levels:
            vectors = level.encoder(audio)
            bottleneck = level.codebook(vectors) if quantize else unquantized(vectors)
            output.recons.append(level.out(level.decoder(bottleneck.quantized)))
            output.codes.append(bottleneck.codes)
            output.commit_losses.append(bottleneck.commit_loss)
            output.stats.append(bottleneck.stats)
        return output

    @torch.no_grad()
    def start_codebooks(self, audio: Tensor, samples: int) -> None:
        """Starts every codebook by k-means on audio [n, 1, N], read clip by clip, for training steps of `samples`."""
        for level in self.levels:
            vectors = torch.cat([level.encoder(clip) for clip in audio.split(1)])
            level.codebook.start(vectors, samples / level.hop)

    def encode_long(self, audio: Tensor, piece: int = 2**16) -> list[Tensor]:
        """What `encode` gives for audio [B, 1, N], in the memory of about `piece` samples; a last part of a code is cut."""
        top = self.hops[-1]
        audio = audio[..., : audio.shape[-1] // top * top]
        codes = []
        for level, hop in enumerate(self.hops):
            margin = -(-self.levels[level].encoder_receptive_field() // top) * top
            length = max(-(-piece // top) * top, MARGINS_A_PIECE * margin)
            parts = [
                self.encode(audio[..., span], [level])[0][:, inner.start // hop : inner.stop // hop]
                for span, inner in pieces(audio.shape[-1], length, margin)
            ]
            codes.append(torch.cat(parts, dim=1))
        return codes

    def decoder_margin(self, level: int) -> int:
        """How many codes to each side of a sample can be heard in it, rounded up."""
        return -(-self.levels[level].decoder_receptive_field() // self.hops[level])

    def decode_long(self, codes: Tensor, level: int = 0, piece: int = 2**13) -> Tensor:
        """What `decode` gives for codes [B, T], in the memory of about `piece` codes."""
        hop, margin = self.hops[level], self.decoder_margin(level)
        piece = max(piece, MARGINS_A_PIECE * margin)
        parts = [
            self.decode(codes[:, span], level)[..., inner.start * hop : inner.stop * hop]
            for span, inner in pieces(codes.shape[1], piece, margin)
        ]
        return torch.cat(parts, dim=-1)


def pieces(total: int, piece: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """For every piece of `total`: the span with margins on both sides, and where in it the piece itself lies."""
    for start in range(0, total, piece):
        end = min(start + piece, total)
        first = max(start - margin, 0)
        yield slice(first, min(end + margin, total)), slice(start - first, end - first)
