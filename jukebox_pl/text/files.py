"""Text files in whatever encoding they are, and names whose letters were garbled on the way."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Collection
from functools import cache
from pathlib import Path

from jukebox_pl.errors import UserError

NO_SUCH_FILE = "no such file"
MOST_BYTES = 10_000_000
MOST_GUESSED = 10_000  # of a text, to tell its encoding
MARKS = {  # the longer one first: UTF-32 begins as UTF-16 does
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# What text is in that is not in Unicode, and by how much each is to be expected more than another.
LEGACY = {
    "cp1252": 2.0,
    "cp1251": 1.5,
    "gb18030": 2.5,
    "cp932": 1.0,
    "cp949": 1.0,
    "big5": 1.0,
    "cp1250": 1.0,
    "cp1253": 1.0,
    "cp1254": 1.0,
    "cp1255": 1.0,
    "cp1256": 1.0,
    "koi8-r": 0.5,
}
GARBLED = ("cp1251", "gb18030", "cp932", "cp949", "big5", "cp1253", "koi8-r")
SCRIPTS = dict.fromkeys(("HIRAGANA", "KATAKANA", "IDEOGRAPHIC"), "CJK") | {"MODIFIER": ""}


def read_text_file(path: Path, most_bytes: int = MOST_BYTES) -> tuple[str, str | None]:
    """The text of a file, lines ended by `\\n`, and a warning where its encoding was guessed or its letters repaired.

    Raises UserError when it is no regular file, too large or not text, OSError when it cannot be read.
    """
    if not path.is_file():  # a pipe would be waited for
        raise UserError("is not a file" if path.exists() else NO_SUCH_FILE)
    if (size := path.stat().st_size) > most_bytes:
        raise UserError(f"has {size / 1e6:.1f} MB, a text has at most {most_bytes / 1e6:g} MB")
    text, encoding = decode(path.read_bytes())
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if found := re.search(r"[\0-\x08]", text):
        raise UserError(f"is not text: it holds the control character {ord(found[0])}")
    if not encoding.startswith("utf"):
        return text, f"is not UTF-8: read as {encoding}; save it as UTF-8 if that is wrong"
    if (mended := repaired(text)) != text:
        return mended, "had garbled letters, as from a wrong encoding: repaired"
    lost = text.count("\N{REPLACEMENT CHARACTER}")
    return text, f"has {lost} letters that were lost in another program (\N{REPLACEMENT CHARACTER})" if lost else None


def decode(data: bytes) -> tuple[str, str]:
    """The text and the name of its encoding. A byte order mark decides, then UTF-8, which others hardly ever look like.

    Raises UserError when no encoding fits.
    """
    mark = next((mark for mark in MARKS if data.startswith(mark)), b"")
    guesses = [MARKS[mark]] if mark else ["utf-8"]
    if not mark and b"\0" in data:  # blanks and line ends have one in UTF-16
        guesses = ["utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"]
    for encoding in guesses:
        try:
            return data[len(mark) :].decode(encoding).lstrip("\ufeff"), encoding
        except UnicodeDecodeError:
            continue
    if mark or b"\0" in data:
        raise UserError(f"is not the {guesses[0].upper()} that it begins as: save it as UTF-8")
    best = guess(data, LEGACY)
    if not best:
        raise UserError("is in no known encoding: save it as UTF-8")
    return best


def guess(data: bytes, among: Collection[str]) -> tuple[str, str] | None:
    """The likeliest text of some bytes that are not Unicode, and its encoding.

    A detector alone takes `olé` for Greek, as it does not look at words: letters of two scripts do not make one.
    """
    import chardet  # 0.2 s, which most files never need

    names = [name for name in LEGACY if name in among]
    found = chardet.detect_all(data, max_bytes=MOST_GUESSED, ignore_threshold=True, include_encodings=names)
    confidence = {codecs.lookup(each["encoding"] or "ascii").name: each["confidence"] for each in found}
    ranked: list[tuple[float, str, str]] = []
    for name in names:
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        kana = sum("\u3041" <= c <= "\u30ff" for c in text) / len(text) if name == "cp932" else 0.0
        known = confidence.get(codecs.lookup(name).name, 0.0) + kana + 0.002
        ranked.append((known * LEGACY[name] * (1 - odd_share(text[:MOST_GUESSED])) ** 2, text, name))
    return max(ranked, key=lambda rank: rank[0])[1:] if ranked else None


def odd_share(text: str) -> float:
    """How much of what is not ASCII is odd: signs, and letters in words of two scripts or with capitals inside."""
    odd = sum(unicodedata.category(c)[0] in "SC" or c in "¶§‡†·" for c in text if c > "\x7f")
    for word in re.findall(r"\w+", text):
        scripts = {script(c) for c in word if c.isalpha() and not ("A" <= c <= "Z")} - {""}
        has_case = not word.isascii() and word.lower() != word.upper()
        if len(scripts) > 1 or (has_case and not (word.isupper() or word[1:].islower() or len(word) == 1)):
            odd += sum(c > "\x7f" for c in word)
    return min(odd / max(sum(c > "\x7f" for c in text), 1), 1.0)


@cache
def script(letter: str) -> str:
    """The first word of its Unicode name: LATIN, CYRILLIC, CJK."""
    name = unicodedata.name(letter, "UNNAMED").replace("-", " ").partition(" ")[0]
    return SCRIPTS.get(name, name)


def repaired(text: str) -> str:
    """A text whose letters were read in a wrong encoding, as `Ñåðãåé` for `Сергей`; any other as it is.

    Words with a plain Latin letter among accented ones are not touched, nor is what would not become plain words.
    """
    if text.isascii():
        return text
    import ftfy

    try:
        data = text.encode("latin-1")
        controls = bool(re.search(rb"[\x80-\x9f]", data))  # no text has them
    except UnicodeEncodeError:
        data, controls = text.encode("sloppy-windows-1252", "ignore"), False  # ftfy's: cp1252 with the bytes it lacks
        data = data if len(data) == len(text) else b""  # other letters beside: nothing was garbled
    words = [word for word in re.split(r"[\x00-@\[-`{-\x7f]+", text) if not word.isascii()]
    foreign = any(len(word) >= 4 and len(set(filter(str.isalpha, word))) >= 2 for word in words)
    if data and (controls or (foreign and not any(re.search("[A-Za-z]", word) for word in words))):
        best = guess(data, GARBLED) if not is_utf8(data) else None  # UTF-8 is what ftfy mends
        if best and odd_share(best[0]) == 0:
            return best[0]
    return ftfy.fix_encoding(text)


def is_utf8(data: bytes) -> bool:
    try:
        return bool(data.decode())
    except UnicodeDecodeError:
        return False
