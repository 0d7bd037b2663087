"""A session on disk: a folder of nodes, each a song with what was asked, where it comes from and its codes so far.

    SESSION/session.json      which node is picked
    SESSION/NODE/node.json    what was asked; it has `hashes` of the codes once the song is finished
    SESSION/NODE/codes.npz    the codes of every level, as far as sampled
    SESSION/NODE/prompt.npz   the codes it was given to go on from
    SESSION/NODE/request.json what a finished song was made from, and the command that makes it again

Nothing in these files is trusted: a node that does not hold together is named, and the others stay usable.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from jukebox_pl.errors import UserError
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sessions.models import Computing, Models
from jukebox_pl.types import SamplingParams, SongRequest
from jukebox_pl.utils import codes as codes_file
from jukebox_pl.utils.codes import Codes
from jukebox_pl.utils.differences import differences, printable
from jukebox_pl.utils.files import make_folder, read_bytes, read_json, read_record, write_atomic, write_json
from jukebox_pl.utils.records import to_record

SCHEMA = 1
MOST_BYTES = 2**30  # of a node's files: a day of codes is a third of it
LONGEST_NAME = 240  # bytes: file systems take 255, and files are written beside themselves first
SESSION, NODE, CODES, PROMPT = "session.json", "node.json", "codes.npz", "prompt.npz"
REQUEST = "request.json"


class SessionRecord(TypedDict):
    """`session.json`."""

    picked: NotRequired[Annotated[str, Meta(max_length=255)]]


@dataclass(frozen=True)
class Node:
    """A song as it is asked for: `operation` with its `arguments` on the `parent`, from the top level down to the `lowest`.

    `hashes` names the codes of each level when the song is finished.
    """

    operation: Annotated[str, Meta(max_length=100)]
    request: SongRequest
    params: SamplingParams
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    lowest: Annotated[int, Meta(ge=0, le=10)]
    models: Models
    computing: Computing
    parent: Annotated[str, Meta(max_length=255)] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[int, Annotated[str, Meta(max_length=100)]] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return bool(self.hashes)

    @property
    def levels(self) -> range:
        return range(self.lowest, self.models.top + 1)

    @property
    def top_codes(self) -> int:
        """Codes of the top level that hold all its seconds."""
        return -(-round(self.request.seconds * self.models.sample_rate) // self.models.hops[-1])

    @property
    def lengths(self) -> dict[int, int]:
        """Codes of each of its levels when it is finished."""
        lengths = self.models.lengths(self.top_codes)
        return {level: lengths[level] for level in self.levels}

    @property
    def name(self) -> str:
        """Its folder, unless the user names one: the same whenever the same is asked."""
        if self.parent is None:
            return f"seed_{self.seed}"
        config = json.dumps(self.config(), sort_keys=True)
        return f"{self.operation}_{hashlib.sha256(config.encode()).hexdigest()[:8]}"

    def config(self) -> dict[str, Any]:
        """All that decides the codes, as JSON."""
        record = vars(self) | {
            "request": self.request.to_json(),
            "params": self.params.to_json(),
            "models": asdict(self.models),
            "computing": asdict(self.computing),
        }
        del record["hashes"]
        return record

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **self.config(), "hashes": {str(level): name for level, name in self.hashes.items()}}

    def __post_init__(self) -> None:
        """Raises UserError where its parts do not fit each other."""
        if not self.levels:
            top = self.models.top
            raise UserError(f"levels={self.lowest}: expected 0 to {top}, the lowest level to sample; {top} is the top alone")
        if self.top_codes < 1:
            raise UserError(f"seconds={self.request.seconds:g} leave no code to sample at the top level")


def to_node(record: Any) -> Node:
    """Raises UserError unless the record is what `to_json` gives."""
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise UserError(f"{NODE}: schema {schema!r:.40} found, {SCHEMA} expected")
    return to_record({name: value for name, value in record.items() if name != "schema"}, Node, NODE)


@dataclass(frozen=True)
class Session:
    """Reads and writes the nodes of one folder. Everything raises UserError naming the node that is at fault.

    A node that has been read is given back to the methods that need it: `node.json` is read once a command.
    """

    folder: Path

    def place(self, name: str) -> Path:
        """The folder of a node, whether it is there or not. Raises UserError for a name that leads elsewhere."""
        path = self.folder / name
        plain = (
            name == path.name and not name.startswith(".") and "\0" not in name and len(os.fsencode(name)) <= LONGEST_NAME
        )
        if not plain or path.resolve().parent != self.folder.resolve():
            raise UserError(f"{name!r} cannot be a node of {self.folder}: expected the name of a folder in it")
        return path

    def names(self) -> list[str]:
        """Of all nodes, the unreadable ones too."""
        return sorted((file.parent.name for file in self.folder.glob(f"*/{NODE}")), key=lambda name: (len(name), name))

    def __contains__(self, name: str) -> bool:
        return (self.place(name) / NODE).exists()

    def node(self, name: str) -> Node:
        if name not in self:
            near = difflib.get_close_matches(name, names := self.names(), n=3, cutoff=0.4) or names[:3]
            known = f"nearest are {', '.join(near)}" if near else "it has none yet"
            raise UserError(f"{self.folder} has no node {name!r}: {known}")
        try:
            return to_node(read_json(self.place(name) / NODE, "a node"))
        except UserError as error:
            raise self.corrupt(name, str(error)) from None

    def stored(self, name: str, node: Node) -> Node:
        """`node` as it is on disk, with its hashes once it is finished; itself where nothing of that name is there.

        Raises UserError with what differs when the name is that of another song.
        """
        if name not in self:
            return node
        there = self.node(name)
        if changes := list(differences(there.config(), node.config())):
            shown = "; ".join(printable(change, 100) for change in changes[:8])
            raise UserError(
                f"{self.place(name)} holds another song ({shown}): give another seed or out=FOLDER, or delete it"
            )
        return there

    def locate(self, node: Node) -> tuple[str, Node]:
        """The same song, begun or finished, where it is there; else `node` and the next free name: seed_3, seed_3_2, ..."""
        taken = [name for name in self.names() if re.fullmatch(rf"{re.escape(node.name)}(_\d+)?", name)]
        for name in taken:
            with suppress(UserError):  # another song, or one that cannot be read
                return name, self.stored(name, node)
        names = itertools.chain([node.name], (f"{node.name}_{number}" for number in itertools.count(2)))
        return next(name for name in names if name not in taken), node

    def start(self, name: str, node: Node, given: Codes) -> Codes:
        """The codes [T] by level that a node goes on from: those `given`, or of the prompt that it has begun with."""
        return self.prompt(name, node) if node.parent is None and name in self else given

    def begin(self, name: str, node: Node, given: Codes) -> None:
        """Writes a node that is not there yet, and where it has no parent the codes [T] by level `given` by its prompt."""
        if name in self:
            return
        record = node.to_json()
        to_node(record)  # what could not be read again is not written
        place = make_folder(self.place(name), "out")
        if given and node.parent is None:
            write_atomic(place / PROMPT, codes_file.to_npz(given))
        write_json(place / NODE, record)

    def codes(self, name: str, node: Node | None = None) -> Codes:
        """The codes [T] of every level as far as there are any, checked against the node."""
        node = node or self.node(name)
        codes = self._read(name, CODES, node)
        if node.finished and {level: codes_file.fingerprint(array) for level, array in codes.items()} != node.hashes:
            raise self.corrupt(name, f"{CODES} holds other codes than were sampled")
        return codes

    def finished_codes(self, name: str, node: Node) -> Codes:
        """Raises UserError when the song is still to be finished."""
        if not node.finished:
            raise UserError(f"{self.place(name)} is not finished: give its command again, then go on from it")
        return self.codes(name, node)

    def prompt(self, name: str, node: Node | None = None) -> Codes:
        """The codes that a node was given to go on from."""
        return self._read(name, PROMPT, node or self.node(name))

    def save(self, name: str, codes: Mapping[int, Any]) -> None:
        write_atomic(self.place(name) / CODES, codes_file.to_npz(codes))

    def finish(self, name: str, node: Node, codes: Mapping[int, Any]) -> None:
        """The last word on a node: its codes [T] are all there, and so is what was made of them."""
        hashes = {level: codes_file.fingerprint(np.asarray(array)) for level, array in codes.items()}
        for torn in self.place(name).glob(".*.part"):  # by a process that was killed while it wrote
            torn.unlink(missing_ok=True)
        write_json(self.place(name) / NODE, replace(node, hashes=hashes).to_json())

    def chain(self, name: str) -> dict[str, Node]:
        """The node and all it comes from, the oldest first."""
        nodes = {name: self.node(name)}
        while (parent := next(reversed(nodes.values())).parent) is not None:
            if parent in nodes:
                raise self.corrupt(name, f"its parents go in a circle: {' < '.join([*nodes, parent])}")
            nodes[parent] = self.node(parent)
        return dict(reversed(nodes.items()))

    def pick(self, name: str) -> None:
        self.node(name)
        write_json(self.folder / SESSION, {"picked": name})

    def picked(self) -> str | None:
        if not (self.folder / SESSION).exists():
            return None
        return read_record(self.folder / SESSION, SessionRecord, "a session").get("picked")

    def corrupt(self, name: str, reason: str) -> UserError:
        return UserError(f"{self.folder / name} is corrupt ({printable(reason)}): delete it; the other nodes are usable")

    def _read(self, name: str, file: str, node: Node) -> Codes:
        """The codes [T] of a file, none where there is none: no more than the node has, in range, of its levels."""
        path, bins = self.place(name) / file, node.models.bins
        if not path.exists():
            return {}
        try:
            codes = codes_file.from_npz(read_bytes(path, MOST_BYTES))
            for level, array in codes.items():
                if len(array) > (most := node.lengths.get(level, 0)):
                    raise ValueError(f"{len(array)} codes at level {level}, expected at most {most or 'none'}")
                if wrong := [code for code in (array.min(initial=0), array.max(initial=0)) if not MISSING <= code < bins]:
                    raise ValueError(f"code {wrong[0]} at level {level}, expected below {bins}")
        except (OSError, ValueError) as error:
            raise self.corrupt(name, f"{file}: {error}") from None
        return codes
