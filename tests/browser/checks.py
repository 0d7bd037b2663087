"""What holds for every page, asked in a browser."""

from __future__ import annotations

import time
from functools import cache
from importlib import resources
from typing import Any

HEIGHT = 900
PHONE, DESK = 390, 1280  # pixels
WIDTHS, SCHEMES = (PHONE, DESK), ("light", "dark")  # what the visitor prefers
GRAVE = ("serious", "critical")  # of axe's four, those that keep somebody from using a page

# Colours that fade into each other are nobody's to judge. A page may begin that a few frames after it is told of a scheme.
TO_THE_END = """(async () => {
  const ends = (animation) => animation.effect.getComputedTiming().endTime < Infinity;
  for (let frame = 0; frame < 20; frame++) {
    await new Promise(requestAnimationFrame);
    document.getAnimations().filter(ends).forEach((animation) => animation.finish());
  }
})()"""

# What a finger has to push sideways to read it whole.
PUSHED = """[...document.querySelectorAll("body *")]
  .filter((one) => ["auto", "scroll"].includes(getComputedStyle(one).overflowX) && one.scrollWidth > one.clientWidth + 1)
  .map((one) => one.getAttribute("aria-label") || one.outerHTML.slice(0, 80))"""


@cache
def axe() -> str:
    return resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def assert_everybody_can_use(page: Any) -> None:
    """It fits a phone and a desk, nothing in it is pushed sideways on a phone, and axe finds nothing grave, in the light and
    in the dark."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        assert width > PHONE or page.evaluate(PUSHED) == []
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            grave = grave_violations(page)
            assert not grave, (width, scheme, grave)


def wait_until(page: Any, expression: str, seconds: float = 20) -> None:
    """Until JavaScript says so. Playwright's own waiting needs `eval` in the page, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not holds(page, expression):
        assert time.monotonic() < end, expression
        time.sleep(0.02)


def holds(page: Any, expression: str) -> bool:
    from playwright.sync_api import Error

    try:
        return bool(page.evaluate(expression))
    except Error:  # of a page that is being loaded again
        return False


def grave_violations(page: Any) -> list[str]:
    """What axe-core calls serious or critical: the rule, and the first places."""
    page.evaluate(TO_THE_END)
    page.evaluate(axe())  # by the debugger, which a page's own policy does not concern
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in found if one["impact"] in GRAVE]
