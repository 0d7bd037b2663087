"""What a user asks of a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jukebox_pl.sessions.nodes import Node
from jukebox_pl.sessions.prompts import Prompt


@dataclass(frozen=True)
class Overrides:
    """What a user said, and nothing of what they left open: fields of the request, the params, the computing, ..."""

    request: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    computing: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    lowest: int | None = None
    seed: int | None = None

    def over(self, node: Node) -> Node:
        """`node` with what was said in the place of what it had."""
        return replace(
            node,
            request=replace(node.request, **self.request),
            params=replace(node.params, **self.params),
            computing=replace(node.computing, **self.computing),
            arguments={**node.arguments, **self.arguments},
            lowest=node.lowest if self.lowest is None else self.lowest,
            seed=node.seed if self.seed is None else self.seed,
        )


@dataclass(frozen=True)
class SampleCommand:
    """What is wished of which node, and how it is delivered.

    `node` is the one to start from, None the picked one. `name` is the one to make, None one that follows from what is
    asked. Of the `candidates`, whose seeds follow each other, this process makes every `world`-th from its `rank` on.
    """

    wish: Overrides = field(default_factory=Overrides)
    node: str | None = None
    name: str | None = None
    prompt: Prompt | None = None
    candidates: int = 1
    formats: Sequence[str] = ()
    stream: bool = False
    rank: int = 0
    world: int = 1
