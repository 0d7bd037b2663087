"""What `python -m jukebox_pl.sample mode=…` does. A new mode is a function here and a line of MODES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from jukebox_pl.errors import UserError
from jukebox_pl.sessions import work
from jukebox_pl.sessions.making import make
from jukebox_pl.sessions.models import Computing
from jukebox_pl.sessions.nodes import Node
from jukebox_pl.sessions.operations import OPERATIONS
from jukebox_pl.sessions.orders import SampleCommand
from jukebox_pl.sessions.tree import print_tree
from jukebox_pl.sessions.work import SessionContext
from jukebox_pl.types import SamplingParams, SongRequest


def new(desk: SessionContext, order: SampleCommand) -> None:
    """A song from nothing, or from a prompt on."""
    make(desk, order, Node("new", SongRequest(), SamplingParams(), 0, 0, desk.ensemble.models, Computing()))


def branch(desk: SessionContext, order: SampleCommand) -> None:
    """What a node was asked, with another seed or other words."""
    name = chosen(desk, order)
    make(desk, order, replace(desk.node(name), hashes={}), desk.session.prompt(name))


def made_of(operation: str, desk: SessionContext, order: SampleCommand) -> None:
    """A song made of a finished node."""
    name = chosen(desk, order)
    desk.session.finished_codes(name)
    make(desk, order, OPERATIONS[operation].child(operation, name, desk.node(name)))


def pick(desk: SessionContext, order: SampleCommand) -> None:
    """Marks the node that the other modes start from unless they are told another."""
    name = chosen(desk, order)
    desk.session.pick(name)
    print(f"{name} is picked")


def replay(desk: SessionContext, order: SampleCommand) -> None:
    """Samples a node again, and all it comes from, and compares."""
    name = chosen(desk, order)
    print(f"{name} came out the same: {work.replay(desk, name)} codes sampled again")


def show(desk: SessionContext, order: SampleCommand) -> None:
    print_tree(desk.session)


def chosen(desk: SessionContext, order: SampleCommand) -> str:
    """The node that an order is about. Raises UserError when it names none and none is picked."""
    if name := order.node or desk.session.picked():
        return name
    raise UserError("node is missing: give node=ID (mode=show lists them), or pick one with mode=pick node=ID")


MODES: dict[str, Callable[[SessionContext, SampleCommand], None]] = {
    **{name: partial(made_of, name) for name in OPERATIONS},
    "new": new,
    "branch": branch,
    "pick": pick,
    "replay": replay,
    "show": show,
}
