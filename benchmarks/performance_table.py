"""The tables of docs/performance.md out of benchmarks/sampling.json.

Command:  python benchmarks/performance_table.py
Result:   prints a table for decoding, prefill, narrow weights (random and trained) and the VQ-VAE
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("sampling.json")
Row = dict[str, Any]
Columns = dict[str, Callable[[Row], str]]
MODEL: Columns = {"model": lambda row: row["model"]}
WEIGHTS: Columns = {"weights": lambda row: row["weights"]}
RATIO: Columns = {"ratio": lambda row: f"{row['ratio']:.2f}"}
RATES: Columns = {
    "codes/s": lambda row: rate(row["per_cpu_s"]),
    "the port": lambda row: rate(row["port_per_cpu_s"]),
    **RATIO,
}
DIVERGENCE: Columns = {"KL in nats": lambda row: f"{row['kl_nats']:.1e}"}
COLUMNS: dict[str, Columns] = {
    "decode": {
        **MODEL,
        "batch": lambda row: str(row["batch"]),
        "window": lambda row: row["where"],
        **WEIGHTS,
        **RATES,
        "of the floor": lambda row: f"{row['of_floor']:.0%}",
    },
    "prefill": {**MODEL, "against": lambda row: row["where"], **WEIGHTS, **RATES},
    "quality": {
        **MODEL,
        **WEIGHTS,
        "logits off the port's by": lambda row: f"{row['logits_off_port']:.1e}",
        **DIVERGENCE,
    },
    "trained": {
        **MODEL,
        **WEIGHTS,
        "codes": lambda row: str(row["codes"]),
        **DIVERGENCE,
        "bits a code": lambda row: f"{row['bits']:.4f}",
        "more than exact": lambda row: f"{row['bits_more']:+.5f}",
    },
    "vqvae": {
        "what": lambda row: row["where"],
        "s of sound/s": lambda row: rate(row["per_cpu_s"]),
        "the port": lambda row: rate(row["port_per_cpu_s"]),
        **RATIO,
        "same codes": lambda row: "yes" if row["same_codes"] else "no",
    },
}


def main() -> None:
    rows = json.loads(FIGURES.read_text())
    for what, columns in COLUMNS.items():
        print(f"## {what}\n")
        print(*lines(columns, [row for row in rows if row["what"] == what]), "", sep="\n")


def lines(columns: Columns, rows: Iterable[Row]) -> Iterable[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(cell(row) for cell in columns.values())} |"


def rate(number: float) -> str:
    return f"{number:.1f}" if number < 20 else f"{number:.0f}"


if __name__ == "__main__":
    main()
