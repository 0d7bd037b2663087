"""Which songs there are: a folder or a CSV/JSONL table to `Source`s. Nothing of a song itself is read here."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from jukebox_pl.catalog.records import Skipped
from jukebox_pl.catalog.tables import TABLES, Row, table_rows
from jukebox_pl.errors import UserError

AUDIO_EXTENSIONS = (".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav")

# What lies beside a song of a folder, by its ending, the first that is there.
BESIDE = {"lyrics": (".txt", ".lrc"), "words": (".words.csv", ".words.json", ".lrc")}


@dataclass(frozen=True, slots=True)
class Source:
    """One song as the catalog names it. `path`, `lyrics` and `words` are relative to `root`, "" where there is none.

    `genre` may hold several, separated by `;` or `/`. With `tagged`, the file's own tags win over these labels.
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

    @property
    def has_lyrics(self) -> bool:
        try:
            return bool(self.lyrics) and inside(self.root, self.lyrics).stat().st_size > 0
        except UserError:
            return False


def inside(root: Path, name: str) -> Path:
    """The file `name` of the folder `root`. Raises UserError when it leaves `root` (by `..` or a link) or is no file."""
    try:
        path = os.path.realpath(os.path.join(root, name))
        found = os.path.isfile(path)
    except (OSError, ValueError) as error:
        raise UserError(f"not a usable path ({error})") from error
    if not path.startswith(_real_folder(os.path.abspath(root))):
        raise UserError("leaves the catalog's folder: move the file into it")
    if not found:
        raise UserError("no such file")
    return Path(path)


@cache
def _real_folder(root: str) -> str:
    return os.path.join(os.path.realpath(root), "")


def song_id(name: str) -> str:
    """16 hex digits of a path: song names themselves hold dots, at which WebDataset cuts its keys."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def discover(catalog: Path) -> tuple[list[Source], list[Skipped]]:
    """The songs of a folder or table, by id, and the entries that cannot be one, with the reason.

    Raises UserError when there is no catalog, no song in it, or the table cannot be read.
    """
    if catalog.is_dir():
        return _to_sources(catalog, _folder_rows(catalog), tagged=True)
    if not catalog.is_file():
        raise UserError(
            f"catalog={catalog} does not exist: give a folder of songs, or a .csv or .jsonl file that lists them"
        )
    if catalog.suffix.lower() not in TABLES:
        raise UserError(f"catalog={catalog} is neither a folder nor one of {', '.join(TABLES)}")
    return _to_sources(catalog.parent, table_rows(catalog), tagged=False)


def _to_sources(root: Path, rows: Iterable[Row], tagged: bool) -> tuple[list[Source], list[Skipped]]:
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
            stat = inside(root, row["path"]).stat()
            file = stat.st_dev, stat.st_ino
            if file in accepted:
                raise UserError(f"listed twice, the same file as {accepted[file]}")
            path = Path(os.path.relpath(os.path.join(root, row["path"]), root)).as_posix()
            accepted[file] = row["path"] = path
            sources.append(Source(song_id(unicodedata.normalize("NFC", path)), root, tagged=tagged, **row))
        except UserError as error:
            skipped.append({"path": printable, "reason": str(error)})
    # Of two files whose names differ in Unicode normalisation only, the NFC one has the usual id.
    spellings = Counter(source.id for source in sources if not source.path.isascii())
    sources = [replace(source, id=song_id(source.path)) if spellings[source.id] > 1 else source for source in sources]
    return sorted(sources, key=lambda source: source.id), skipped


def _folder_rows(root: Path) -> Iterator[Row]:
    """`ARTIST/.../TITLE.mp3`, lyrics in `TITLE.txt` or `.lrc`, their times in `TITLE.words.csv`, `.words.json` or `.lrc`.

    Hidden files are passed over, and links to folders are not followed.
    """
    names = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]  # os.walk enters what is left in it
        songs = (name for name in files if Path(name).suffix.lower() in AUDIO_EXTENSIONS and not name.startswith("."))
        names += [os.path.relpath(os.path.join(folder, name), root) for name in songs]
    if not names:
        raise UserError(f"no songs in {root}: looked for {', '.join(AUDIO_EXTENSIONS)} in it and in its folders")
    for name in sorted(names):
        path = Path(name)
        artist = path.parts[0] if len(path.parts) > 1 else ""
        row = {"path": name, "title": path.stem, "artist": artist}
        for column, endings in BESIDE.items():
            beside = (str(path.with_suffix(ending)) for ending in endings)
            row[column] = next((file for file in beside if (root / file).is_file()), "")
        yield row
