"""Lyrics in the tags of a song: USLT and SYLT of ID3, LYRICS of Vorbis comments and APEv2, those of MP4 and of WMA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mutagen
from mutagen.apev2 import APEv2

from jukebox_pl.catalog.word_times.formats import read_timed
from jukebox_pl.catalog.word_times.timed import Line, TimedLyrics, spread
from jukebox_pl.errors import UserError
from jukebox_pl.text.files import MOST_BYTES, repaired

NAMES = (
    "syncedlyrics",
    "lyrics",
    "unsyncedlyrics",
    "unsynced lyrics",
    "\xa9lyr",
    "wm/lyrics",
    "lyrics_synchronised",
    "lyric",
)
IN_MILLISECONDS = 2  # of SYLT; 1 counts frames of MPEG


def lyrics_of_tags(path: Path) -> TimedLyrics:
    """Those with times first; empty where the tags hold none, or cannot be read."""
    try:
        file = mutagen.File(path)
        tags: Any = file.tags if file is not None and file.tags else APEv2(path)  # which MP3s may have alone
        found = list(timed_lyrics(tags))
    except (mutagen.MutagenError, UserError, ValueError, TypeError, KeyError, AttributeError):
        found = []
    return max(found, key=lambda each: (bool(each.words), len(each.lyrics) > 0), default=TimedLyrics(""))


def timed_lyrics(tags: Any) -> Iterator[TimedLyrics]:
    if hasattr(tags, "getall"):  # ID3
        for frame in tags.getall("SYLT"):
            if frame.format == IN_MILLISECONDS and frame.text:
                yield synchronised(frame.text)
        texts = [frame.text for frame in tags.getall("USLT")]
        texts += [text for frame in tags.getall("TXXX") if frame.desc.lower() in NAMES for text in frame.text]
    else:
        named = {str(key).lower(): value for key, value in (tags.items() if hasattr(tags, "items") else tags)}
        values = [named[name] for name in NAMES if name in named]
        texts = [str(text) for value in values for text in (value if isinstance(value, list) else [value])]
    for text in texts:
        if text.strip() and len(text) <= MOST_BYTES:
            yield read_timed(repaired(text).replace("\r\n", "\n").replace("\r", "\n"), "")


def synchronised(pieces: list[tuple[str, int]]) -> TimedLyrics:
    """Pieces with milliseconds: a line each, or syllables, where some begin with a line end."""
    lines: list[Line] = []
    by_syllables = any("\n" in text for text, _ in pieces)
    for text, milliseconds in pieces:
        sung, seconds = text.strip("\r\n"), milliseconds / 1000
        if not lines or not by_syllables or text.startswith(("\n", "\r")):
            lines.append(Line(seconds, sung))
        else:
            at = len(lines[-1].text)
            anchors = {**lines[-1].anchors, at + len(sung) - len(sung.lstrip()): seconds}
            lines[-1] = lines[-1]._replace(text=lines[-1].text + sung, anchors=anchors)
        if by_syllables and text.endswith("\n"):
            lines.append(Line(seconds, ""))
    return spread(lines)
