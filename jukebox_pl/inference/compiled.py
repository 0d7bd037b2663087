"""A function compiled into one graph that runs again and again on the same tensors, without asking Python."""

from __future__ import annotations

import functools
import importlib.util
import types
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from jukebox_pl.inference import native

# For a CPU; a GPU's recorded graph runs no Python anyway. In one piece, 72 layers take over six minutes to build.
WITHOUT_PYTHON = {"cpp_wrapper": True, "cpp_wrapper_build_separate": True}


@functools.cache
def can_compile(device: str) -> bool:
    """Whether torch.compile can work on a kind of device; where not, one warning says so."""
    missing = "a C++ compiler" if native.compiler() is None else ""
    if device == "cuda" and not importlib.util.find_spec("triton"):
        missing = "triton"
    if missing:
        warnings.warn(f"engine.compile needs {missing}, and there is none: sampling goes on without", stacklevel=2)
    return not missing


class Replay:
    """A method without arguments, compiled when first called; later calls run its graph on the same tensors again.

    So the method may do nothing but change tensors in place, the same ones every time. Python is not asked again: that
    the graph still fits would be checked at every call, for up to half of its time. On a GPU the second call records a
    CUDA graph.
    """

    def __init__(self, method: Callable[[], None]):
        # Graphs are kept by code object, a few at most: with a copy of its code, each method has its own.
        plain: Any = method
        own = types.FunctionType(plain.__func__.__code__.replace(), plain.__func__.__globals__, plain.__func__.__name__)
        function = types.MethodType(own, plain.__self__)
        self._run: Callable[[], Any] = torch.compile(function, backend=self._compile, fullgraph=True, dynamic=False)

    def __call__(self) -> None:
        self._run()

    def _compile(self, graph: fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        """The backend that torch.compile calls once, with the tensors that every call will work on."""
        on_gpu = inputs[0].is_cuda
        options = {"size_asserts": False, **({} if on_gpu else WITHOUT_PYTHON)}
        # A private API: the public backend "inductor" gives no compiled graph to call without its guards.
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
        graph.replay()  # recording runs nothing
