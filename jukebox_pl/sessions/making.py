"""From an order to finished nodes: check what is asked, note it, sing, write the files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from jukebox_pl.errors import UserError
from jukebox_pl.report.song_page import PAGE
from jukebox_pl.sampling.checks import require_names
from jukebox_pl.sampling.conditioning import ConditioningSchedule
from jukebox_pl.sampling.sharing import share
from jukebox_pl.sessions.models import LoadedModels
from jukebox_pl.sessions.nodes import Node, Session
from jukebox_pl.sessions.operations import OPERATIONS, operation_of
from jukebox_pl.sessions.orders import SampleCommand
from jukebox_pl.sessions.song_files import check_lyrics, write_song
from jukebox_pl.sessions.work import PARTIAL, SessionContext, Work
from jukebox_pl.types import SongRequest
from jukebox_pl.utils.codes import Codes

COMMAND = "python -m jukebox_pl.sample run_dir=… artist=… genre=… lyrics=FILE_OR_TEXT seconds=10 seed=1"


def make(desk: SessionContext, order: SampleCommand, base: Node, prompt: Codes | None = None) -> None:
    """Makes the songs that are wished over `base` and are not there yet; `prompt` is the one that `base` had.

    Prints the page of each. Raises UserError, before anything is written, when they cannot be made.
    """
    nodes = candidates(asked_of(desk, order, base), order)
    for name, node in nodes.items():
        desk.session.require_same(name, node)
    missing = {name: node for name, node in nodes.items() if not is_whole(desk.session, name, order.formats)}
    for name in [name for name in nodes if name not in missing]:
        print(f"{desk.session.place(name)} is finished: nothing is sampled again", file=sys.stderr)
        print(desk.session.place(name) / PAGE)
    if missing:
        ready = begin(desk, order, missing, prompt or {})
        for names in [[name] for name in missing] if order.stream else [list(missing)]:
            deliver(desk.session, ready, names, order)


def asked_of(desk: SessionContext, order: SampleCommand, base: Node) -> Node:
    """`base` under the wish. Raises UserError when it makes no sense."""
    require_understood(base.operation, order.wish.arguments)
    operation = operation_of(order.wish.over(base))
    asked = operation.asked(base, order.wish)
    if not asked.levels:
        top = asked.models.top
        raise UserError(f"levels={asked.lowest}: expected 0 to {top}, the lowest level to sample; {top} is the top alone")
    operation.check(asked, desk.session.node(base.parent) if base.parent else None)
    return asked


def require_understood(operation: str, arguments: Mapping[str, object]) -> None:
    """Raises UserError for what another operation may be told."""
    known = OPERATIONS[operation]
    for name in arguments:
        if name not in (*known.needs, *known.takes):
            others = [mode for mode, other in OPERATIONS.items() if name in (*other.needs, *other.takes)]
            raise UserError(f"{name} means nothing to mode={operation}, only to mode={' or '.join(others)}")


def candidates(asked: Node, order: SampleCommand) -> dict[str, Node]:
    """The nodes to make by name, those of this process."""
    if order.name and order.candidates > 1:
        raise UserError(
            f"out is one song, and candidates={order.candidates} are several: give session=FOLDER instead of out"
        )
    nodes = [replace(asked, seed=asked.seed + number) for number in range(order.candidates)]
    return {order.name or node.name: node for node in share(nodes, order.rank, order.world)}


def is_whole(session: Session, name: str, formats: Sequence[str]) -> bool:
    """Whether a node and its files are all there. Raises UserError when its codes are not those that were sampled."""
    files = ["song.wav", PAGE, *(f"song.{format}" for format in formats)]
    there = name in session and session.node(name).finished and all((session.place(name) / file).exists() for file in files)
    return there and bool(session.codes(name))


def require_singable(request: SongRequest, ready: LoadedModels) -> None:
    """Warns of letters that cannot be sung. Raises UserError for names that the models do not know."""
    labeller = ready.bundle.labellers[max(ready.bundle.labellers)]
    require_names(ConditioningSchedule.of(request, ready.bundle.sample_rate), labeller)
    for lyrics in [request.lyrics, *(section.lyrics or "" for section in request.schedule)]:
        check_lyrics(lyrics, labeller)


def begin(desk: SessionContext, order: SampleCommand, nodes: Mapping[str, Node], prompt: Codes) -> LoadedModels:
    """Notes what is asked of the nodes that are not there yet; returns the models, which have been asked first."""
    node = next(iter(nodes.values()))
    ready = desk.ensemble.ready(node.computing, len(nodes) * node.params.side_by_side)
    require_singable(node.request, ready)
    fresh = [name for name in nodes if name not in desk.session]
    if fresh and order.prompt:
        prompt = order.prompt.codes(node.models, ready.sampler)
    for name in fresh:
        desk.session.begin(name, nodes[name], fitting(prompt, node))
    return ready


def fitting(prompt: Codes, node: Node) -> Codes:
    """The levels of a prompt that a node has. Raises UserError when it is longer than the song."""
    given, top = len(prompt.get(node.models.top, ())), node.models.top
    if given > node.top_codes:
        raise UserError(
            f"the prompt lasts {node.models.seconds(top, given):.3f} s, longer than seconds={node.request.seconds:g}: "
            "ask for more seconds, or take less of it with prompt_seconds"
        )
    return {level: codes for level, codes in prompt.items() if level in node.levels}


def deliver(session: Session, ready: LoadedModels, names: Sequence[str], order: SampleCommand) -> None:
    """Sings nodes that differ in their seed alone, and writes what there is to hear and to see."""
    for name, song in zip(names, Work(session, ready.sampler, names).sing(order.stream), strict=True):
        page = write_song(session.place(name), song, ready.bundle, order.formats, {"command": COMMAND})
        session.finish(name)
        (session.place(name) / PARTIAL).unlink(missing_ok=True)
        print(page)
