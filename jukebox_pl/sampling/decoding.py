"""The innermost loop: one window of codes, drawn one after the other, and the engines that run it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jukebox_pl.errors import UserError
from jukebox_pl.inference.compiled import Replay, can_compile
from jukebox_pl.inference.linear import StreamedLinear, stream_linears
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.logits import draw
from jukebox_pl.types import LevelParams

WEIGHTS = {"as_loaded": None, "bfloat16": torch.bfloat16, "int8": torch.int8}
CHECK_EVERY = 64  # codes; to ask whether logits are finite makes a GPU wait

OnCode = Callable[[int], None]  # how many codes there are; on a GPU, how many are under way


class Window:
    """The codes [B, ctx] of a window while they are drawn: fixed shapes, fixed memory, the position a number in it.

    So every step is the same work on the same tensors: `compiled`, one graph does it. The next window of as many rows is
    written into the same memory.
    """

    step: Callable[[], None]  # draws one code more; `begin` chooses it

    def __init__(self, prior: Prior, rows: int, device: torch.device, compiled: bool = False, guided: bool = False):
        self.prior, self.cache, self.compiled, self.guided = prior, prior.new_cache(), compiled, guided
        self.codes = torch.zeros(rows, prior.ctx, dtype=torch.long, device=device)
        self.noise, self.peaks = (torch.zeros(rows, prior.ctx, device=device) for _ in range(2))
        self.position = torch.zeros((), dtype=torch.long, device=device)
        self.temperature, self.top_p, self.guidance = (torch.zeros((), device=device) for _ in range(3))
        self.top_k, self.cuts_top_p = 0, False
        self.cond = Conditioning(None, None, None, None)
        self._steps: dict[tuple[int, bool], Callable[[], None]] = {}

    def sample(
        self,
        cond: Conditioning,
        known: Tensor,
        noise: Tensor,
        params: LevelParams,
        on_step: OnCode | None = None,
        prefill: int = 0,
    ) -> Tensor:
        """Codes [B, known] completed to [B, T], a number of noise [B, T] for every position.

        A guided window is conditioned on 2 B items: with all labels, then without those that guide. Raises ValueError naming
        the first position whose logits are not finite.
        """
        start, total = known.shape[1], noise.shape[1]
        logits = self.begin(cond, known, noise, params, prefill)
        checked = start
        for end in range(start + 1, total + 1):
            if end == start + 1:
                self._draw(logits)
            else:
                self.step()
            if end - checked == CHECK_EVERY or end == total:
                finite = self.peaks[:, checked:end].isfinite().all(0).tolist()
                if not all(finite):
                    raise ValueError(f"code {checked + finite.index(False)}: the prior's logits are not finite")
                checked = end
            if on_step:
                on_step(end)
        return self.codes[:, :total].clone()

    def begin(self, cond: Conditioning, known: Tensor, noise: Tensor, params: LevelParams, prefill: int = 0) -> Tensor:
        """Reads codes [B, known], `prefill` at once (0: all); returns the logits [B, bins] of the first code to draw."""
        self.codes[:, : known.shape[1]] = known
        self.noise[:, : noise.shape[1]] = noise
        self.position.fill_(known.shape[1])
        # The numbers of `params` are tensors to a step; what else it does with them makes another graph.
        self.temperature.fill_(params.temperature)
        self.top_p.fill_(params.top_p)
        self.guidance.fill_(params.guidance)
        self.top_k, self.cuts_top_p = kind = params.top_k, params.top_p > 0
        if kind not in self._steps:
            self._steps[kind] = Replay(self._step) if self.compiled else self._step
        self.step = self._steps[kind]
        # A step reads of `cond` only what is added at the positions [B, ctx, W]; the cache keeps the lyrics.
        if cond.positions is not None:
            rows, length, width = cond.positions.shape
            held = self.cond.positions
            if held is None:
                held = cond.positions.new_zeros(rows, self.prior.ctx, width)
                self.cond = self.cond._replace(positions=held)
            held[:, :length] = cond.positions
        self.cache.position = 0
        for piece in known.split(prefill or self.prior.ctx, dim=1):
            logits = self.prior(self._paths(piece), cond, self.cache, last_only=True)[:, -1]
        return self._guide(logits)

    def _step(self) -> None:
        before = self.codes.index_select(1, self.position[None] - 1)
        self._draw(self._guide(self.prior.step(self._paths(before), self.cond, self.cache, self.position)))

    def _paths(self, codes: Tensor) -> Tensor:
        """The codes of every item that the window is conditioned on."""
        return codes.repeat(2, 1) if self.guided else codes

    def _guide(self, logits: Tensor) -> Tensor:
        if not self.guided:
            return logits
        labelled, unlabelled = logits.float().chunk(2)
        return unlabelled + self.guidance * (labelled - unlabelled)

    def _draw(self, logits: Tensor) -> None:
        """Draws from logits [B, bins] the code at `position`. Nothing here waits for a GPU."""
        here = self.position[None]
        uniform = self.noise.index_select(1, here).squeeze(1)
        drawn = draw(logits, uniform, self.temperature, self.top_k, self.top_p if self.cuts_top_p else None)
        self.codes.index_copy_(1, here, drawn.unsqueeze(1) + self.prior.first_code)
        self.peaks.index_copy_(1, here, logits.amax(-1, keepdim=True).float())
        self.position.add_(1)


@torch.no_grad()
def sample_codes(prior: Prior, cond: Conditioning, known: Tensor, noise: Tensor, params: LevelParams) -> Tensor:
    """One window of a prior as it is: codes [B, known] completed to [B, T], as `Window.sample` does."""
    window = Window(prior, len(known), known.device, guided=params.guidance != 1)
    return window.sample(cond, known, noise, params)


def streamed(prior: Prior, dtype: torch.dtype | None) -> Prior:
    """A copy of a prior for sampling. It shares all tensors but the weights that change their type."""
    shared = [*prior.parameters(), *prior.buffers()]
    twin = copy.deepcopy(prior, {id(tensor): tensor for tensor in shared})
    stream_linears(twin.transformer, dtype)
    if prior.out is None:
        twin.out = StreamedLinear(prior.embed.weight.detach(), dtype=dtype)
    elif type(prior.out) is nn.Linear:
        twin.out = StreamedLinear(prior.out.weight.detach(), dtype=dtype)
    return twin


class Decoder:
    """`sample_codes` for many windows of one prior, which must stay on its device: its memory and graphs serve them all."""

    def __init__(self, prior: Prior, engine: Engine):
        self.engine, self._windows = engine, dict[tuple[int, ...], Window]()
        plain = not engine.compile and engine.weights == "as_loaded"
        self.network = prior if plain else streamed(prior, WEIGHTS[engine.weights])

    @torch.inference_mode()
    def __call__(
        self, cond: Conditioning, known: Tensor, noise: Tensor, params: LevelParams, on_step: OnCode | None = None
    ) -> Tensor:
        """Like `Window.sample`, in the memory that fits: every shape of it follows from these four."""
        guided = params.guidance != 1
        shape = len(known), cond.positions is not None, 0 if cond.states is None else cond.states.shape[1], guided
        if shape not in self._windows:
            compiled = self.engine.compile and can_compile(known.device.type)
            if not compiled:
                self._windows.clear()  # memory is quickly had again; a graph is worth keeping it
            self._windows[shape] = Window(self.network, len(known), known.device, compiled, guided)
        try:
            return self._windows[shape].sample(cond, known, noise, params, on_step, self.engine.prefill)
        except ValueError:
            self._windows.clear()  # its caches hold what is not finite, and a masked NaN is still one
            raise


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

    def require_device(self, device: torch.device | str) -> None:
        """Raises UserError for int8 off the CPU: without an operator there, each step would unpack every matrix whole."""
        if self.weights == "int8" and (kind := torch.device(device).type) != "cpu":
            raise UserError(f"engine.weights=int8 was asked for on {kind}, and is for the CPU: take weights=bfloat16 there")
