"""`python -m tests`: everything that has to hold before a change lands; stops at the first that does not."""

import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
    ("pytest", *sys.argv[1:]),
)

for program, *words in CHECKS:
    print("$", program, *words, flush=True)
    if status := subprocess.run([PROGRAMS / program, *words]).returncode:
        sys.exit(status)
