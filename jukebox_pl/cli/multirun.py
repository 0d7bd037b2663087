"""`-m`: a run for every combination of values, `name=A,B`, each in a process and a run_dir of its own, one by one."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from jukebox_pl.errors import UserError

FLAGS = ("-m", "--multirun")
RUN_DIR = "run_dir="
MISTAKE = 2  # exit code of a run that is the user's to correct: the others are made all the same


def multirun(command: str, words: list[str]) -> None:
    """Runs `python -m jukebox_pl.COMMAND` on every combination. Raises UserError when there is nothing to combine, or when
    some were not finished; SystemExit with the code of a run that was stopped."""
    if "WORLD_SIZE" in os.environ:
        raise UserError("-m starts one run after the other: give it to the command itself, not under torchrun or srun")
    sweeps = {word: values for word in words if (values := swept(word))}
    if not sweeps:
        raise UserError("-m: expected a setting with several values, such as size.top_prior.optim.lr=1e-3,3e-3")
    run_dir = next((word for word in words if word.startswith(RUN_DIR)), f"{RUN_DIR}runs/${{name}}")
    fixed = [word for word in words if word not in sweeps and word != run_dir]
    combinations, unfinished = list(product(*sweeps.values())), []
    for number, chosen in enumerate(combinations, start=1):
        label = ",".join(chosen).replace("/", "_")
        print(f"({number}/{len(combinations)}) {' '.join(chosen)}", file=sys.stderr, flush=True)
        own = [*fixed, *chosen, f"{run_dir}/{label}"]
        code = subprocess.run([sys.executable, "-m", f"jukebox_pl.{command}", *own], check=False).returncode
        if code == MISTAKE:
            unfinished.append(label)
        elif code:
            raise SystemExit(code)
    if unfinished:
        raise UserError(f"{len(unfinished)} of {len(combinations)} runs were not finished, {' and '.join(unfinished)}")


def swept(word: str) -> list[str]:
    """`name=A,B`, or `name=range(1,3)`, as one `name=value` each; nothing where there is one value."""
    try:
        override = OverridesParser.create().parse_override(word)
        is_swept = override.is_sweep_override()
    except (HydraException, ValueError):
        return []
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()] if is_swept else []
