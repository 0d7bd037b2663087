"""Operators in C++, built when they are first asked for and kept. Nobody needs them: without a compiler there are none."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch

SOURCES = sorted(Path(__file__).parent.glob("*.cpp"))
TORCH = Path(torch.__file__).parent
INSTRUCTIONS = {
    "AVX512": "-mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprefer-vector-width=512",
    "AVX2": "-mavx2 -mfma",
}
FLAGS = f"-O3 -std=gnu++20 -fopenmp -shared -fPIC -w -I{TORCH}/include -L{TORCH}/lib"


def compiler() -> str | None:
    """The C++ compiler of this machine: $CXX, or g++."""
    return shutil.which(os.environ.get("CXX", "g++"))


@functools.cache
def operators() -> bool:
    """Makes `torch.ops.jukebox_pl` ready, within half a minute the first time; False, and one warning, where it cannot."""
    if compiler() is None:
        warnings.warn("no C++ compiler ($CXX, g++): work goes on with slower operators", stacklevel=2)
        return False
    try:
        torch.ops.load_library(_library())
    except (subprocess.CalledProcessError, OSError) as error:
        warnings.warn(f"C++ operators do not build ({error}): work goes on with slower ones", stacklevel=2)
        return False
    # What a compiler has to know of the operator: the shape of its answer.
    torch.library.register_fake(
        "jukebox_pl::streamed_linear", lambda x, weight, scale, bias: x.new_empty(*x.shape[:-1], weight.shape[0])
    )
    return True


def _library() -> Path:
    """The built library, its name made from all that it depends on, the processor's instructions included."""
    capability = torch.backends.cpu.get_cpu_capability()
    flags = f"{FLAGS} {INSTRUCTIONS.get(capability, '')}".split()
    made_of = [*(source.read_text() for source in SOURCES), torch.__version__, *flags]
    name = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
    cached = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jukebox_pl" / f"{name}.so"
    if not cached.exists():
        if sys.stderr.isatty():
            print("building C++ operators, once: ten to thirty seconds", file=sys.stderr)
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            built = Path(folder) / cached.name
            subprocess.run(
                [str(compiler()), *flags, *SOURCES, "-o", built, "-lc10", "-ltorch_cpu"], check=True, capture_output=True
            )
            built.rename(cached)  # whole or not at all
    return cached
