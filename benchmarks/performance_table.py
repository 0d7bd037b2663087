"""The tables of docs/performance.md out of benchmarks/sampling.json.

Command:  python benchmarks/performance_table.py
Result:   prints a table for decoding, prefill, narrow weights and the VQ-VAE
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("sampling.json")
Row = dict[str, Any]
COLUMNS: dict[str, dict[str, Callable[[Row], str]]] = {
    "decode": {
        "model": lambda row: row["model"],
        "batch": lambda row: str(row["batch"]),
        "window": lambda row: row["where"],
        "weights": lambda row: row["weights"],
        "codes/s": lambda row: f"{row['per_cpu_s']:.0f}",
        "the port": lambda row: f"{row['port_per_cpu_s']:.0f}",
        "ratio": lambda row: f"{row['ratio']:.2f}",
        "of the floor": lambda row: f"{row['of_floor']:.0%}",
    },
    "prefill": {
        "model": lambda row: row["model"],
        "against": lambda row: row["where"],
        "weights": lambda row: row["weights"],
        "codes/s": lambda row: f"{row['per_cpu_s']:.0f}",
        "the port": lambda row: f"{row['port_per_cpu_s']:.0f}",
        "ratio": lambda row: f"{row['ratio']:.2f}",
    },
    "quality": {
        "model": lambda row: row["model"],
        "weights": lambda row: row["weights"],
        "logits off the port's by": lambda row: f"{row['logits_off_port']:.1e}",
        "KL in nats": lambda row: f"{row['kl_nats']:.1e}",
    },
    "vqvae": {
        "what": lambda row: row["where"],
        "s of sound/s": lambda row: f"{row['per_cpu_s']:.1f}",
        "the port": lambda row: f"{row['port_per_cpu_s']:.1f}",
        "ratio": lambda row: f"{row['ratio']:.2f}",
        "same codes": lambda row: "yes" if row["same_codes"] else "no",
    },
}


def main() -> None:
    rows = json.loads(FIGURES.read_text())
    for what, columns in COLUMNS.items():
        print(f"## {what}\n")
        print(*lines(columns, [row for row in rows if row["what"] == what]), "", sep="\n")


def lines(columns: dict[str, Callable[[Row], str]], rows: Iterable[Row]) -> Iterable[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(cell(row) for cell in columns.values())} |"


if __name__ == "__main__":
    main()
