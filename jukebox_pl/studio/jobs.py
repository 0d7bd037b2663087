"""Songs in the making: a job runs in a thread beside the caller's, who can watch it, hear it so far and stop it."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from weakref import WeakSet

import numpy as np
import torch

from jukebox_pl.report.song_page import PAGE
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sessions.jobs import GenerationJob, check_request
from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import CODES, Node, Session
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest
from jukebox_pl.utils.progress import Meter, Status

SECONDS_BETWEEN_UPDATES = 0.3
ANOTHER = "python -m jukebox_pl.app run_dir=…"


class Stopped(Exception):
    """Ends a job from inside its meter."""


class BackgroundJob:
    """The job of one song: go through `run()` once, then find it in `song`, which stays None when stopped.

    `levels` holds where each level stands, by the name of its task: level 2.
    """

    def __init__(self, job: GenerationJob):
        self.job = job
        self.song: SampledSong | None = None
        self.levels: dict[str, Status] = {}
        self._future: Future[SampledSong] = Future()
        self._stopped = Event()
        self._updates: SimpleQueue[Status | None] = SimpleQueue()
        self._updated = 0.0

    @property
    def name(self) -> str:
        return next(iter(self.job.nodes))

    def files(self) -> list[Path]:
        """What there is to take home, the audio first."""
        songs = [f"song.{format}" for format in dict.fromkeys(("wav", *self.job.formats))]
        folder = self.job.session.place(self.name)
        return [folder / name for name in (*songs, PAGE, CODES, "request.json")]

    def run(self, thread: Executor) -> Generator[Status, None, None]:
        """Says a few times a second where it is. Closing the iterator stops the job.

        Raises what `Sampler.sample` raises.
        """
        self._future = thread.submit(self._work)
        self._future.add_done_callback(lambda _: self._updates.put(None))
        if self._stopped.is_set():  # before there was anything to cancel
            self._future.cancel()
        try:
            yield from iter(self._updates.get, None)
            with suppress(Stopped, CancelledError):
                self.song = self._future.result()
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the sampling at its next code, or before its first; run again, it goes on after its last window."""
        self._stopped.set()
        self._future.cancel()

    @torch.inference_mode()
    def so_far(self) -> dict[int, np.ndarray]:
        """The finished windows as audio [1, N] by level, the bottom one first."""
        vqvae, device = self.job.models.bundle.vqvae, self.job.models.sampler.device
        decoded = {}
        for level, codes in sorted(self.job.codes.get(self.name, {}).items()):
            begun = codes[: int((codes != MISSING).int().cumprod(0).sum())]  # up to the first missing one
            if len(begun):
                decoded[level] = vqvae.decode_long(begun[None].to(device), level)[0].cpu().numpy()
        return decoded

    def _work(self) -> SampledSong:
        job = self.job
        # While it waited for its turn, another song may have taken its name, or been sung under it to the end.
        name, node = job.session.locate(replace(job.nodes[self.name], hashes={}))
        job.nodes = {name: node}
        job.begin({})
        for level, codes in job.codes[name].items():
            task = f"level {level}"
            self.levels[task] = Status(task, int((codes != MISSING).sum()), node.lengths[level], "codes")
        return job.run(Meter(self._show, "codes"))[0]

    def _show(self, status: Status) -> None:
        """The face of the meter."""
        if self._stopped.is_set():
            raise Stopped
        now = time.monotonic()
        is_first, is_last = status.seconds_left is None, status.done == status.total
        if is_first or is_last or now - self._updated > SECONDS_BETWEEN_UPDATES:
            self.levels[status.task] = status
            self._updates.put(status)
            self._updated = now


class Studio:
    """A run's models, that sing for whoever asks, one song at a time, in a session. `formats` come beside the wav."""

    def __init__(self, pool: ModelPool, computing: Computing, session: Session, formats: Sequence[str] = ()):
        self.models, self.computing, self.session, self.formats = pool.models, computing, session, formats
        self.loaded = pool.load(computing)
        self.labeller = self.loaded.bundle.labellers[self.models.top]
        self.thread, self.jobs = ThreadPoolExecutor(1), WeakSet[BackgroundJob]()

    def job(self, request: SongRequest, params: SamplingParams, seed: int) -> BackgroundJob:
        """Raises UserError for what the models cannot sing."""
        check_request(request, self.loaded.bundle)
        node = Node("new", request, params, seed, lowest=0, models=self.models, computing=self.computing)
        name, node = self.session.locate(node)
        job = BackgroundJob(GenerationJob(self.session, self.loaded, {name: node}, self.formats, ANOTHER))
        self.jobs.add(job)
        return job

    def close(self) -> None:
        """Stops whatever is being sung."""
        for job in list(self.jobs):
            job.stop()
        self.thread.shutdown()
