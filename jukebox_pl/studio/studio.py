"""A run's models and their session, for whoever asks: what can be done with songs, and how far each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch

from jukebox_pl import audio
from jukebox_pl.checkpoints import AdapterUse
from jukebox_pl.errors import UserError
from jukebox_pl.sampling.checks import longest_learned
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sessions.commands import SOURCES, SampleCommand, SessionContext, begin
from jukebox_pl.sessions.jobs import tensors
from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import NODE, Node, Session
from jukebox_pl.sessions.operations import Overrides, requested_node
from jukebox_pl.sessions.page import write_session_page
from jukebox_pl.sessions.prompts import Prompt
from jukebox_pl.studio.form import Limits
from jukebox_pl.studio.line import Job, Line
from jukebox_pl.studio.sounds import Sounds, peaks
from jukebox_pl.utils.codes import Codes

SIDE_BY_SIDE = 8  # takes that are shown beside each other
FRESH_SEEDS = ("branch", "regenerate")  # make something new each time


class Listed(NamedTuple):
    """A song of the session as it is on disk."""

    name: str
    node: Node

    @property
    def asked(self) -> str:
        """What takes of one song share: all but the seed."""
        return repr(replace(self.node, seed=0, hashes={}))


class Studio:
    """Songs by a run's models, in a session, one job after the other. `formats` come beside the wav."""

    def __init__(
        self,
        pool: ModelPool,
        computing: Computing,
        session: Session,
        formats: Sequence[str] = (),
        limits: Limits | None = None,
    ):
        self.models, self.computing, self.session, self.formats = pool.models, computing, session, formats
        self.adapters = pool.adapters
        self.limits = limits or Limits()
        self.loaded = pool.load(computing)
        self.labeller = self.loaded.bundle.labellers[self.models.top]
        self.longest_seconds = longest_learned(self.loaded.bundle.priors[self.models.top]) / self.models.sample_rate
        self.line, self.sounds = Line(), Sounds()
        self._pool, self._other, self._asking = pool, pool, Lock()
        self._read: dict[str, tuple[int, Node]] = {}

    def ask(
        self,
        owner: str,
        mode: str,
        overrides: Overrides,
        name: str | None = None,
        candidates: int = 1,
        prompt: Prompt | None = None,
        strengths: Sequence[float] | None = None,
    ) -> list[str]:
        """Has songs made, `mode` of `sample` on the song of that `name`; returns their names, those first that are new.

        `strengths`: of the adapters, None as they were given; a song that is made of another has those of that one. What is
        there already, or in the making, is not made twice. Raises UserError for what cannot be made.
        """
        overrides = replace(overrides, computing=asdict(self.computing))
        command = SampleCommand(overrides, name, prompt=prompt, candidates=candidates, formats=self.formats)
        with self._asking:
            context = self._context_of(name) if name else self._context(strengths)
            base, parent, given = SOURCES[mode](context, command)
            node = requested_node(base, overrides, parent)
            self.limits.seconds_field.read(node.request.seconds)
            if mode in FRESH_SEEDS and overrides.seed is None:
                node = self._with_fresh_seed(node)
            nodes = dict(self.session.locate(replace(node, seed=node.seed + number)) for number in range(candidates))
            missing = {name: node for name, node in nodes.items() if not node.finished and not self.line.job(name)}
            self._begin(context, owner, missing, given, command)
        return list(missing) + [name for name in nodes if name not in missing]

    def resume(self, owner: str, name: str) -> list[str]:
        """Goes on with a song that was stopped, and with the takes that were begun with it."""
        with self._asking:
            missing = {
                each.name: each.node for each in self.takes(name) if not each.node.finished and not self.line.job(each.name)
            }
            if not missing:
                raise UserError(f"{name} is finished, or being sung")
            node = next(iter(missing.values()))
            context = self._context_of(name)
            context.require_own(name, node)
            parent = node.parent
            given = self.session.finished_codes(parent, self.session.node(parent)) if parent else {}
            self._begin(context, owner, missing, given, SampleCommand(formats=self.formats))
        return list(missing)

    def stop(self, owner: str, name: str) -> None:
        """Raises UserError for a song of somebody else's."""
        job = self.line.job(name)
        if job and job.owner != owner:
            raise UserError(f"{name} is another visitor's song")
        if job:
            self.line.stop(job)

    def songs(self) -> list[Listed]:
        """Those of the session that can be read, by name; each file is read again when it has changed."""
        listed = []
        for name in self.session.names():
            try:
                changed = (self.session.place(name) / NODE).stat().st_mtime_ns
                if self._read.get(name, (0, None))[0] != changed:
                    self._read[name] = changed, self.session.node(name)
                listed.append(Listed(name, self._read[name][1]))
            except (UserError, OSError):  # damaged, or deleted just now: the terminal's mode=show says what
                continue
        return listed

    def takes(self, name: str) -> list[Listed]:
        """A song and those that differ from it in their seed alone, by seed. Raises UserError for a name that is none."""
        songs = self.songs()
        chosen = next((song for song in songs if song.name == name), None)
        if chosen is None:
            raise UserError(f"there is no song {name!r:.80}")
        alike = sorted((song for song in songs if song.asked == chosen.asked), key=lambda song: song.node.seed)
        at = max(min(alike.index(chosen) - SIDE_BY_SIDE // 2, len(alike) - SIDE_BY_SIDE), 0)
        return alike[at : at + SIDE_BY_SIDE]

    def file(self, name: str, file: str) -> Path:
        """A file of a song that is there. Raises UserError for a name that is none."""
        if name not in {song.name for song in self.songs()}:
            raise UserError(f"there is no song {name!r:.80}")
        return self.session.place(name) / file

    def so_far(self, song: Listed) -> tuple[str, str]:
        """The token of the sound of an unfinished song as far as it goes, and what it is: below as far as that is sung, then
        as the level above has it. Empty where there is nothing yet."""
        job = self.line.job(song.name)
        codes: Mapping[int, torch.Tensor] = (
            dict(job.work.codes.get(song.name, {})) if job else tensors(self.session.codes(song.name, song.node))
        )
        begun = {level: rows[: int((rows != MISSING).int().cumprod(0).sum())] for level, rows in sorted(codes.items())}
        begun = {level: rows for level, rows in begun.items() if len(rows)}
        if not begun:
            return "", ""
        lengths = ", ".join(
            f"level {level} to {self.models.seconds(level, len(rows)):.2f} s" for level, rows in begun.items()
        )
        key = f"{song.name}: {lengths}"
        return self.sounds.once(key, lambda: (self._joined(begun), self.models.sample_rate)), lengths

    def waveform(self, name: str) -> tuple[float, list[int]]:
        """The seconds and the peaks of a finished song. Raises UserError, OSError or soundfile's error without one."""
        path = self.file(name, "song.wav")
        return _waveform(path, path.stat().st_mtime_ns)

    def close(self) -> None:
        """Stops whatever is being sung."""
        self.line.close()
        self.sounds.close()

    def strengths(self, node: Node) -> list[float]:
        """Of each adapter in a song; of one that it was made without, 0."""
        uses = {use.adapter.fingerprint: use.strengths for use in self._pool.uses_of(node.models)}
        return [max(uses.get(use.adapter.fingerprint, {}).values(), default=0.0) for use in self.adapters]

    def _context(self, strengths: Sequence[float] | None) -> SessionContext:
        """The session, and its models under adapters of those strengths."""
        if strengths is None:
            return self._context_under(self.adapters)
        uses = [
            AdapterUse(use.adapter, dict.fromkeys(use.strengths, strength))
            for use, strength in zip(self.adapters, strengths, strict=True)
        ]
        return self._context_under(uses)

    def _context_of(self, name: str) -> SessionContext:
        """The session, and the models that a song of it was made by, as far as they are these."""
        return self._context_under(self._pool.uses_of(self.session.node(name).models))

    def _context_under(self, uses: Sequence[AdapterUse]) -> SessionContext:
        for pool in (self._pool, self._other):
            if list(pool.adapters) == list(uses):
                return SessionContext(self.session, pool)
        self._other = self._pool.under(uses)
        return SessionContext(self.session, self._other)

    def _begin(
        self, context: SessionContext, owner: str, nodes: dict[str, Node], given: Codes, command: SampleCommand
    ) -> None:
        if not nodes:
            return
        if sum(job.owner == owner for job in self.line.jobs()) >= self.limits.waiting:
            raise UserError(f"{self.limits.waiting} of your songs wait already: let one finish, or stop one")
        for work in begin(context, command, nodes, given):
            self.line.add(Job(owner, work, then=partial(write_session_page, self.session)))

    def _with_fresh_seed(self, node: Node) -> Node:
        """With the first seed from its own on with which nothing is there, or what is being made."""
        while True:
            name, _ = self.session.locate(node)
            if name not in self.session or self.line.job(name):
                return node
            node = replace(node, seed=node.seed + 1)

    @torch.inference_mode()
    def _joined(self, codes: Mapping[int, torch.Tensor]) -> np.ndarray:
        vqvae, device = self.loaded.bundle.vqvae, self.loaded.sampler.device
        sound = np.empty((1, 0), np.float32)
        for level, rows in sorted(codes.items()):
            if len(rows) * self.models.hops[level] > sound.shape[1]:
                decoded = vqvae.decode_long(rows[None].to(device), level)[0].float().cpu().numpy()
                sound = np.concatenate([sound, decoded[:, sound.shape[1] :]], axis=1)
        return sound


@lru_cache(maxsize=256)
def _waveform(path: Path, changed: int) -> tuple[float, list[int]]:
    sound, rate = audio.read(path)
    return sound.shape[1] / rate, peaks(audio.to_channels(sound, 1))
