"""Lyrics as tokens: clean-up, vocabularies built from a catalog, those of the released models."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

from jukebox_pl.errors import UserError

PADDING = 0
LETTERS, SIGNS = f"{ascii_uppercase}{ascii_lowercase}{digits}.,:;!?-", "'\"()[] \t\n"
RELEASED = {"v2": f"{LETTERS}+{SIGNS}", "v3": f"{LETTERS}{SIGNS}"}


class Characters:
    """A character vocabulary. Tokens count from 1; 0 is padding and stands for nothing.

    `clean` first normalises a text (NFC, tabs to blanks, blank runs and blank lines folded) and then drops what the
    vocabulary cannot say; `unknown` lists what would be dropped.
    """

    def __init__(self, characters: str):
        if len(set(characters)) != len(characters):
            repeated = sorted(c for c, n in Counter(characters).items() if n > 1)
            raise ValueError(f"a vocabulary lists each character once, found twice: {repeated}")
        self.characters = characters
        self._tokens = {character: token for token, character in enumerate(characters, start=1)}

    def __len__(self) -> int:
        """Number of tokens, the padding included."""
        return len(self.characters) + 1

    def including(self, text: str) -> Characters:
        """This vocabulary with every character of a text after normalisation, in code point order."""
        return Characters("".join(sorted({*self.characters, *self.normalize(text)})))

    def extended(self, other: Characters) -> Characters:
        """This one, every token as it is, and after them the characters that only `other` has.

        `other` alone where the two read texts otherwise, as letters and phonemes.
        """
        if not type(self) is type(other) is Characters:
            return other
        return Characters(self.characters + "".join(c for c in other.characters if c not in self._tokens))

    def normalize(self, text: str) -> str:
        return normalize(text)

    def clean(self, text: str) -> str:
        return "".join(c for c in self.normalize(text) if c in self._tokens)

    def unknown(self, text: str) -> dict[str, int]:
        """Characters of `text` outside the vocabulary, with their counts."""
        return dict(Counter(c for c in self.normalize(text) if c not in self._tokens))

    def encode(self, text: str) -> list[int]:
        return [self._tokens[c] for c in self.clean(text)]

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(self.characters[token - 1] for token in tokens if token != PADDING)

    def to_config(self) -> Any:
        return self.characters


class ReleasedCharacters(Characters):
    """The characters of the released models: v2 of 5b_lyrics (80 tokens with the padding), v3 of 1b_lyrics (79).

    Texts are spelt in ASCII and keep their blanks and blank lines.
    """

    def __init__(self, version: str):
        super().__init__(RELEASED[version])
        self.version = version

    def normalize(self, text: str) -> str:
        """The nearest spelling in ASCII. Raises UserError when that takes a package that is not installed."""
        if not text.isascii():
            try:
                from unidecode import unidecode
            except ImportError:
                way_out = "pip install unidecode"
                raise UserError(f"these lyrics are not ASCII, as the released models want them: {way_out}") from None
            text = unidecode(text)
        return text.replace("\\", "\n")

    def to_config(self) -> Any:
        return {"version": self.version}


def normalize(text: str) -> str:
    """NFC, single blanks inside lines, no blank lines, no blanks at line ends."""
    lines = unicodedata.normalize("NFC", text).splitlines()
    folded = (re.sub(r"\s+", " ", line).strip() for line in lines)
    return "\n".join(line for line in folded if line)


def letters(word: str) -> str:
    """What is heard of a word, about: letters and digits without case, accents and doubling ("Allée!" is "ale")."""
    heard = (letter for letter in unicodedata.normalize("NFKD", word).casefold() if letter.isalnum())
    return "".join(letter for letter, _ in groupby(heard))


def alphabet(text: str) -> str:
    """Every letter that is heard in a text, once."""
    return "".join(sorted({letter for character in text for letter in letters(character)}))
