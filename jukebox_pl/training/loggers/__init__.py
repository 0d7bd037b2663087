"""Where the numbers, sounds and pictures of a stage go: files always, dashboards where YAML lists them."""

from __future__ import annotations

from pytorch_lightning.utilities import rank_zero_only


def first_rank() -> bool:
    """Whether this process is the one that writes."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)
