"""From what was asked of nodes to their songs: every window is saved as it comes, and what is there is not sampled again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from jukebox_pl import audio
from jukebox_pl.errors import UserError
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sampling.sampler import OnWindow, Progress, Sampler
from jukebox_pl.sessions.models import ModelPool
from jukebox_pl.sessions.nodes import Node, Session
from jukebox_pl.sessions.operations import Tensors, operation_of
from jukebox_pl.sessions.song_files import Shown, show_progress
from jukebox_pl.types import SampledSong
from jukebox_pl.utils.codes import Codes
from jukebox_pl.utils.differences import differences

PARTIAL = "song.partial.wav"


class SessionContext(NamedTuple):
    """Where songs are worked at: those there are, and the models that sing."""

    session: Session
    ensemble: ModelPool

    def node(self, name: str) -> Node:
        """A node to go on from. Raises UserError when other models made it."""
        node = self.session.node(name)
        if changes := list(differences(node.models.to_json(), self.ensemble.models.to_json())):
            raise UserError(
                f"{self.session.place(name)} was made by other models ({'; '.join(changes)}): go on with the run that "
                "made it, or sample a new song"
            )
        return node


class Work:
    """Nodes that differ in their seed alone, on their way to songs."""

    def __init__(self, session: Session, sampler: Sampler, names: Sequence[str]):
        self.session, self.sampler, self.names = session, sampler, names
        self.nodes = [session.node(name) for name in names]
        self.codes = [codes_so_far(session, name, sampler) for name in names]

    def sing(self, stream: bool = False) -> list[SampledSong]:
        """Samples what is missing, side by side. With `stream` the first one's song.partial.wav grows by each window."""
        with show_progress() as shown:
            if stream:
                self._stream(shown)
            return self._sample(shown)

    def _sample(self, shown: Shown) -> list[SampledSong]:
        node = self.nodes[0]
        requests, seeds = [node.request for node in self.nodes], [node.seed for node in self.nodes]
        told = self._saving(shown), shown.step
        return self.sampler.sample_batch(requests, node.params, seeds, side_by_side(self.codes), *told, node.levels)

    def _stream(self, shown: Shown) -> None:
        node, partial = self.nodes[0], self.session.place(self.names[0]) / PARTIAL
        audio.write(partial, np.zeros((1, 0), np.float32), self.sampler.sample_rate)
        told = self._saving(shown), shown.step
        for chunk in self.sampler.stream(node.request, node.params, node.seed, self.codes[0], *told, node.levels):
            audio.append(partial, chunk.audio.numpy())

    def _saving(self, shown: Shown) -> OnWindow:
        def on_window(at: Progress) -> None:
            for name, codes, row in zip(self.names, self.codes, at.codes, strict=True):
                codes[at.level] = row.cpu()
                self.session.save(name, arrays(codes))
            shown.window(at)

        return on_window


def codes_so_far(session: Session, name: str, sampler: Sampler) -> dict[int, Tensor]:
    """The codes that a node starts from, and those that have been sampled since."""
    node, codes = session.node(name), tensors(session.codes(name))
    if node.finished:
        return codes
    given = session.prompt(name) if node.parent is None else session.finished_codes(node.parent)
    return start(node, tensors(given), sampler) | codes


def start(node: Node, given: Tensors, sampler: Sampler) -> dict[int, Tensor]:
    """The codes that a node keeps of those `given`: of its parent, or of its prompt."""
    codes = operation_of(node).start(node, given, sampler)
    return {level: codes[level] for level in node.levels if level in codes}


def replay(desk: SessionContext, name: str) -> int:
    """Samples a node and all it comes from once more; returns the number of its codes.

    Raises UserError naming the first code that differs from those on disk.
    """
    codes: Tensors = {}
    for each in desk.session.chain(name):
        node = desk.node(each)
        given = tensors(desk.session.prompt(each)) if node.parent is None else codes
        sampler = desk.ensemble.ready(node.computing, node.params.side_by_side).sampler
        with show_progress() as shown:
            told = shown.window, shown.step
            song = sampler.sample(node.request, node.params, node.seed, start(node, given, sampler), *told, node.levels)
        codes = require_same(desk.session, each, song.codes)
    return sum(len(level) for level in codes.values())


def require_same(session: Session, name: str, again: Tensors) -> Tensors:
    for level, codes in tensors(session.finished_codes(name)).items():
        if not codes.equal(again[level]):
            at = int((codes != again[level]).nonzero()[0])
            raise UserError(
                f"{session.place(name)} came out differently: code {at} of level {level} was {int(codes[at])}, now it is "
                f"{int(again[level][at])}; another device, batch or version of torch may round differently"
            )
    return again


def side_by_side(songs: Sequence[Tensors]) -> dict[int, Tensor]:
    """Codes [T] of several songs as [B, T], with MISSING where one is behind."""
    nothing = torch.zeros(0, dtype=torch.long)
    levels = {level for codes in songs for level in codes}
    rows = {level: [codes.get(level, nothing) for codes in songs] for level in levels}
    return {level: pad_sequence(codes, batch_first=True, padding_value=MISSING) for level, codes in rows.items()}


def tensors(codes: Codes) -> dict[int, Tensor]:
    return {level: torch.from_numpy(array.astype(np.int64)) for level, array in codes.items()}


def arrays(codes: Tensors) -> Codes:
    return {level: tensor.numpy() for level, tensor in codes.items()}
