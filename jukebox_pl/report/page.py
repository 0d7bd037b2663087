"""What all pages share: one HTML file that opens anywhere and fetches nothing, its look, its script, its policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from jukebox_pl import audio
from jukebox_pl.utils.files import write_atomic

PAGE = "index.html"
SCRIPT = resources.files("jukebox_pl.report").joinpath("page.js")

Recording = tuple[np.ndarray, int]  # audio [C, T], sample rate


def write_page(path: Path, template: str, **parts: Any) -> Path:
    """Renders a template and writes it, whole or not at all; returns its path."""
    write_atomic(path, render(template, **parts).encode())
    return path


def render(template: str, **parts: Any) -> str:
    return environment().get_template(template).render(**parts)


def environment() -> Environment:
    """Where the templates of all pages are rendered: what is undefined is an error, what is shown is escaped.

    The page's policy names its script by a hash: no other one runs, whatever a song is called.
    """
    made = Environment(
        loader=PackageLoader("jukebox_pl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    made.globals |= {"script": Markup(script), "script_hash": f"sha256-{digest}"}
    made.filters |= {"plain": plain, "clock": clock, "zip": zip}
    return made


def plain(value: Any) -> str:
    """A value as a reader wants it: four digits of a number, what holds others without its brackets, a dash for nothing."""
    if isinstance(value, Mapping):
        return plain([f"{plain(weight)} {name}" for name, weight in value.items()])
    if isinstance(value, list | tuple):
        return ", ".join(plain(part) for part in value) or "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value in (None, "") else str(value)


def clock(seconds: float) -> str:
    """As people say how long something took: 8.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def data_uri(media: bytes | Recording) -> str:
    """An image in PNG, or a recording as FLAC, so that what is compared by ear is exact, and every browser plays it."""
    if isinstance(media, bytes):
        data, kind = media, "image/png"
    else:
        data, kind = audio.encode(*media, "flac"), "audio/flac"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
