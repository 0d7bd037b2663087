"""What holds for every page, asked in a browser."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

WIDTHS, SCHEMES = (390, 1280), ("light", "dark")  # a phone and a desk, in pixels; what the visitor prefers
GRAVE = ("serious", "critical")  # of axe's four, those that keep somebody from using a page


@cache
def axe() -> str:
    return resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def grave_violations(page: Any) -> list[str]:
    """What axe-core calls serious or critical: the rule, and the first places."""
    page.evaluate(axe())  # by the debugger, which a page's own policy does not concern
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in found if one["impact"] in GRAVE]


def overflow(page: Any) -> int:
    """By how many pixels a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
