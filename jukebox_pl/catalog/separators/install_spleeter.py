"""`python -m jukebox_pl.catalog.separators.install_spleeter FOLDER`: an environment of its own for spleeter.

Its pins (tensorflow 2.12, numpy 1, Python 3.8 to 3.11) exclude ours. Takes 2 to 3 minutes and 2.5 GB. The same command
goes on after a stop.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from jukebox_pl.errors import UserError

COMMAND = "python -m jukebox_pl.catalog.separators.install_spleeter"
REQUIREMENT = "spleeter==2.4.2"  # also in requirements-spleeter.txt
MINOR_VERSIONS = (11, 10, 9, 8)


def install(folder: Path) -> Path:
    """Makes the environment in `folder` and returns its interpreter. Raises UserError when that cannot be done."""
    if folder.exists() and not (folder / "pyvenv.cfg").is_file() and (folder.is_file() or any(folder.iterdir())):
        raise UserError(f"{folder} holds something else: give a new or empty folder")
    interpreter = folder / "bin" / "python"
    _step([find_python(), "-m", "venv", str(folder)], "making the environment")
    _step([str(interpreter), "-m", "pip", "install", REQUIREMENT], f"installing {REQUIREMENT}")
    _step([str(interpreter), "-c", "import spleeter.separator"], "importing it")
    return interpreter


def find_python() -> str:
    """The newest interpreter on the path that spleeter accepts. Raises UserError when there is none."""
    for minor in MINOR_VERSIONS:
        path = shutil.which(f"python3.{minor}")
        if path and not subprocess.run([path, "-c", ""], capture_output=True).returncode:  # a name may lead nowhere
            return path
    raise UserError("spleeter needs Python 3.8 to 3.11, none is on the path: install one, such as python3.11")


def _step(command: list[str], what: str) -> None:
    """Runs a command that shows its own progress."""
    print(f"{what} ...", flush=True)
    try:
        code = subprocess.run(command).returncode
    except OSError as error:
        raise UserError(f"{what} failed: {error.filename}: {error.strerror}") from None
    if code:
        raise UserError(f"{what} failed with exit code {code}; its last lines above say why")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    try:
        interpreter = install(parser.parse_args(arguments).folder.absolute())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"done: set JUKEBOX_SPLEETER_PYTHON={interpreter}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
