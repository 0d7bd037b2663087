"""A session as a tree of lines."""

from __future__ import annotations

import sys

import numpy as np
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from jukebox_pl.errors import UserError
from jukebox_pl.report.song_page import plain
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sessions.nodes import Node, Session, printable
from jukebox_pl.sessions.song_files import warn
from jukebox_pl.utils.codes import Codes

LINE = 1000  # characters, for other programs to read
NOTHING = np.zeros(0)


def print_tree(session: Session) -> None:
    """Every node under the one that it was made of; those that cannot be read are named instead.

    Raises UserError when there is none.
    """
    if not session.names():
        raise UserError(f"{session.folder} holds no songs: give session=FOLDER, or run_dir=RUN for those in RUN/songs")
    root, branches = Tree(Text(str(session.folder))), dict[str | None, Tree]()
    waiting = readable(session)
    while due := [name for name, (node, _) in waiting.items() if node.parent not in waiting]:
        for name in due:
            node, line = waiting.pop(name)
            branches[name] = branches.get(node.parent, root).add(Text(line))
    for name in waiting:
        warn(f"{session.place(name)} and its parents go in a circle")
    Console(width=None if sys.stdout.isatty() else LINE).print(root)


def readable(session: Session) -> dict[str, tuple[Node, str]]:
    """Nodes and the lines that describe them."""
    found, picked = {}, session.picked()
    for name in session.names():
        try:
            node = session.node(name)
            mark = " (picked)" if name == picked else ""
            found[name] = node, printable(f"{name}{mark}: {describe(node, session.codes(name))}")
        except UserError as error:
            warn(str(error))
    return found


def describe(node: Node, codes: Codes) -> str:
    """What was done, to whom it is to sound, and how many seconds there are of each level."""
    done = [int((codes.get(level, NOTHING) != MISSING).sum()) for level in node.levels]
    seconds = [f"{node.models.seconds(level, number):.1f}" for level, number in zip(node.levels, done, strict=True)]
    arguments = [f"{name} {plain(value)}" for name, value in node.arguments.items()]
    names = [plain(value) for value in (node.request.artist, node.request.genres) if value]
    what = ", ".join([" ".join([node.operation, *arguments]), f"seed {node.seed}", *names])
    return f"{what}; {', '.join(seconds)} of {node.request.seconds:g} s at levels {', '.join(map(str, node.levels))}"
