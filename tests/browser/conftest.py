"""A page in Chromium. Where there is no browser, these tests say so and are skipped."""

from __future__ import annotations

import importlib.util
import os
import shutil
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HEIGHT = 900
# A container may run as root and with a small /dev/shm; sound plays without a click and without a loudspeaker.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser: $CHROMIUM, or one of PROGRAMS."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    missing = [name for name in ("playwright", "axe_core_python") if not importlib.util.find_spec(name)]
    if found and not missing:
        return found
    lacking = ", ".join([*([] if found else ["chromium"]), *missing])
    warnings.warn(f"NO PAGE WAS TESTED IN A BROWSER: {lacking} not installed (apt install chromium)", stacklevel=1)
    pytest.skip(f"no browser: {lacking} not installed")


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """`open_page(path_or_url, width=1280, scheme="light")`, offline for a path. An error in its console fails the test,
    but for those of others' scripts that are `forgiven`."""
    contexts, errors = [], []

    def note(error: str, forgiven: Collection[str]) -> None:
        if not any(part in error for part in forgiven):
            errors.append(error)

    def open_(place: str | Path, width: int = 1280, scheme: str = "light", forgiven: Collection[str] = ()) -> Any:
        is_file = isinstance(place, Path)
        size = {"width": width, "height": HEIGHT}
        context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce", offline=is_file)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: note(message.text, forgiven) if message.type == "error" else None)
        page.on("pageerror", lambda error: note(str(error), forgiven))
        page.goto(place.resolve().as_uri() if is_file else place)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not errors
