"""Lyrics as tokens: clean-up, the vocabulary of the released models, vocabularies built from a catalog."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

PADDING = 0


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

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Characters:
        """Every character that occurs in `texts` after normalisation, in code point order."""
        return cls("".join(sorted({c for text in texts for c in normalize(text)})))

    def clean(self, text: str) -> str:
        return "".join(c for c in normalize(text) if c in self._tokens)

    def unknown(self, text: str) -> dict[str, int]:
        """Characters of `text` outside the vocabulary, with their counts."""
        return dict(Counter(c for c in normalize(text) if c not in self._tokens))

    def encode(self, text: str) -> list[int]:
        return [self._tokens[c] for c in self.clean(text)]

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(self.characters[token - 1] for token in tokens if token != PADDING)


def normalize(text: str) -> str:
    """NFC, single blanks inside lines, no blank lines, no blanks at line ends."""
    lines = unicodedata.normalize("NFC", text).splitlines()
    folded = (re.sub(r"\s+", " ", line).strip() for line in lines)
    return "\n".join(line for line in folded if line)
