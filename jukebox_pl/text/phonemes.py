"""Lyrics as they sound: every word spelt in the International Phonetic Alphabet by espeak-ng, where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from typing import Any

from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import Characters, normalize

PROGRAM, PATIENCE_SECONDS = "espeak-ng", 60
NO_SOUND = re.compile(r"\([a-z-]+\)|[ˈˌ \-]")  # changes of language, stress, breaths inside a word


class Phonemes(Characters):
    """A vocabulary of phonemes of one language, for spellings that say little of the sound.

    `language` is a voice of espeak-ng (en-us, fr, ja). Words stay apart and in their lines, so that times of words keep
    their meaning. Raises UserError when espeak-ng is not installed or does not know the language.
    """

    def __init__(self, characters: str, language: str):
        super().__init__(characters)
        self.language = language

    def including(self, text: str) -> Phonemes:
        return Phonemes("".join(sorted({*self.characters, *self.normalize(text)})), self.language)

    def normalize(self, text: str) -> str:
        lines = [line.split() for line in normalize(text).splitlines()]
        spoken = spell({bare(word) for line in lines for word in line}, self.language)
        return "\n".join(" ".join(spoken[bare(word)] for word in line if spoken[bare(word)]) for line in lines)

    def to_config(self) -> Any:
        return {"characters": self.characters, "language": self.language}


def bare(word: str) -> str:
    """A word without its signs: at a dash or dot espeak-ng would take a breath."""
    return "".join(c for c in word if c.isalnum() or c in "'’").strip("'’").lower()


KNOWN: dict[tuple[str, str], str] = {}


def spell(words: Iterable[str], language: str) -> dict[str, str]:
    """Each word's phonemes; every word goes to espeak-ng once in the life of the process."""
    new = sorted({word for word in words if word and (language, word) not in KNOWN})
    if new:
        spoken = espeak("\n\n".join(new), language)
        if len(spoken) != len(new):  # a paragraph did not come back as one line
            spoken = ["".join(espeak(word, language)) for word in new]
        KNOWN.update(((language, word), phonemes) for word, phonemes in zip(new, spoken, strict=True))
    return {word: KNOWN.get((language, word), "") for word in words}


def espeak(text: str, language: str) -> list[str]:
    """The phonemes of each paragraph, a line each. Raises UserError where espeak-ng is missing or refuses."""
    program = shutil.which(PROGRAM)
    if not program:
        raise UserError(f"phonemes need {PROGRAM}, which is not installed: install it, or leave phonemes out")
    command = [program, "-q", "--ipa", "-v", language, "--stdin"]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"{PROGRAM} did not answer within {PATIENCE_SECONDS} s") from None
    if done.returncode or "Error" in done.stderr:
        reason = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise UserError(f"phonemes={language}: {PROGRAM} refuses ({reason}); `{PROGRAM} --voices` lists what it speaks")
    return [NO_SOUND.sub("", line) for line in done.stdout.splitlines() if line.strip()]
