"""All levels in one autoencoder, as in VQ-VAE-2: what the paper compares its separate ones with (section 3, table 3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor, nn

from jukebox_pl.models.vqvae import DownBlock, UpBlock, VQVAEOutput, variance_preserving_init
from jukebox_pl.nn.codebook import Codebook, unquantized
from jukebox_pl.nn.resnet1d import module_list


class JointVQVAE(nn.Module):
    """A level's encoder reads what the encoder below wrote; its decoder writes for the decoder below, which adds its codes.

    It learns from the sound that all levels make together. What a level makes with those above it, without those below, is
    in the output, too, and learns nothing: the paper found that the top has little to say then. Levels as in `VQVAE`.
    """

    encoders: Sequence[DownBlock]
    codebooks: Sequence[Codebook]
    decoders: Sequence[UpBlock]
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
        codebook_decay: float = 0.99,
        restart_threshold: float | None = None,
    ):
        super().__init__()
        self.bins = bins
        steps = list(zip(downs, strides, strict=True))
        self.hops = tuple(accumulate((stride**down for down, stride in steps), mul))
        self.encoders = module_list(
            DownBlock(code_dim if level else 1, code_dim, width, depth, *step, dilation_growth)
            for level, step in enumerate(steps)
        )
        self.codebooks = module_list(
            Codebook(bins, code_dim, codebook_decay, restart_threshold, seed=level) for level in range(len(steps))
        )
        self.decoders = module_list(UpBlock(code_dim, code_dim, width, depth, *step, dilation_growth) for step in steps)
        self.out = nn.Conv1d(code_dim, 1, 3, padding=1)
        self.apply(variance_preserving_init)

    def encode(self, audio: Tensor) -> list[Tensor]:
        """audio [B, 1, N], N a multiple of the top hop, to codes [B, N / hop] of every level."""
        encoded = zip(self.codebooks, self._vectors(audio), strict=True)
        return [codebook.encode(vectors) for codebook, vectors in encoded]

    def decode(self, codes: Sequence[Tensor], level: int = 0) -> Tensor:
        """codes [B, T_l] of `level` and of every level above it to audio [B, 1, N]."""
        codebooks = self.codebooks[level:]
        return self._sound([codebook.decode(codes) for codebook, codes in zip(codebooks, codes, strict=True)])

    def forward(self, audio: Tensor, quantize: bool = True) -> VQVAEOutput:
        """audio [B, 1, N] through every level, past the codebooks unless `quantize`. In training the codebooks move."""
        bottlenecks = [
            codebook(vectors) if quantize else unquantized(vectors)
            for codebook, vectors in zip(self.codebooks, self._vectors(audio), strict=True)
        ]
        quantized, codes, commit_losses, stats = map(list, zip(*bottlenecks, strict=True))
        recons = [self._sound(quantized)]
        with torch.no_grad():
            recons += [self._sound(quantized[level:]) for level in range(1, len(self.hops))]
        return VQVAEOutput(recons, codes, commit_losses, stats)

    @torch.no_grad()
    def start_codebooks(self, audio: Tensor, samples: int) -> None:
        """Starts every codebook by k-means on audio [n, 1, N], read clip by clip, for training steps of `samples`."""
        clips = zip(*(self._vectors(clip) for clip in audio.split(1)), strict=True)
        for codebook, hop, vectors in zip(self.codebooks, self.hops, clips, strict=True):
            codebook.start(torch.cat(vectors), samples / hop)

    def _vectors(self, audio: Tensor) -> list[Tensor]:
        """What every encoder writes, bottom first."""
        vectors = [audio]
        for encoder in self.encoders:
            vectors.append(encoder(vectors[-1]))
        return vectors[1:]

    def _sound(self, quantized: Sequence[Tensor]) -> Tensor:
        """What the decoders make of vectors [B, D, T_l] of the uppermost levels, the lowest of these first."""
        missing = [None] * (len(self.hops) - len(quantized))
        x = torch.zeros_like(quantized[-1])
        for decoder, vectors in reversed(list(zip(self.decoders, [*missing, *quantized], strict=True))):
            x = decoder(x if vectors is None else x + vectors)
        return self.out(x)
