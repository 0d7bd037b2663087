"""The labels of a song: what the tags of its file say, whatever its format, and names fit to be learned."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mutagen
import soundfile
from mutagen.aac import AAC
from mutagen.aiff import AIFF
from mutagen.apev2 import APEv2
from mutagen.mp3 import MP3
from mutagen.wave import WAVE

from jukebox_pl.text.files import repaired

# What tags call a label: mutagen's easy names, then frames of ID3 in WAV and AIFF, then ASF; APEv2 minds no case.
KEYS = {
    "title": ("title", "TIT2", "Title"),
    "artist": ("artist", "TPE1", "Author", "albumartist", "TPE2"),
    "genre": ("genre", "TCON", "WM/Genre"),
}


def read_header(path: Path, tagged: bool) -> tuple[dict[str, str], mutagen.StreamInfo | None]:
    """Those of title, artist and genre that the file's tags name, if `tagged`; what its header says of the stream.

    Several values are one text with `;` between them. Neither for what is not understood.
    """
    file = attempt(mutagen.File, path, easy=True)
    if file is None or not tagged:
        return {}, None if file is None else file.info
    tags = named_in(file.tags)
    if isinstance(file, MP3 | AAC):  # what other players wrote, where ID3 says nothing
        tags = named_in(attempt(APEv2, path)) | tags
    if isinstance(file, WAVE | AIFF):
        tags = named_in(attempt(text_chunks, path)) | tags
    return tags, file.info


def attempt(function: Any, *arguments: Any, **options: Any) -> Any:
    """None where it fails, which parsers do in many ways on damaged tags: the sound may be whole all the same."""
    try:
        return function(*arguments, **options)
    except Exception:
        return None


def named_in(tags: Mapping[str, Any] | None) -> dict[str, str]:
    found = {}
    for label, keys in KEYS.items():
        values = (attempt(tags.get, key) for key in keys if tags is not None)
        texts = (";".join(filter(None, map(str.strip, flat(value)))) for value in values if value)
        found[label] = next(filter(None, texts), "")
    return {label: text for label, text in found.items() if text}


def flat(value: Any) -> list[str]:
    """The texts of a tag: a list, an ID3 frame, one text with zeros between them."""
    texts = getattr(value, "genres", None) or getattr(value, "text", None) or value
    return re.split("\0+", "\0".join([texts] if isinstance(texts, str) else map(str, texts)))


def text_chunks(path: Path) -> dict[str, str]:
    """LIST/INFO of a WAV, NAME and AUTH of an AIFF."""
    with soundfile.SoundFile(path) as file:
        return {label: getattr(file, label) for label in KEYS}


def clean_labels(labels: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Labels with garbled letters repaired and each name in one form; the first of several artists. What that changed."""
    cleaned, changes = {}, []
    for label, text in labels.items():
        mended = repaired(text)
        if mended != text:
            changes.append(f"{label} {text!r} has garbled letters: read as {mended!r}")
        cleaned[label] = clean(mended)
    artist, *others = [name for each in cleaned["artist"].split(";") if (name := each.strip())] or [""]
    if others:
        changes.append(f"artist {artist!r} is the first of several, the others are left out: {', '.join(others)}")
    return cleaned | {"artist": artist}, tuple(changes)


def clean(name: str) -> str:
    """NFC, one line, no blanks outside, no characters that nobody sees: what looks the same is the same name."""
    visible = (
        " " if unicodedata.category(c) == "Cc" else c for c in unicodedata.normalize("NFC", name) if c not in "\u200b\ufeff"
    )
    return " ".join("".join(visible).split())
