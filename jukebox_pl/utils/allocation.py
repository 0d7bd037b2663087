"""Memory that was freed, kept for whoever asks next."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of mallopt(3)
NEVER, USUALLY = 2**31 - 1, 2**25  # bytes; 32 MiB is where glibc's own threshold settles in a program of large tensors


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """The C library gives no memory back to the system until the end, where it has mallopt (glibc).

    Otherwise it returns every large tensor at once, and the system fills the pages of the next one with zeros, one by one.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    try:
        libc.mallopt(MMAP_THRESHOLD, NEVER)
        libc.mallopt(TRIM_THRESHOLD, NEVER)
        yield
    finally:
        libc.mallopt(MMAP_THRESHOLD, USUALLY)
        libc.mallopt(TRIM_THRESHOLD, USUALLY)
        libc.malloc_trim(0)
