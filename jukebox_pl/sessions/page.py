"""The takes of a session on one page beside their folders, to hear, to compare and to make again, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from jukebox_pl.errors import UserError
from jukebox_pl.report.page import PAGE, plain, write_page
from jukebox_pl.sessions.nodes import NODE, REQUEST, Session
from jukebox_pl.utils.files import read_json

SOUND = "song.wav"


class Take(NamedTuple):
    """A finished song. `about`: who, what and how long, in a line. `parent`: the song that it is made of, by `operation`."""

    name: str
    is_picked: bool
    operation: str
    parent: str | None
    about: str
    lyrics: str
    command: str


def write_session_page(session: Session) -> Path:
    """Writes `index.html` in the session's folder, whole or not at all, and returns its path."""
    made = list(takes(session))
    heading = f"{len(made)} take{'' if len(made) == 1 else 's'} in {session.folder.resolve().name}"
    return write_page(session.folder / PAGE, "session.html", heading=heading, takes=made, page=PAGE, sound=SOUND)


def takes(session: Session) -> Iterator[Take]:
    """The finished songs that can be heard, those first that were finished last; what cannot be read is left out."""
    picked = None
    with suppress(UserError):
        picked = session.picked()
    heard = [name for name in session.names() if (session.folder / name / SOUND).is_file()]
    for name in sorted(heard, key=lambda name: (session.folder / name / NODE).stat().st_mtime_ns, reverse=True):
        try:
            node = session.node(name)
        except UserError:
            continue
        if not node.finished:
            continue
        arguments = ", ".join(f"{what} {plain(value)}" for what, value in node.arguments.items())
        request = node.request
        names = [plain(value) for value in (request.artist, request.genres) if value]
        depth = [f"to level {node.lowest}"] if node.lowest else []
        about = " · ".join([*names, f"{request.seconds:g} s", f"seed {node.seed}", *depth])
        operation = " ".join(filter(None, (node.operation, arguments)))
        texts = [request.lyrics, *(section.lyrics or "" for section in request.schedule)]
        lyrics = "\n".join(text.strip("\n") for text in texts if text.strip())
        yield Take(name, name == picked, operation, node.parent, about, lyrics, command_of(session, name))


def command_of(session: Session, name: str) -> str:
    """What makes a take again, as it was noted when it was finished; "" where it was not, or cannot be read."""
    try:
        command = read_json(session.place(name) / REQUEST, "a request").get("command")
    except (UserError, OSError, AttributeError):
        return ""
    return command if isinstance(command, str) else ""
