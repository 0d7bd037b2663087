"""The released lists of artists and genres, given as files of `name;id` lines, and the labeller of a released prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jukebox_pl.errors import UserError
from jukebox_pl.openai.hparams import Hparams
from jukebox_pl.text.characters import ReleasedCharacters
from jukebox_pl.text.labels import Labeller, ReleasedVocabulary, Vocabulary
from jukebox_pl.utils.files import read_bytes

MOST_BYTES = 2**24  # of a list; the longest released one is a hundredth of it


@dataclass(frozen=True)
class IdFile:
    """One list: (name, id) a line."""

    path: Path
    entries: list[tuple[str, int]]

    @classmethod
    def read(cls, path: str | Path) -> IdFile:
        """Raises UserError naming the file, the line and what is wrong with it."""
        path = Path(path)
        try:
            lines = read_bytes(path, MOST_BYTES).decode("utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: expected a text file of `name;id` lines: {error}") from None
        entries = []
        for number, line in enumerate(lines, start=1):
            name, _, found = line.rpartition(";")
            if not found.strip().isdecimal() or len(found) > 20 or int(found) >= len(lines):
                raise UserError(f"{path}, line {number}: expected `name;id` with an id below {len(lines)}, found {line!r}")
            entries.append((name, int(found)))
        return cls(path, entries)


def vocabulary(files: Sequence[IdFile], lines: int, rule: str) -> Vocabulary:
    """The file with as many lines as the model's table has rows; without any file a vocabulary of nothing but `unknown`.

    Raises UserError when files are given and none fits.
    """
    if not files:
        return Vocabulary([])
    fitting = [file for file in files if len(file.entries) == lines]
    if not fitting:
        version, what = rule.split("_")
        found = ", ".join(f"{file.path} ({len(file.entries):,} lines)" for file in files)
        raise UserError(
            f"expected the {version} list of {what}, {lines:,} lines, found {found}; name it with labels.{what}=FILE"
        )
    return ReleasedVocabulary(fitting[0].entries, rule)


def released_labeller(hps: Hparams, artists: Sequence[IdFile] = (), genres: Sequence[IdFile] = ()) -> Labeller:
    """The labeller of a prior with the (complete) released hyper-parameters. Raises UserError like `vocabulary`."""
    if not hps["labels"]:
        return Labeller(Vocabulary([]), Vocabulary([]))
    version = "v3" if hps["labels_v3"] else "v2"
    genre_lines, artist_lines = hps["y_bins"]
    return Labeller(
        vocabulary(artists, artist_lines, f"{version}_artists"),
        vocabulary(genres, genre_lines, f"{version}_genres"),
        ReleasedCharacters(version) if hps["n_tokens"] else None,
        hps["n_tokens"],
        hps["max_bow_genre_size"],
    )
