"""What `python -m jukebox_pl.sample mode=…` does with a session. A new mode is a function here and a line of MODES: it
returns the names of the songs that it made, or is about."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from jukebox_pl.errors import UserError
from jukebox_pl.inference.memory import require_room_for_songs
from jukebox_pl.report.page import PAGE, plain
from jukebox_pl.sampling.checks import require_times
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sessions.jobs import GenerationJob, LevelProgress, check_request, tensors
from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import Node, Session, printable
from jukebox_pl.sessions.operations import OPERATIONS, Overrides, Tensors, initial_codes, requested_node
from jukebox_pl.sessions.prompts import Prompt, require_within
from jukebox_pl.types import SamplingParams, SongRequest
from jukebox_pl.utils.codes import Codes
from jukebox_pl.utils.differences import differences
from jukebox_pl.utils.files import require_writable
from jukebox_pl.utils.progress import terminal_meter

WIDE = 1000  # characters a line, for other programs to read
NO_CODES = np.zeros(0)


@dataclass(frozen=True)
class SampleCommand:
    """What is asked of which node, and how it is delivered.

    `node` is the one to start from, None the picked one. `name` is the one to make, None one that follows from what is
    asked: where another song has that name, with `next_free_name` the song gets the next one, without it is refused. Of the
    `candidates`, whose seeds follow each other, this process makes every `world`-th from its `rank` on.
    """

    overrides: Overrides = field(default_factory=Overrides)
    node: str | None = None
    name: str | None = None
    next_free_name: bool = False
    prompt: Prompt | None = None
    candidates: int = 1
    formats: Sequence[str] = ()
    stream: bool = False
    rank: int = 0
    world: int = 1


class SessionContext(NamedTuple):
    """The songs there are, and the models that make others of them."""

    session: Session
    pool: ModelPool

    def require_own(self, name: str, node: Node) -> Node:
        """A node to go on from. Raises UserError when other models made it."""
        if changes := list(differences(asdict(node.models), asdict(self.pool.models))):
            raise UserError(
                f"{self.session.place(name)} was made by other models ({'; '.join(changes)}): go on with the run that "
                "made it, or sample a new song"
            )
        return node


class Source(NamedTuple):
    """What a song is made of: its node before anything is said of it, the node of its parent, if it has one, and the codes
    [T] by level of that one, or of the prompt that `base` had."""

    base: Node
    parent: Node | None
    given: Codes


def new(context: SessionContext, command: SampleCommand) -> Source:
    """A song from nothing, or from a prompt on."""
    base = Node("new", SongRequest(), SamplingParams(), seed=0, lowest=0, models=context.pool.models, computing=Computing())
    return Source(base, None, {})


def branch(context: SessionContext, command: SampleCommand) -> Source:
    """What a node was asked, with another seed or other words, from the codes that it started from."""
    name, session = chosen(context, command), context.session
    base = replace(context.require_own(name, session.node(name)), hashes={})
    if base.parent is None:
        return Source(base, None, session.prompt(name, base))
    parent = session.node(base.parent)
    return Source(base, parent, session.finished_codes(base.parent, parent))


def from_parent(operation: str, context: SessionContext, command: SampleCommand) -> Source:
    """A song made of a finished node."""
    name, session = chosen(context, command), context.session
    parent = context.require_own(name, session.node(name))
    return Source(OPERATIONS[operation].child(operation, name, parent), parent, session.finished_codes(name, parent))


SOURCES: dict[str, Callable[[SessionContext, SampleCommand], Source]] = {
    **{name: partial(from_parent, name) for name in OPERATIONS},
    "new": new,
    "branch": branch,
}


def make(mode: str, context: SessionContext, command: SampleCommand) -> list[str]:
    """Makes the songs that are asked for and are not there yet, prints the page of each and returns their names.

    Raises UserError, before anything is written, when they cannot be made.
    """
    base, parent, given = SOURCES[mode](context, command)
    node, session = requested_node(base, command.overrides, parent), context.session
    if command.name and command.candidates > 1:
        raise UserError(
            f"out is one song, and candidates={command.candidates} are several: give session=FOLDER instead of out"
        )
    if not 0 <= command.rank < command.world:
        raise ValueError(f"expected a rank below {command.world}, found {command.rank}")
    nodes: dict[str, Node] = {}
    # Each candidate goes to one process: what is named by its seed never collides.
    for seed in range(node.seed, node.seed + command.candidates)[command.rank :: command.world]:
        candidate = replace(node, seed=seed)
        name = command.name or candidate.name
        name, stored = session.locate(candidate) if command.next_free_name else (name, session.stored(name, candidate))
        nodes[name] = stored
    asked = list(nodes)
    files = ["song.wav", PAGE, *(f"song.{format}" for format in command.formats)]
    for name, stored in list(nodes.items()):
        folder = session.place(name)
        # Codes are read, too: they may not be those that were sampled.
        if stored.finished and all((folder / file).exists() for file in files) and session.codes(name, stored):
            print(f"{folder} is finished: nothing is sampled again", file=sys.stderr)
            print(folder / PAGE)
            del nodes[name]
    if nodes:
        generate(context, command, nodes, given, parent)
    return asked


def generate(
    context: SessionContext, command: SampleCommand, nodes: dict[str, Node], given: Codes, parent: Node | None
) -> None:
    """Samples `nodes`, and prints the page of each."""
    for job in begin(context, command, nodes, given, parent):
        with terminal_meter("codes") as meter:
            job.run(meter, command.stream)
        for name in job.nodes:
            print(context.session.place(name) / PAGE)


def begin(
    context: SessionContext, command: SampleCommand, nodes: dict[str, Node], given: Codes, parent: Node | None = None
) -> list[GenerationJob]:
    """Writes `nodes`, which differ in their seed alone, and gives what samples them: all at once, or with `stream` one after
    the other. Raises UserError, before anything is written, when they cannot be made."""
    session, node = context.session, next(iter(nodes.values()))
    own = node.models
    for name in nodes:
        require_writable(session.place(name), "out")
    require_times([node.request], own.seconds(own.top, 1))
    require_room_for_songs(len(nodes), node.request.seconds, own.sample_rate, own.hops)
    models = context.pool.load(node.computing, rows=len(nodes) * node.params.side_by_side)
    check_request(node.request, models.bundle)
    if command.prompt and not all(name in session for name in nodes):
        given = command.prompt.codes(node.models, models.sampler, node.request.seconds)
    if node.parent is None:
        require_within(len(given.get(own.top, ())), own, node.request.seconds)
        given = {level: codes for level, codes in given.items() if level in node.levels}
    batches = [{name: nodes[name]} for name in nodes] if command.stream else [nodes]
    jobs = [GenerationJob(session, models, batch, command.formats, parent=parent) for batch in batches]
    for job in jobs:
        job.begin(given)
    return jobs


def pick(context: SessionContext, command: SampleCommand) -> list[str]:
    """Marks the node that the other modes start from unless they are told another."""
    name = chosen(context, command)
    context.session.pick(name)
    print(f"{name} is picked")
    return [name]


def replay(context: SessionContext, command: SampleCommand) -> list[str]:
    """Samples a node and all it comes from once more, and compares.

    Raises UserError naming the first code that differs from those on disk.
    """
    last, session = chosen(context, command), context.session
    codes: Tensors = {}
    for name, node in session.chain(last).items():
        context.require_own(name, node)
        sampler = context.pool.load(node.computing, node.params.side_by_side).sampler
        given = tensors(session.prompt(name, node)) if node.parent is None else codes
        with terminal_meter("codes") as meter:
            shown = LevelProgress(meter)
            start, callbacks = initial_codes(node, given, sampler), (shown.on_window, shown.on_step)
            codes = sampler.sample(node.request, node.params, node.seed, start, *callbacks, node.levels).codes
        for level, stored in tensors(session.finished_codes(name, node)).items():
            if not stored.equal(codes[level]):
                at = int((stored != codes[level]).nonzero()[0])
                raise UserError(
                    f"{session.place(name)} came out differently: code {at} of level {level} was {int(stored[at])}, now it "
                    f"is {int(codes[level][at])}; another device, batch or version of torch may round differently"
                )
    print(f"{last} came out the same: {sum(map(len, codes.values()))} codes sampled again")
    return [last]


def show(context: SessionContext, command: SampleCommand) -> list[str]:
    """Prints every node under the one that it was made of; those that cannot be read are named instead.

    Raises UserError when there is none.
    """
    session = context.session
    if not session.names():
        raise UserError(f"{session.folder} holds no songs: give session=FOLDER, or run_dir=RUN for those in RUN/songs")
    waiting: dict[str, tuple[Node, str]] = {}
    picked = session.picked()
    for name in session.names():
        try:
            node = session.node(name)
            mark = " (picked)" if name == picked else ""
            waiting[name] = node, printable(f"{name}{mark}: {describe(node, session.codes(name, node))}")
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr, flush=True)
    root, branches = Tree(Text(str(session.folder))), dict[str | None, Tree]()
    while due := [name for name, (node, _) in waiting.items() if node.parent not in waiting]:
        for name in due:
            node, line = waiting.pop(name)
            branches[name] = branches.get(node.parent, root).add(Text(line))
    for name in waiting:  # what is left waits for itself
        print(f"warning: {session.place(name)} and its parents go in a circle", file=sys.stderr, flush=True)
    Console(width=None if sys.stdout.isatty() else WIDE).print(root)
    return session.names()


def describe(node: Node, codes: Codes) -> str:
    """What was done, to whom it is to sound, and how many seconds there are of each level."""
    done = [int((codes.get(level, NO_CODES) != MISSING).sum()) for level in node.levels]
    seconds = [f"{node.models.seconds(level, number):.1f}" for level, number in zip(node.levels, done, strict=True)]
    arguments = [f"{name} {plain(value)}" for name, value in node.arguments.items()]
    names = [plain(value) for value in (node.request.artist, node.request.genres) if value]
    what = ", ".join([" ".join([node.operation, *arguments]), f"seed {node.seed}", *names])
    return f"{what}; {', '.join(seconds)} of {node.request.seconds:g} s at levels {', '.join(map(str, node.levels))}"


def chosen(context: SessionContext, command: SampleCommand) -> str:
    """The node that a command is about. Raises UserError when it names none and none is picked."""
    if name := command.node or context.session.picked():
        return name
    raise UserError("node is missing: give node=ID (mode=show lists them), or pick one with mode=pick node=ID")


MODES: dict[str, Callable[[SessionContext, SampleCommand], list[str]]] = {
    **{name: partial(make, name) for name in SOURCES},
    "pick": pick,
    "replay": replay,
    "show": show,
}
