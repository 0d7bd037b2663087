"""`python -m tests`: everything that has to hold before a change lands; stops at the first that does not.

`python -m tests fast`: what fits into a minute, before every commit. Other words go to pytest.
"""

import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
WORDS = sys.argv[1:]
FAST = WORDS == ["fast"]
CHECKS: tuple[tuple[str, ...], ...] = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    *(() if FAST else (("mypy",),)),
    ("lint-imports",),
    ("pytest", "-n", "2", *(["-m", "fast"] if FAST else WORDS)),
)

for program, *words in CHECKS:
    print("$", program, *words, flush=True)
    if status := subprocess.run([PROGRAMS / program, *words]).returncode:
        sys.exit(status)
