"""The command that makes a song of a session again, as a shell takes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jukebox_pl.checkpoints import AdapterUse
from jukebox_pl.sessions.models import Computing
from jukebox_pl.sessions.nodes import PROMPT, Node, Session
from jukebox_pl.sessions.operations import Overrides, operation_of
from jukebox_pl.types import SamplingParams, SongRequest
from jukebox_pl.utils.quoting import quoted

SETTINGS = {"genres": "genre"}  # where a setting has another name than the field of a request
ALWAYS = ("artist", "genres", "seconds", "temperature", "hop_fraction")  # their defaults are another file's to choose
BARE = re.compile(r"[A-Za-z_/][\w.&/-]*( [\w.&/-]+)*")  # a text that Hydra takes for one
WORDS = ("null", "true", "false", "nan", "inf")  # and these not
NOT_IN_KEYS, ESCAPED = re.compile(r"[\\()\[\]{}:=,\s]"), r"\\\g<0>"  # of a mapping, which cannot be quoted
SECTION_TAGS = re.compile(r"[\[(]")


def command_again(
    run_dir: Path,
    session: Session,
    name: str,
    node: Node,
    parent: Node | None = None,
    adapters: Sequence[AdapterUse] = (),
) -> str:
    """Where the song still is, the command finds it finished; anywhere else it makes the same one.

    A prompt is taken from where the song keeps the codes of it.
    """
    words = ["python", "-m", "jukebox_pl.sample", f"run_dir={run_dir}"]
    if session.folder.absolute() != (run_dir / "songs").absolute():
        words.append(f"session={session.folder}")
    words += adapter_words(adapters)
    arguments: dict[str, Any] = {}
    if node.parent is None:
        usual = replace(node, request=SongRequest(), params=SamplingParams(), computing=Computing(), seed=-1, lowest=0)
        if (session.place(name) / PROMPT).exists():
            arguments = {"prompt": session.place(name) / PROMPT}
        always: tuple[str, ...] = ALWAYS
    else:
        operation = operation_of(node)
        usual = operation.child(node.operation, node.parent, parent or session.node(node.parent))
        usual = operation.apply(usual, Overrides(arguments=node.arguments))
        arguments, always = {"mode": node.operation, "node": node.parent, **node.arguments}, ()
    words += [f"{key}={value}" for key, value in arguments.items()]
    words += [f"{key}={value}" for key, value in changed(node, usual, always)]
    return shlex.join(words)


def changed(node: Node, usual: Node, always: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The settings in which a node is not as `usual`, and those that are `always` said, as the command line takes them."""
    for kind in ("request", "params", "computing"):
        before = vars(getattr(usual, kind))
        for field, value in vars(getattr(node, kind)).items():
            if (value != before[field] or field in always) and value != "":
                yield SETTINGS.get(field, field), value if field == "lyrics" else as_hydra(value)
    lyrics = [node.request.lyrics, *(section.lyrics or "" for section in node.request.schedule)]
    if any(map(SECTION_TAGS.search, lyrics)):
        yield "sections", "keep"
    if node.lowest != usual.lowest:
        yield "levels", str(node.lowest)
    if node.seed != usual.seed:
        yield "seed", str(node.seed)


def adapter_words(uses: Sequence[AdapterUse]) -> list[str]:
    """One strength for all, where they have the same at all of their levels, else one for each."""
    strengths: dict[str, Any] = {}
    for use in uses:
        by_level = [use.strengths.get(level, 0.0) for level in range(1 + max(use.strengths))]
        is_even = use.strengths == dict.fromkeys(map(int, use.adapter.record.levels), by_level[-1])
        strengths[str(use.adapter.path)] = by_level[-1] if is_even else by_level
    if not strengths:
        return []
    first, *others = strengths.values()
    if any(other != first for other in others):
        return [f"adapter={as_hydra(strengths)}"]
    files = list(strengths) if others else next(iter(strengths))
    return [f"adapter={as_hydra(files)}", f"strength={as_hydra(first)}"]


def as_hydra(value: Any) -> str:
    """A value in the grammar of Hydra's command line."""
    if isinstance(value, str):
        return value if BARE.fullmatch(value) and value.lower() not in WORDS else quoted(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{NOT_IN_KEYS.sub(ESCAPED, name)}: {as_hydra(weight)}' for name, weight in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_hydra, value))}]"
    if hasattr(value, "start_seconds"):  # a section of a schedule
        section = {SETTINGS.get(field, field): part for field, part in asdict(value).items() if part is not None}
        return as_hydra({"at": section.pop("start_seconds"), **section})
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
