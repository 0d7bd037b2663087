"""A folder of songs: which of its files are songs, which lie beside one, and which are passed over. None is forgotten."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from jukebox_pl.audio.kinds import kind_of
from jukebox_pl.catalog.cue import read_cue
from jukebox_pl.catalog.records import PassedOver
from jukebox_pl.catalog.tables import TABLES, Row, table_rows
from jukebox_pl.errors import UserError

# Taken at their word, so that a damaged song is one that is skipped; any other file is a song if it holds sound.
AUDIO_ENDINGS = (".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav")
# What lies beside the song {}, or in a folder of one of these names beside or above it: the first that is there.
BESIDE = {
    "lyrics": ("{}.txt", "{}.lrc", "{}.lyrics", "{}.lyrics.txt", "{}_lyrics.txt"),
    "words": (
        "{}.words.csv",
        "{}.words.json",
        "{}.words.txt",
        "{}.TextGrid",
        "{}.eaf",
        "{}.lrc",
        "{}.srt",
        "{}.vtt",
        "{}.json",
        "{}.csv",
        "{}.tsv",
    ),
}
BESIDE_FOLDERS = ("lyrics", "words")
TEXT_ENDINGS = {Path(name).suffix.lower() for names in BESIDE.values() for name in names}
EXAMPLES = 3


class PassedOverFiles:
    """Counts files by kind, and keeps the first names of each."""

    def __init__(self) -> None:
        self.kinds: dict[str, PassedOver] = {}

    def add(self, kind: str, name: str) -> None:
        entry = self.kinds.setdefault(kind, {"kind": kind, "files": 0, "such_as": []})
        entry["files"] += 1
        if len(entry["such_as"]) < EXAMPLES:
            entry["such_as"].append(name.encode(errors="backslashreplace").decode())

    def most_first(self) -> list[PassedOver]:
        return sorted(self.kinds.values(), key=lambda entry: (-entry["files"], entry["kind"]))


def in_words(passed_over: list[PassedOver]) -> str:
    """As `12 .jpg, 3 .pdf, 2 hidden`."""
    return ", ".join(f"{entry['files']} {entry['kind']}" for entry in passed_over)


class Folder:
    """The files of one folder of a catalog, by their paths from its root; `others` are found by their folded names."""

    def __init__(self, root: Path, here: str, names: list[str]):
        self.here, self.songs, self.others = here, list[str](), defaultdict[str, list[str]](list)
        for name in names:
            if is_song(root / here / name):
                self.songs.append(name)
            else:
                self.others[fold(name)].append(os.path.join(here, name))

    def find(self, name: str) -> str:
        """The path of a file of this name, whatever its case and Unicode form, "" where there is none."""
        found, exact = self.others.get(fold(name), []), os.path.join(self.here, name)
        return exact if exact in found else (found or [""])[0]


def folder_rows(root: Path, trusted: tuple[str, ...], passed_over: PassedOverFiles, notes: list[str]) -> Iterator[Row]:
    """`ARTIST/.../TITLE.mp3`, with its lyrics and the times of its words by the names of BESIDE.

    Raises UserError when there is no song.
    """
    folders = {here: Folder(root, here, names) for here, names in walk(root, trusted, passed_over)}
    named: dict[str, list[Folder]] = defaultdict(list)  # those of BESIDE_FOLDERS, by the folder they are in
    for here, folder in folders.items():
        if here and fold(os.path.basename(here)) in BESIDE_FOLDERS:
            named[os.path.dirname(here)].append(folder)
    used: set[str] = set()
    spare: set[str] = set()
    for here, folder in folders.items():
        places = [folder, *named[here], *(named[os.path.dirname(here)] if here else ())]
        for name in folder.songs:
            row = {"path": os.path.join(here, name), "title": stem(name), "artist": here.split(os.sep)[0]}
            for column, patterns in BESIDE.items():
                bases = dict.fromkeys((stem(name), name))
                wanted = (pattern.format(base) for pattern in patterns for base in bases)
                found = [path for each in wanted for place in places if (path := place.find(each))]
                row[column] = found[0] if found else ""
                used.update(found[:1])
                spare.update(found)
            yield row
    for folder in folders.values():
        for sheet, song, tracks in cue_sheets(root, folder):
            used.add(sheet)
            if tracks > 1:
                notes.append(f"{song} has a cue sheet of {tracks} tracks; it is one song here: cut it into its tracks")
        pass_over(folder, used, spare, passed_over)
    if not any(folder.songs for folder in folders.values()):
        seen = f"only {in_words(passed_over.most_first())}" if passed_over.kinds else "nothing"
        raise UserError(f"no songs in {root} and its folders: looked for files that hold sound, found {seen}")
    notes.extend(tables_beside(root, folders[""], used))


def walk(root: Path, trusted: tuple[str, ...], passed_over: PassedOverFiles) -> Iterator[tuple[str, list[str]]]:
    """Every folder, "" the root, with the names of its files in order. A link to a trusted folder is followed once."""
    entered: set[str] = set()

    def is_open(path: str) -> bool:
        if not os.path.islink(path):
            return True
        target = os.path.join(os.path.realpath(path), "")
        new = target not in entered and not target.startswith(trusted[0]) and target.startswith(trusted[1:])
        entered.add(target)
        return new

    def unreadable(error: OSError) -> None:
        passed_over.add("unreadable folder(s)", os.path.relpath(error.filename, root))

    for folder, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        here = os.path.relpath(folder, root) if folder != str(root) else ""
        hidden = [name for name in folders + names if name.startswith(".")]
        links = [name for name in folders if name not in hidden and not is_open(os.path.join(folder, name))]
        for kind, closed in (("hidden", hidden), ("linked folder(s)", links)):
            for name in sorted(closed):
                passed_over.add(kind, os.path.join(here, name))
        folders[:] = sorted(set(folders) - {*hidden, *links})  # os.walk enters what is left in it
        yield here, sorted(set(names) - set(hidden))


def is_song(path: Path) -> bool:
    ending = path.suffix.lower()
    return ending in AUDIO_ENDINGS or (ending not in TEXT_ENDINGS and kind_of(path) is not None)


def fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def stem(name: str) -> str:
    """Without its ending: `02. Song` has none."""
    return re.sub(r"(?s)(?<=.)\.\w{1,8}\Z", "", name)


def cue_sheets(root: Path, folder: Folder) -> Iterator[tuple[str, str, int]]:
    """The cue sheets of songs: its path, the song, and into how many tracks it would cut it."""
    songs = {fold(key): os.path.join(folder.here, name) for name in folder.songs for key in (stem(name), name)}
    for path in (path for paths in folder.others.values() for path in paths if path.lower().endswith(".cue")):
        for file, tracks in read_cue(root / path).items():  # a sheet often names the file that it was before it was encoded
            keys = map(fold, (file, stem(file), stem(os.path.basename(path))))
            if song := next((songs[key] for key in keys if key in songs), ""):
                yield path, song, tracks


def pass_over(folder: Folder, used: set[str], spare: set[str], passed_over: PassedOverFiles) -> None:
    for path in sorted(path for paths in folder.others.values() for path in paths if path not in used):
        name = os.path.basename(path)
        ending = name.removeprefix(stem(name)).lower() or "without an ending"
        if path in spare:
            ending += " (their songs have others)"
        elif ending in TEXT_ENDINGS:
            ending += " (beside no song)"
        passed_over.add(ending, path)


def tables_beside(root: Path, folder: Folder, used: set[str]) -> Iterator[str]:
    """A note for every table of songs that lies in a folder which is prepared without it."""
    for path in sorted(path for paths in folder.others.values() for path in paths if path not in used):
        if Path(path).suffix.lower() in TABLES:
            try:
                next(table_rows(root / path, []))
            except (UserError, OSError):
                continue
            yield f"{path} lists songs and is not read: catalog={root / path} prepares what it lists"
