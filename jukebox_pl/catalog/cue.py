"""Cue sheets: which files of an album hold how many tracks."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

from jukebox_pl.errors import UserError
from jukebox_pl.text.files import read_text_file

LINE = re.compile(r'\s*(?:FILE\s+(?:"(?P<quoted>[^"]*)"|(?P<bare>\S+))|TRACK\s+\d+\s+AUDIO)', re.IGNORECASE)


def read_cue(path: Path) -> dict[str, int]:
    """The number of tracks in every file that a cue sheet names, without their folders; none where it cannot be read."""
    tracks: dict[str, int] = {}
    try:
        text, _ = read_text_file(path)
    except (UserError, OSError):
        return {}
    for found in filter(None, map(LINE.match, text.splitlines())):
        name = found["quoted"] or found["bare"]
        if name:
            tracks.setdefault(PureWindowsPath(name).name, 0)
        elif tracks:
            tracks[next(reversed(tracks))] += 1
    return tracks
