"""Parity with the original, checked against golden data found through JUKEBOX_GOLDEN; without it the tests are skipped
and say so. With JUKEBOX_PARITY_TABLE=FILE the differences found are written there."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from golden_data import GOLDEN, Golden, numbers_of

NEEDS_NO_GOLDEN = "test_parity_hf.py"
MISSING = f"PARITY NOT CHECKED: no golden data in {GOLDEN}; set JUKEBOX_GOLDEN"
TABLE = os.environ.get("JUKEBOX_PARITY_TABLE")
HEAD = """# Parity with the original

Small models of the original code with random weights, in the released file format, read by `jukebox_pl.openai` and
run beside the inputs and outputs recorded from the original, in float32 on a CPU. (A second oracle, Hugging Face's port
with random weights, stands in `tests/parity/test_parity_hf.py`: codes and tokens equal, logits within 1e-5, where the port
is not itself wrong.) The tests write this table:

    JUKEBOX_GOLDEN=FOLDER JUKEBOX_PARITY_TABLE=docs/parity.md pytest tests/parity

Measures: absolute, the largest difference; relative, that divided by the value; norm, the norm of the difference
divided by the norm. Gradients, losses and codebooks count once a tensor or number.

| array | compared | measure | difference | tolerance |
|---|---|---|---|---|
"""


def difference(ours, golden):
    """Equal infinities differ by nothing."""
    return torch.where(ours == golden, torch.zeros_like(ours), ours - golden)


MEASURES = {
    "absolute": lambda ours, golden: difference(ours, golden).abs().max(),
    "relative": lambda ours, golden: (difference(ours, golden).abs() / golden.abs().clamp(min=1e-12)).max(),
    "norm": lambda ours, golden: difference(ours, golden).norm() / golden.norm().clamp(min=1e-12),
}


@dataclass
class Row:
    """All comparisons under one name."""

    measure: str
    tolerance: float
    error: float = 0.0
    compared: int = 0

    def cells(self):
        if self.tolerance:
            return f"{self.compared} | {self.measure} | {self.error:.1e} | {self.tolerance:.0e}"
        return f"{self.compared} | exact | {self.error:g} | 0"


class Match:
    """Asserts that ours is the original's within a tolerance, and keeps the largest difference under each name."""

    def __init__(self):
        self.rows = {}

    def __call__(self, name, ours, golden, tolerance=0.0, measure="absolute"):
        ours, golden = (torch.as_tensor(x).detach().double() for x in (ours, golden))
        assert ours.shape == golden.shape, f"{name}: shape {tuple(ours.shape)}, golden {tuple(golden.shape)}"
        error = MEASURES[measure](ours, golden).item()
        row = self.rows.setdefault(name, Row(measure, tolerance))
        row.error, row.compared = max(row.error, error), row.compared + 1
        assert error <= tolerance, f"{name}: {measure} difference {error:.3g}, tolerance {tolerance:.3g}"


MATCH = Match()


@pytest.fixture(scope="session")
def match():
    return MATCH


@pytest.fixture(scope="session")
def golden():
    return Golden


@pytest.fixture(scope="session")
def misc():
    return numbers_of("misc", "misc")


def pytest_collection_modifyitems(items):
    if not GOLDEN.is_dir():
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent) and item.path.name != NEEDS_NO_GOLDEN:
                item.add_marker(pytest.mark.skip(reason=MISSING))


def pytest_terminal_summary(terminalreporter):
    if not GOLDEN.is_dir():
        terminalreporter.write_line(MISSING, yellow=True)


def pytest_sessionfinish():
    if TABLE and MATCH.rows:
        Path(TABLE).write_text(HEAD + "".join(f"| {name} | {row.cells()} |\n" for name, row in sorted(MATCH.rows.items())))
