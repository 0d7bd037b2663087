"""Ways to make a song, from nothing or from another one. A new operation is a class here and a line of OPERATIONS.

It says what is asked (`apply`), what cannot be asked (`check`), and which codes the sampling starts from (`start`). All
the rest, from saving to the page, is the same for every operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.sessions.nodes import Node

Tensors = Mapping[int, Tensor]  # codes [T] by level


@dataclass(frozen=True)
class Overrides:
    """What a user said, and nothing of what they left open: fields of the request, the params, the computing, ..."""

    request: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    computing: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    lowest: int | None = None
    seed: int | None = None

    def apply(self, node: Node) -> Node:
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


class Operation:
    """`needs` are the numbers without which it makes no sense, `takes` what else may be said."""

    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()

    def child(self, operation: str, name: str, parent: Node) -> Node:
        """A song that is made of `parent`, before anything is said of it."""
        return replace(parent, operation=operation, parent=name, arguments={}, hashes={})

    def apply(self, node: Node, overrides: Overrides) -> Node:
        return overrides.apply(node)

    def check(self, node: Node, parent: Node | None) -> None:
        """Raises UserError for what cannot be done."""

    def start(self, node: Node, given: Tensors, sampler: Sampler) -> Tensors:
        """Codes to keep, from those of the parent, or of the prompt where there is no parent."""
        return given


class New(Operation):
    """A song from nothing, or from a prompt on."""

    takes = ("prompt", "prompt_seconds", "prompt_from")


class Extend(Operation):
    """On to `seconds` in all."""

    def apply(self, node: Node, overrides: Overrides) -> Node:
        longer = super().apply(node, overrides)
        request = longer.request
        if request.total_seconds is None or "total_seconds" in overrides.request:
            return longer
        total = max(request.total_seconds, request.offset_seconds + request.seconds)
        return replace(longer, request=replace(request, total_seconds=total))

    def check(self, node: Node, parent: Node | None) -> None:
        if parent and node.top_codes <= parent.top_codes:
            raise UserError(
                f"seconds={node.request.seconds:g}: mode=extend needs more than the {parent.request.seconds:g} s that "
                f"{node.parent} has; mode=cut makes it shorter"
            )


class Cut(Operation):
    """The beginning, up to second `at`, as the beginning of the same song."""

    needs = ("at",)

    def child(self, operation: str, name: str, parent: Node) -> Node:
        request = parent.request
        # Priors are conditioned on the length of the whole song: the beginning of a long song is no short song.
        whole = request.total_seconds or request.offset_seconds + request.seconds
        return super().child(operation, name, replace(parent, request=replace(request, total_seconds=whole)))

    def apply(self, node: Node, overrides: Overrides) -> Node:
        cut = super().apply(node, overrides)
        at = cut.arguments["at"]
        schedule = tuple(section for section in cut.request.schedule if section.start_seconds < at)
        return replace(cut, request=replace(cut.request, seconds=at, schedule=schedule))

    def check(self, node: Node, parent: Node | None) -> None:
        if parent and node.top_codes >= parent.top_codes:
            raise UserError(
                f"at={node.arguments['at']:g}: expected a moment within the {parent.request.seconds:g} s of {node.parent}"
            )

    def start(self, node: Node, given: Tensors, sampler: Sampler) -> Tensors:
        return {level: codes[: node.lengths[level]] for level, codes in given.items()}


class SameLength(Operation):
    """What leaves a song as long as it was."""

    def check(self, node: Node, parent: Node | None) -> None:
        if parent and node.request.seconds != parent.request.seconds:
            raise UserError(
                f"seconds={node.request.seconds:g}: mode={node.operation} keeps the {parent.request.seconds:g} s of "
                f"{node.parent}; mode=extend makes it longer, mode=cut shorter"
            )


class Upsample(SameLength):
    """The levels that are missing below."""

    def child(self, operation: str, name: str, parent: Node) -> Node:
        return super().child(operation, name, replace(parent, lowest=0))

    def check(self, node: Node, parent: Node | None) -> None:
        super().check(node, parent)
        if parent and node.lowest >= parent.lowest:
            raise UserError(f"levels={node.lowest}: {node.parent} is sampled down to level {parent.lowest} already")


class Regenerate(SameLength):
    """The seconds between `from` and `to` once more, with another seed; what is outside stays."""

    needs = ("from", "to")

    def child(self, operation: str, name: str, parent: Node) -> Node:
        # Codes follow from the seed and the place: with the same seed nothing would change.
        return super().child(operation, name, replace(parent, seed=parent.seed + 1))

    def check(self, node: Node, parent: Node | None) -> None:
        super().check(node, parent)
        begin, end = (node.arguments[name] for name in self.needs)
        if not 0 <= begin < end <= node.request.seconds:
            raise UserError(
                f"from={begin:g} to={end:g}: expected two moments, one after the other, within the "
                f"{node.request.seconds:g} s of {node.parent}"
            )
        if parent and node.seed == parent.seed:
            raise UserError(
                f"seed={node.seed} has sung this part of {node.parent}: give another, such as seed={node.seed + 1}"
            )

    def start(self, node: Node, given: Tensors, sampler: Sampler) -> Tensors:
        return sampler.erase(given, *(node.arguments[name] for name in self.needs))


OPERATIONS: dict[str, Operation] = {
    "new": New(),
    "extend": Extend(),
    "cut": Cut(),
    "upsample": Upsample(),
    "regenerate": Regenerate(),
}


def operation_of(node: Node) -> Operation:
    """Raises UserError when a node does not say what its operation needs to know."""
    operation = OPERATIONS.get(node.operation)
    if operation is None:
        raise UserError(f"mode={node.operation} makes no songs; known are {', '.join(OPERATIONS)}")
    for name in operation.needs:
        if not isinstance(node.arguments.get(name), int | float):
            raise UserError(f"mode={node.operation} needs {name}=SECONDS")
    return operation


def requested_node(base: Node, overrides: Overrides, parent: Node | None) -> Node:
    """The node to sample: `base`, which is made of `parent`, under the `overrides`. Raises UserError for nonsense."""
    operation = operation_of(overrides.apply(base))
    for name in overrides.arguments:
        if name not in (*operation.needs, *operation.takes):
            others = [mode for mode, other in OPERATIONS.items() if name in (*other.needs, *other.takes)]
            raise UserError(f"{name} means nothing to mode={base.operation}, only to mode={' or '.join(others)}")
    node = operation.apply(base, overrides)
    operation.check(node, parent)
    return node


def initial_codes(node: Node, given: Tensors, sampler: Sampler) -> dict[int, Tensor]:
    """The codes [T] that a node keeps of those `given`: of its parent, or of its prompt."""
    codes = operation_of(node).start(node, given, sampler)
    return {level: codes[level] for level in node.levels if level in codes}
