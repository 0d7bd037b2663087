"""The bottleneck: a codebook kept as a moving average of what falls on each code, dead codes restarted from the batch."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

ROWS_AT_ONCE = 512  # their distances to 2048 codes stay in a processor's cache
GROUP = 64  # codes among which the nearest is looked for once it is known to be there
KMEANS_ITERATIONS = 10
KMEANS_VECTORS = 64  # a code: more would move the means by less than the first updates do


class CodebookStats(NamedTuple):
    """What a training step saw, as 0-dim tensors."""

    usage: Tensor  # share of the codes that hold at least the restart threshold
    perplexity: Tensor  # exp of the entropy of the codes of this batch
    restarted: Tensor  # number of codes replaced
    drift: Tensor  # root mean square move of the codebook
    quantization_error: Tensor  # mean squared distance to the nearest code, summed over channels
    encoder_rms: Tensor  # root mean square of the encoder's vectors about their mean


class CodebookOutput(NamedTuple):
    quantized: Tensor  # [B, D, T], gradients pass straight through
    codes: Tensor  # [B, T]
    commit_loss: Tensor
    stats: CodebookStats | None


def unquantized(x: Tensor) -> CodebookOutput:
    """x [B, D, T] as it is: no codes ([B, 0]), no commitment."""
    return CodebookOutput(x, x.new_zeros(len(x), 0, dtype=torch.long), x.new_zeros(()), None)


class Unquantized(nn.Module):
    """In the place of a codebook: what a network of the same shape loses when nothing is quantised."""

    def start(self, x: Tensor, vectors: float) -> None:
        """As a codebook is started: there is nothing to start."""

    def forward(self, x: Tensor) -> CodebookOutput:
        return unquantized(x)


class Codebook(nn.Module):
    """`bins` vectors of `dim`, learned without gradients: all state is in buffers, so a resumed run goes on exactly.

    A code is restarted at a random vector of the batch while its average count is below the threshold. With
    `restart_threshold=None` the threshold is `restart_share` of the even share (vectors per step / bins) and a restarted
    code starts with the even share; a share of 0 restarts none. A number is the released rule, fixed at 1.0 there, whose
    counts are not reset (tuned for 256 GPUs: with few vectors per step it restarts nearly every code at every step).

    From the second training step on nothing is read back from the device: whoever does waits until it has caught up.
    """

    codes: Tensor
    sums: Tensor
    counts: Tensor
    updates: Tensor

    def __init__(
        self,
        bins: int,
        dim: int,
        decay: float = 0.99,
        restart_threshold: float | None = None,
        restart_share: float = 0.05,
        seed: int = 0,
    ):
        super().__init__()
        self.bins, self.dim, self.decay, self.seed = bins, dim, decay, seed
        self.restart_threshold, self.restart_share = restart_threshold, restart_share
        self.register_buffer("codes", torch.zeros(bins, dim))
        self.register_buffer("sums", torch.zeros(bins, dim))
        self.register_buffer("counts", torch.zeros(bins))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self._steps: int | None = None  # `updates` on the host, read once: at the first step after a start or a load

    def encode(self, x: Tensor) -> Tensor:
        """x [B, D, T] to codes [B, T]."""
        codes, _ = self._nearest(x.float().transpose(1, 2).reshape(-1, self.dim))
        return codes.view(x.shape[0], -1)

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, T] to vectors [B, D, T]."""
        return F.embedding(codes, self.codes).transpose(1, 2)

    def forward(self, x: Tensor) -> CodebookOutput:
        """Quantises x [B, D, T] with the codebook as it is, then, in training, moves the codebook."""
        with torch.autocast(x.device.type, enabled=False):
            rows = x.detach().float().transpose(1, 2).reshape(-1, self.dim)  # [B * T, D]
            if self.training and self._known_steps() == 0:
                self._initialize(rows)
            codes, distances = self._nearest(rows)
            quantized = F.embedding(codes, self.codes).view(x.shape[0], -1, self.dim).transpose(1, 2)
            commit_loss = F.mse_loss(x.float(), quantized)
            stats = self.update(rows, codes, distances) if self.training else None
        straight_through = x + (quantized - x).detach()
        return CodebookOutput(straight_through, codes.view(x.shape[0], -1), commit_loss, stats)

    @torch.no_grad()
    def start(self, x: Tensor, vectors: float) -> None:
        """Starts the codes by k-means over x [B, D, T], the same in all processes; `vectors` are what a training step will
        bring.

        An iteration is an update that keeps nothing of before, so that codes without vectors restart here, too.
        """
        rows = x.float().transpose(1, 2).reshape(-1, self.dim)
        rows = rows[:: -(-len(rows) // (KMEANS_VECTORS * self.bins))]
        rank, world = ranks()
        rows = rows[: len(rows) // world * world].chunk(world)[rank]
        self._initialize(rows)
        for _ in range(KMEANS_ITERATIONS):
            self.update(rows, *self._nearest(rows), decay=0.0)
        scale = vectors / self.counts.sum()
        self.counts *= scale
        self.sums *= scale

    @torch.no_grad()
    def update(self, rows: Tensor, codes: Tensor, distances: Tensor, decay: float | None = None) -> CodebookStats:
        """One step of the moving averages over rows [N, D] that fell on codes [N] from `distances` [N]."""
        decay = self.decay if decay is None else decay
        # Not bincount: on a GPU it reads the largest code back. Whole numbers, so any order of the sum is exact.
        counts = torch.zeros_like(self.counts).index_add_(0, codes, torch.ones_like(distances))
        sums = torch.zeros_like(self.sums).index_add_(0, codes, rows)
        if dist.is_initialized():
            dist.all_reduce(counts)
            dist.all_reduce(sums)
        self.counts.lerp_(counts, 1 - decay)
        self.sums.lerp_(sums, 1 - decay)
        even_share = counts.sum() / self.bins
        dead = self.counts < (self.restart_share * even_share if self.restart_threshold is None else self.restart_threshold)
        before = self.codes.clone()
        # Where a code that is never restarted has faded out it stays: 0 / 0 would move it to the origin.
        means = torch.where(self.counts[:, None] > 1e-20, self.sums / self.counts.clamp(min=1e-20)[:, None], before)
        # Drawn whether a code is dead or not: to ask would make the device wait.
        self.codes.copy_(torch.where(dead[:, None], self._random_rows(rows), means))
        if self.restart_threshold is None:
            self._set_counts(dead, even_share)
        self.updates += 1
        self._steps = self._known_steps() + 1
        share = counts / counts.sum()
        return CodebookStats(
            usage=1 - dead.float().mean(),
            perplexity=torch.exp(-(share * (share + 1e-8).log()).sum()),  # 1e-8 as the original: the log of 0 is none
            restarted=dead.float().sum(),
            drift=(self.codes - before).square().mean().sqrt(),
            quantization_error=distances.mean(),
            encoder_rms=(rows - rows.mean()).square().mean().sqrt(),
        )

    def restore(self, vectors: float) -> None:
        """Gives every code the even share of `vectors` per step: how the released code resumes a saved codebook."""
        self._set_counts(torch.ones(self.bins, dtype=torch.bool, device=self.codes.device), vectors / self.bins)
        self.updates += 1
        self._steps = None

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._steps = None

    def _known_steps(self) -> int:
        if self._steps is None:
            self._steps = int(self.updates)
        return self._steps

    def _initialize(self, rows: Tensor) -> None:
        self.codes.copy_(self._random_rows(rows))
        vectors = torch.tensor(float(len(rows)), device=rows.device)
        if dist.is_initialized():
            dist.all_reduce(vectors)
        everyone = torch.ones(self.bins, dtype=torch.bool, device=rows.device)
        self._set_counts(everyone, 1.0 if self.restart_threshold is not None else vectors / self.bins)

    def _set_counts(self, which: Tensor, count: Tensor | float) -> None:
        """Codes in `which` [bins] get this count, and the sum that keeps them where they are."""
        self.counts.copy_(torch.where(which, count, self.counts))
        self.sums.copy_(torch.where(which[:, None], self.codes * self.counts[:, None], self.sums))

    @torch.no_grad()
    def _nearest(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        square = self.codes.square().sum(1)
        parts = [least(torch.addmm(square, part, self.codes.t(), alpha=-2)) for part in rows.split(ROWS_AT_ONCE)]
        distances, codes = map(torch.cat, zip(*parts, strict=True))
        return codes, distances + rows.square().sum(1)

    def _random_rows(self, rows: Tensor) -> Tensor:
        """`bins` vectors drawn from rows [N, D] of all processes; the seed and the count of updates alone decide which."""
        generator = torch.Generator(rows.device).manual_seed(self.seed * 1_000_003 + self._known_steps())
        rank, world = ranks()
        everyones = len(rows) * world
        times = -(-self.bins // everyones)  # each several times where they are few, told apart by noise
        noise = torch.randn(everyones * times, self.dim, generator=generator, device=rows.device) if times > 1 else None
        which = torch.randperm(everyones * times, generator=generator, device=rows.device)[: self.bins]
        own = which % everyones - rank * len(rows)
        is_own = (own >= 0) & (own < len(rows))
        drawn = torch.where(is_own[:, None], rows[own.clamp(0, len(rows) - 1)], 0.0)
        if world > 1:
            dist.all_reduce(drawn)  # one has it, the others have zeros
        return drawn if noise is None else drawn + noise[which] * (0.01 / self.dim**0.5)  # small beside unit vectors


def ranks() -> tuple[int, int]:
    """Which of how many processes this is."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def least(x: Tensor) -> tuple[Tensor, Tensor]:
    """x.min(1) of [N, K] in half its time on a CPU, where only a minimum that nobody asks the place of is fast."""
    groups = x.unflatten(1, (-1, math.gcd(x.shape[1], GROUP)))
    group = groups.amin(2).argmin(1)
    values, places = groups[torch.arange(len(x), device=x.device), group].min(1)
    return values, group * groups.shape[2] + places
