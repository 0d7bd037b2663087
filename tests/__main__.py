"""`python -m tests`: everything that has to hold before a change lands; stops at the first that does not.

`python -m tests fast`: what fits into a minute, before every commit. Other words go to pytest.
"""

import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
UNIT = Path(__file__).parent / "unit"
WORDS = sys.argv[1:]
# Every room, but of a room what needs no run, no song and no other process.
FAST = [
    "test_types.py",
    *("audio", "checkpoints", "cli", "evaluation", "models", "nn", "text", "training/test_optim.py", "utils"),
    *(f"catalog/test_{name}.py" for name in ("packing", "reading", "shards", "sources")),
    *("catalog/aligners", "catalog/doctor/test_checks.py", "catalog/doctor/test_diagnose.py", "catalog/word_times"),
    *(f"datamodules/test_{name}.py" for name in ("audio", "codes", "crops", "lyrics")),
    *("inference/test_convolutions.py", "inference/test_linear.py", "pipeline/test_run.py", "pipeline/test_stage_folder.py"),
    *(f"sampling/test_{name}.py" for name in ("alignment", "checks", "conditioning", "levels", "logits", "windows")),
    *(f"training/test_{name}.py" for name in ("callbacks", "checkpoint_io", "loggers")),
    *("report/test_terminal.py", "studio/test_form.py", "../test_structure.py"),
]
STATIC = ("ruff", "check", "."), ("ruff", "format", "--check", "."), ("lint-imports",)
CHECKS: tuple[tuple[str, ...], ...] = (*STATIC, ("mypy",), ("pytest", "-n", "2", *WORDS))
if WORDS == ["fast"]:
    CHECKS = (*STATIC, ("pytest", "-n", "2", "-m", "not slow", *(str(UNIT / name) for name in FAST)))

for program, *words in CHECKS:
    print("$", program, *(words if len(words) < 9 else words[:4]), flush=True)
    if status := subprocess.run([PROGRAMS / program, *words]).returncode:
        sys.exit(status)
