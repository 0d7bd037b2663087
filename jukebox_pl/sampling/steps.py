"""Drawing code after code with nothing that moves: fixed shapes, fixed memory, and the position a number in it.

So the whole step is one graph, compiled once, that runs again and again on the same tensors.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.logits import draw
from jukebox_pl.types import LevelParams

# For a CPU; a GPU's recorded graph runs no Python anyway. In one piece, 72 layers take over six minutes to build.
WITHOUT_PYTHON = {"cpp_wrapper": True, "cpp_wrapper_build_separate": True}


class Window:
    """The codes of a window while they are drawn. The next window of as many rows is written into the same memory.

    After `begin`, every call of `step` draws one code more.
    """

    step: Replay

    def __init__(self, prior: Prior, rows: int, device: torch.device):
        self.prior, self.cache = prior, prior.new_cache()
        self.codes = torch.zeros(rows, prior.ctx, dtype=torch.long, device=device)
        self.noise, self.peaks = (torch.zeros(rows, prior.ctx, device=device) for _ in range(2))
        self.position = torch.zeros((), dtype=torch.long, device=device)
        self.temperature, self.p = (torch.zeros((), device=device) for _ in range(2))
        self.top_k, self.top_p = 0, False
        self.cond = Conditioning(None, None, None, None)
        self._steps: dict[tuple[int, bool], Replay] = {}

    def begin(self, cond: Conditioning, known: Tensor, noise: Tensor, params: LevelParams, prefill: int = 0) -> None:
        """Takes in codes [B, known] and a number of noise [B, T] for each position, and draws the first code."""
        self.codes[:, : known.shape[1]] = known
        self.noise[:, : noise.shape[1]] = noise
        self.position.fill_(known.shape[1])
        self._set_params(params)
        self._store_cond(cond)
        self.cache.position = 0
        for piece in known.split(prefill or self.prior.ctx, dim=1):
            logits = self.prior(piece, cond, self.cache, last_only=True)[:, -1]
        self._sample(logits)

    def _step(self) -> None:
        before = self.codes.index_select(1, self.position[None] - 1)
        self._sample(self.prior.step(before, self.cond, self.cache, self.position))

    def _sample(self, logits: Tensor) -> None:
        """Draws from logits [B, bins] the code at `position`."""
        here = self.position[None]
        uniform = self.noise.index_select(1, here).squeeze(1)
        drawn = draw(logits, uniform, self.temperature, self.top_k, self.p if self.top_p else None)
        self.codes.index_copy_(1, here, drawn.unsqueeze(1) + self.prior.first_code)
        self.peaks.index_copy_(1, here, logits.amax(-1, keepdim=True).float())
        self.position.add_(1)

    def _set_params(self, params: LevelParams) -> None:
        """Numbers of `params` are tensors to a step; what else it does with them makes another graph."""
        self.temperature.fill_(params.temperature)
        self.p.fill_(params.top_p)
        self.top_k, self.top_p = kind = params.top_k, params.top_p > 0
        self.step = self._steps[kind] = self._steps.get(kind) or Replay(self._step)

    def _store_cond(self, cond: Conditioning) -> None:
        """A step reads of a condition only what is added at the positions; the cache keeps the lyrics."""
        if cond.positions is None:
            return
        told = self.cond.positions
        if told is None:
            rows, _, width = cond.positions.shape
            told = cond.positions.new_zeros(rows, self.prior.ctx, width)
            self.cond = self.cond._replace(positions=told)
        told[:, : cond.positions.shape[1]] = cond.positions


class Replay:
    """A function without arguments, compiled when first called; later calls run its graph on the same tensors again.

    So the function may do nothing but change tensors in place, the same ones every time. Python is not asked again: that
    the graph still fits would be checked at every step, for up to half of its time. On a GPU the second call records a
    CUDA graph.
    """

    def __init__(self, function: Callable[[], None]):
        self._run: Callable[[], Any] = torch.compile(
            with_own_code(function), backend=self._compile, fullgraph=True, dynamic=False
        )

    def __call__(self) -> None:
        self._run()

    def _compile(self, graph: fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        on_gpu = inputs[0].is_cuda
        options = {"size_asserts": False, **({} if on_gpu else WITHOUT_PYTHON)}
        compiled = torch._inductor.compile(graph, list(inputs), options=options)

        def first(*tensors: Tensor) -> Any:
            again = partial(compiled, *tensors)
            self._run = partial(self._record, again) if on_gpu else again
            return again()

        return first

    def _record(self, again: Callable[[], Any]) -> None:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            again()
        self._run = graph.replay
        graph.replay()


def with_own_code(function: Any) -> types.MethodType:
    """A method whose graphs are its own: they are kept by code object, a few at most."""
    plain = function.__func__
    own = types.FunctionType(plain.__code__.replace(), plain.__globals__, plain.__name__)
    return types.MethodType(own, function.__self__)
