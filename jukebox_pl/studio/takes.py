"""Songs in the making: a take is sung in a thread beside the caller's, who can watch it, hear it so far and stop it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import NamedTuple
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.report.song_page import PAGE
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sampling.sampler import Progress
from jukebox_pl.sessions.making import require_singable
from jukebox_pl.sessions.models import Computing, LoadedModels, ModelPool
from jukebox_pl.sessions.nodes import CODES, Node, Session
from jukebox_pl.sessions.song_files import write_song
from jukebox_pl.sessions.work import arrays, codes_so_far
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest

SECONDS_BETWEEN_STEPS = 0.3
COMMAND = "python -m jukebox_pl.app run_dir=…"


class Step(NamedTuple):
    """Where a level stands: `done` of `total` codes, and the seconds that the others take at the pace so far, if any."""

    level: int
    done: int
    total: int
    seconds_left: float | None


class Stopped(Exception):
    """Ends the sampling of a take from inside."""


class Take:
    """One song, a node of a session: go through `sing()` once, then find it in `song`, which stays None when stopped."""

    def __init__(self, ready: LoadedModels, session: Session, name: str, node: Node, formats: Sequence[str] = ()):
        self.ready, self.session, self.name, self.node, self.formats = ready, session, name, node, formats
        self.song: SampledSong | None = None
        self.steps: dict[int, Step] = {}
        self._codes: dict[int, Tensor] = {}
        self._working: Future[SampledSong] = Future()
        self._stopped = Event()
        self._told: SimpleQueue[Step | None] = SimpleQueue()
        self._told_at = 0.0
        self._begun: dict[int, tuple[float, int]] = {}

    @property
    def folder(self) -> Path:
        return self.session.place(self.name)

    def files(self) -> list[Path]:
        """What there is to take home, the sounds first."""
        sounds = [f"song.{format}" for format in dict.fromkeys(("wav", *self.formats))]
        return [self.folder / name for name in (*sounds, PAGE, CODES, "request.json")]

    def sing(self, thread: Executor) -> Generator[Step, None, None]:
        """Says a few times a second where it is. Closing the iterator stops the take.

        Raises what `Sampler.sample` raises.
        """
        self._working = thread.submit(self._work)
        self._working.add_done_callback(lambda _: self._told.put(None))
        if self._stopped.is_set():
            self._working.cancel()
        try:
            yield from iter(self._told.get, None)
            with suppress(Stopped, CancelledError):
                self.song = self._working.result()
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the sampling at its next code, or before its first; sung again, it goes on after its last window."""
        self._stopped.set()
        self._working.cancel()

    @torch.inference_mode()
    def so_far(self) -> dict[int, np.ndarray]:
        """The finished windows as audio [1, N] by level, the bottom one first."""
        vqvae, device = self.ready.bundle.vqvae, self.ready.sampler.device
        begun = {level: beginning(codes)[None].to(device) for level, codes in sorted(self._codes.items())}
        return {level: vqvae.decode_long(codes, level)[0].cpu().numpy() for level, codes in begun.items() if codes.numel()}

    def _work(self) -> SampledSong:
        node, sampler = self.node, self.ready.sampler
        if self.name not in self.session:
            self.session.begin(self.name, node, {})
        self._codes = codes_so_far(self.session, self.name, sampler)
        self.steps = {level: self._there(level, codes) for level, codes in self._codes.items()}
        song = sampler.sample(node.request, node.params, node.seed, self._codes, self._on_window, self._on_step)
        write_song(self.folder, song, self.ready.bundle, self.formats, {"command": COMMAND})
        self.session.finish(self.name)
        return song

    def _there(self, level: int, codes: Tensor) -> Step:
        return Step(level, int((codes != MISSING).sum()), self.node.lengths[level], None)

    def _on_window(self, at: Progress) -> None:
        self._codes = self._codes | {at.level: at.codes[0].cpu()}
        self.session.save(self.name, arrays(self._codes))

    def _on_step(self, level: int, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        now = time.monotonic()
        begun, first = self._begun.setdefault(level, (now, done))
        if done in (first, total) or now - self._told_at > SECONDS_BETWEEN_STEPS:
            left = (total - done) * (now - begun) / (done - first) if done > first else None
            self.steps[level] = Step(level, done, total, left)
            self._told.put(self.steps[level])
            self._told_at = now


def beginning(codes: Tensor) -> Tensor:
    """Of codes [T] those up to the first missing one."""
    return codes[: int((codes != MISSING).int().cumprod(0).sum())]


def name_for(node: Node, session: Session) -> str:
    """The folder of the same song, begun or finished; a new one where there is none."""
    names = itertools.chain([node.name], (f"{node.name}_{number}" for number in itertools.count(2)))
    return next(name for name in names if is_free(session, name, node))


def is_free(session: Session, name: str, node: Node) -> bool:
    try:
        session.require_same(name, node)
    except UserError:
        return False
    return True


class Studio:
    """A run's models, that sing for whoever asks, one song at a time, in a session. `formats` come beside the wav."""

    def __init__(self, ensemble: ModelPool, computing: Computing, session: Session, formats: Sequence[str] = ()):
        self.models, self.computing, self.session, self.formats = ensemble.models, computing, session, formats
        self.ready = ensemble.ready(computing)
        self.labeller = self.ready.bundle.labellers[self.models.top]
        self.thread, self.takes = ThreadPoolExecutor(1), WeakSet[Take]()

    def take(self, request: SongRequest, params: SamplingParams, seed: int) -> Take:
        """Raises UserError for what the models cannot sing."""
        require_singable(request, self.ready)
        node = Node("new", request, params, seed, lowest=0, models=self.models, computing=self.computing)
        take = Take(self.ready, self.session, name_for(node, self.session), node, self.formats)
        self.takes.add(take)
        return take

    def close(self) -> None:
        """Stops whatever is being sung."""
        for take in list(self.takes):
            take.stop()
        self.thread.shutdown()
