"""The innermost loop: one window of codes, drawn one after the other, and the engines that run it."""

from __future__ import annotations

import copy
import functools
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from jukebox_pl.errors import UserError
from jukebox_pl.inference import native
from jukebox_pl.inference.linear import StreamedLinear, stream_linears
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.logits import draw
from jukebox_pl.sampling.steps import Window
from jukebox_pl.types import LevelParams

WEIGHTS = {"as_loaded": None, "bfloat16": torch.bfloat16, "int8": torch.int8}
CHECK_EVERY = 64  # codes; to ask whether logits are finite makes a GPU wait

OnCode = Callable[[int], None]  # how many codes there are; on a GPU, how many are under way


def require_finite(peaks: Tensor, end: int) -> None:
    """`peaks` [B, n]: the largest logits of the codes before `end`. Raises ValueError naming the first bad code."""
    good = peaks.isfinite().all(0).tolist()
    if not all(good):
        raise ValueError(f"code {end - len(good) + good.index(False)}: the prior's logits are not finite")


def sample_codes(
    prior: Prior,
    cond: Conditioning,
    known: Tensor,
    noise: Tensor,
    params: LevelParams,
    on_step: OnCode | None = None,
    prefill: int = 0,
) -> Tensor:
    """What a decoder does, without a graph."""
    cache = prior.new_cache()
    codes, peaks = [known], []
    *before, fresh = known.split(prefill or max(known.shape[1], 1), dim=1)
    for piece in before:
        prior(piece, cond, cache)
    for position in range(known.shape[1], noise.shape[1]):
        logits = prior(fresh, cond, cache)[:, -1]
        drawn = draw(logits, noise[:, position], params.temperature, params.top_k, params.top_p or None)
        fresh = drawn.unsqueeze(1) + prior.first_code
        codes.append(fresh)
        peaks.append(logits.amax(-1))
        if len(peaks) == CHECK_EVERY or position + 1 == noise.shape[1]:
            require_finite(torch.stack(peaks, dim=1), position + 1)
            peaks.clear()
        if on_step:
            on_step(position + 1)
    return torch.cat(codes, dim=1)


def finish(window: Window, done: int, total: int, on_step: OnCode | None) -> Tensor:
    """Draws what is missing of a window that has begun with `done` known codes."""
    checked = done
    for position in range(done, total):
        if position > done:
            window.step()
        if position + 1 - checked == CHECK_EVERY or position + 1 == total:
            require_finite(window.peaks[:, checked : position + 1], position + 1)
            checked = position + 1
        if on_step:
            on_step(position + 1)
    return window.codes[:, :total].clone()


@functools.cache
def compiles(device: str) -> bool:
    """Whether torch.compile can work on a kind of device; where not, one warning says so."""
    missing = "a C++ compiler" if native.compiler() is None else ""
    if device == "cuda" and not importlib.util.find_spec("triton"):
        missing = "triton"
    if missing:
        warnings.warn(f"engine.compile needs {missing}, and there is none: sampling goes on without", stacklevel=2)
    return not missing


def streamed(prior: Prior, dtype: torch.dtype | None) -> Prior:
    """A copy of a prior for sampling. It shares all tensors but the weights that change their type."""
    shared = [*prior.parameters(), *prior.buffers()]
    twin = copy.deepcopy(prior, {id(tensor): tensor for tensor in shared})
    stream_linears(twin.transformer, dtype)
    output = cast(nn.Linear | nn.Embedding, prior.out or prior.embed)
    twin.out = StreamedLinear(output.weight.detach(), dtype=dtype)
    return twin


class Decoder:
    """`sample_codes` for many windows of one prior, which must stay on its device."""

    def __init__(self, prior: Prior, engine: Engine):
        self.prior, self.engine = prior, engine
        self._windows: dict[tuple[int, ...], Window] = {}

    @torch.inference_mode()
    def __call__(
        self, cond: Conditioning, known: Tensor, noise: Tensor, params: LevelParams, on_step: OnCode | None = None
    ) -> Tensor:
        """Codes [B, known] completed to [B, T], a number of noise [B, T] for every position.

        Raises ValueError naming the position when the logits are not finite.
        """
        if not (self.engine.compile and compiles(known.device.type)):
            return sample_codes(self._network, cond, known, noise, params, on_step, self.engine.prefill)
        window = self._window(cond, known)
        try:
            window.begin(cond, known, noise, params, self.engine.prefill)
            return finish(window, known.shape[1], noise.shape[1], on_step)
        except ValueError:
            self._windows.clear()  # its caches hold what is not finite
            raise

    @functools.cached_property
    def _network(self) -> Prior:
        if self.engine == Engine(prefill=self.engine.prefill):
            return self.prior
        return streamed(self.prior, WEIGHTS[self.engine.weights])

    def _window(self, cond: Conditioning, known: Tensor) -> Window:
        """The memory that fits: every shape of it follows from these numbers."""
        shape = len(known), cond.positions is not None, 0 if cond.states is None else cond.states.shape[1]
        if shape not in self._windows:
            self._windows[shape] = Window(self._network, len(known), known.device)
        return self._windows[shape]


@dataclass(frozen=True)
class Engine:
    """How codes are computed; one for all priors. Raises UserError for settings it does not know.

    `compile` makes one graph of a step (seconds to minutes, once a prior and number of songs side by side), without
    changing the codes but for ties within rounding. `weights` narrower than loaded make a copy that the decoder holds and
    change the codes a little; the prior stays as it is. `prefill` codes known at the start of a window are read at once, 0
    for all: fewer need less memory.
    """

    compile: bool = False
    weights: str = "as_loaded"
    prefill: int = 0

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise UserError(f"engine.weights must be one of {', '.join(WEIGHTS)}, found {self.weights!r}")
        if self.prefill < 0:
            raise UserError(f"engine.prefill must be 0 or a number of codes, found {self.prefill}")

    def decoder(self, prior: Prior) -> Decoder:
        """Keep it: its memory and its graphs serve every window of a prior."""
        return Decoder(prior, self)
