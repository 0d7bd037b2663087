"""Texts as Hydra's command line takes them."""

from __future__ import annotations

import re


def quoted(text: str) -> str:
    """In quotes, where a backslash counts only before a quote and at the end."""
    inner = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), text)
    return f"'{inner}'"
