import inspect

import pytest
import torch

from jukebox_pl.inference import native
from jukebox_pl.inference.compiled import Replay

needs_compiler = pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler")


class Counter:
    """Counts in place, in steps of `by`."""

    def __init__(self, by):
        self.by, self.total = by, torch.zeros(4)

    def step(self):
        self.total.add_(self.by)


def test_private_api_used_torch_inductor_compile():
    """Private API used: torch._inductor.compile; if torch moves it, this fails first."""
    parameters = list(inspect.signature(torch._inductor.compile).parameters)
    assert parameters[:3] == ["gm", "example_inputs", "options"]


@needs_compiler
def test_every_method_is_compiled_for_itself_and_runs_on_its_own_tensors():
    counters = [Counter(1.0), Counter(2.0)]
    replays = [Replay(counter.step) for counter in counters]
    for _ in range(3):
        for replay in replays:
            replay()
    assert [counter.total.tolist() for counter in counters] == [[3.0] * 4, [6.0] * 4]
