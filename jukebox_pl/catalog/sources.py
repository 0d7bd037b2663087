"""Which songs there are: a folder or a table to `Source`s. Nothing of a song itself is read here."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from jukebox_pl.catalog.folders import PassedOverFiles, folder_rows
from jukebox_pl.catalog.records import PassedOver, Skipped
from jukebox_pl.catalog.tables import TABLES, Row, table_rows
from jukebox_pl.errors import UserError


@dataclass(frozen=True, slots=True)
class Source:
    """One song as the catalog names it. `path`, `lyrics` and `words` are relative to `root`, "" where there is none.

    `genre` may hold several, separated by `;` or `/`. With `tagged`, the file's own tags win over these labels. `text`
    are lyrics that a table holds itself. Files are opened where they lie in `root` or in one of the folders `trusted`.
    """

    id: str
    root: Path
    path: str
    title: str = ""
    artist: str = ""
    genre: str = ""
    lyrics: str = ""
    words: str = ""
    language: str = ""
    license: str = ""
    source: str = ""
    tagged: bool = False
    text: str = ""
    trusted: tuple[str, ...] = ()

    def file(self, name: str) -> Path:
        """The file `name` of the catalog. Raises UserError when it lies elsewhere, or is no file."""
        return inside(self.root, name, self.trusted)

    @property
    def may_have_lyrics(self) -> bool:
        """Tags may hold them, too."""
        return bool(self.lyrics or self.words or self.text or self.tagged)

    @property
    def has_lyrics(self) -> bool:
        """In a file, or in the table; lyrics in the tags of a song are found when it is read."""
        try:
            name = self.lyrics or self.words
            return bool(self.text or (name and self.file(name).stat().st_size > 0))
        except UserError:
            return False


class Found(NamedTuple):
    """The songs of a catalog by id, the entries that cannot be one, the files that are none, what is to be said of it."""

    sources: list[Source]
    skipped: list[Skipped]
    passed_over: list[PassedOver]
    notes: list[str]


def inside(root: Path, name: str, trusted: tuple[str, ...] = ()) -> Path:
    """The file `name` of the folder `root`, or by a link or an absolute name of one of `trusted` (see `real_folders`).

    Raises UserError when it leaves them (by `..` or a link) or is no file.
    """
    try:
        path = os.path.realpath(os.path.join(root, name))
        found = os.path.isfile(path)
    except (OSError, ValueError) as error:
        raise UserError(f"not a usable path ({error})") from error
    if not path.startswith(trusted or real_folders(root)):
        raise UserError("leaves the catalog's folder: move the file into it, or name its folder in trusted_roots")
    if not found:
        raise UserError("no such file")
    return Path(path)


def real_folders(*folders: str | Path) -> tuple[str, ...]:
    """Where folders really are, as prefixes of what is in them."""
    return tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)


def song_id(name: str) -> str:
    """16 hex digits of a path: song names themselves hold dots, at which WebDataset cuts its keys."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def discover(catalog: Path, trusted_roots: Collection[str | Path] = ()) -> Found:
    """The songs of a folder or table. Links, and absolute names of a table, may also lead into `trusted_roots`.

    Raises UserError when there is no catalog, no song in it, or the table cannot be read.
    """
    for folder in trusted_roots:
        if not Path(folder).is_dir():
            raise UserError(f"trusted_roots={folder}: expected folders that are there")
    notes: list[str] = []
    passed_over = PassedOverFiles()
    if catalog.is_dir():
        trusted = real_folders(catalog, *trusted_roots)
        rows = folder_rows(catalog, trusted, passed_over, notes)
        sources, skipped = to_sources(catalog, trusted, rows, tagged=True)
    elif not catalog.is_file():
        expected = f"give a folder of songs, or a table that lists them ({', '.join(TABLES)})"
        raise UserError(f"catalog={catalog} does not exist: {expected}")
    elif catalog.suffix.lower() not in TABLES:
        raise UserError(f"catalog={catalog} is neither a folder nor one of {', '.join(TABLES)}")
    else:
        trusted = real_folders(catalog.parent, *trusted_roots)
        sources, skipped = to_sources(catalog.parent, trusted, table_rows(catalog, notes), tagged=False)
    return Found(sources, skipped, passed_over.most_first(), notes)


def to_sources(
    root: Path, trusted: tuple[str, ...], rows: Iterable[Row], tagged: bool
) -> tuple[list[Source], list[Skipped]]:
    """Each file once: links, hard links and (where the disk ignores them) other spellings of a name lead to the same."""
    accepted: dict[tuple[int, int], str] = {}
    sources: list[Source] = []
    skipped: list[Skipped] = []
    for row in rows:
        printable = row["path"].encode(errors="backslashreplace").decode()
        try:
            if not row["path"]:
                raise UserError("its row has no path")
            if printable != row["path"]:
                raise UserError("its name is not UTF-8: rename it")
            name = as_on_disk(root, row["path"])
            stat = inside(root, name, trusted).stat()
            file = stat.st_dev, stat.st_ino
            if file in accepted:
                raise UserError(f"listed twice, the same file as {accepted[file]}")
            path = Path(os.path.relpath(os.path.join(root, name), root)).as_posix()
            accepted[file] = row["path"] = path
            row |= {} if tagged else beside_in_table(root, row)
            sources.append(Source(song_id(unicodedata.normalize("NFC", path)), root, tagged=tagged, trusted=trusted, **row))
        except UserError as error:
            skipped.append({"path": printable, "reason": str(error)})
    # Of two files whose names differ in Unicode normalisation only, the NFC one has the usual id.
    spellings = Counter(source.id for source in sources if not source.path.isascii())
    sources = [replace(source, id=song_id(source.path)) if spellings[source.id] > 1 else source for source in sources]
    return sorted(sources, key=lambda source: source.id), skipped


def as_on_disk(root: Path, name: str) -> str:
    """A name as the disk spells it: tables come from Windows, with `\\`, and from systems with other Unicode forms."""
    posix = name.replace("\\", "/")
    spellings = (name, posix, *(unicodedata.normalize(form, posix) for form in ("NFC", "NFD")))
    return next((each for each in dict.fromkeys(spellings) if os.path.isfile(os.path.join(root, each))), name)


def beside_in_table(root: Path, row: Row) -> Row:
    """The files of lyrics and word times as the disk spells them; or the lyrics themselves, where a table holds them."""
    lyrics, words = row["lyrics"], as_on_disk(root, row["words"]) if row["words"] else ""
    if not lyrics:
        return {"words": words}
    name = as_on_disk(root, lyrics)
    has_ending = re.search(r"\.\w{1,8}$", lyrics) and len(lyrics) < 256 and "\n" not in lyrics
    if name != lyrics or has_ending or os.path.isfile(os.path.join(root, name)):
        return {"lyrics": name, "words": words}
    return {"lyrics": "", "text": lyrics, "words": words}
