"""From a bundle and a request to files: the song, its codes, the request that made it, a page to look at."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jukebox_pl import audio
from jukebox_pl.checkpoints import Bundle
from jukebox_pl.errors import UserError
from jukebox_pl.report.song_page import write_song_page
from jukebox_pl.sampling import sampler
from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest
from jukebox_pl.utils import codes
from jukebox_pl.utils.files import write_atomic, write_json

SECONDS_BETWEEN_LINES = 5.0


def sing(bundle: Bundle, request: SongRequest, params: SamplingParams, seed: int, device: str = "cpu") -> SampledSong:
    """Samples a song, showing the progress of every level and window."""
    check_lyrics(request.lyrics, bundle.labellers[max(bundle.labellers)])
    singer = sampler.Sampler(bundle.vqvae, bundle.priors, bundle.labellers, bundle.sample_rate, device)
    with show_progress() as shown:
        return singer.sample(request, params, seed, on_window=shown.window, on_step=shown.step)


def check_lyrics(lyrics: str, labeller: Labeller) -> None:
    """Warns of what the models cannot sing. Raises UserError when nothing would be left."""
    if note := note_on_lyrics(lyrics, labeller):
        warn(note)


def note_on_lyrics(lyrics: str, labeller: Labeller) -> str:
    """What the models cannot sing, in one line; nothing where they can. Raises UserError when nothing would be left."""
    characters = labeller.characters
    unknown = characters.unknown(lyrics)
    if lyrics and not labeller.lyric_tokens:
        return "this model was trained without lyrics and does not follow these"
    if unknown and not characters.clean(lyrics).strip():
        raise UserError(f"nothing is left of these lyrics: this model sings {characters.characters!r}")
    if unknown:
        shown = "".join(sorted(unknown))
        return f"left out of the lyrics: {sum(unknown.values())} times {shown!r}, which this model has not learned to sing"
    return ""


def warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr, flush=True)


def write_song(folder: Path, song: SampledSong, bundle: Bundle, formats: Sequence[str], page: Mapping[str, Any]) -> Path:
    """Writes song.wav (and other `formats`), codes.npz, request.json and index.html; returns the page."""
    for format in dict.fromkeys(("wav", *formats)):
        audio.write(folder / f"song.{format}", song.audio.numpy(), song.sample_rate)
    write_atomic(folder / "codes.npz", codes.to_npz(song.codes))
    made_from = {"request": song.request.to_json(), "params": song.params.to_json(), "seed": song.seed}
    write_json(folder / "request.json", made_from)
    return write_song_page(folder, song, dict(enumerate(bundle.vqvae.hops)), **page)


def show_progress() -> Shown:
    alone = os.environ.get("WORLD_SIZE", "1") == "1"
    return Bars() if alone and sys.stderr.isatty() else Lines()


class Bars:
    """A progress bar for every level, naming the window it is in."""

    def __enter__(self) -> Bars:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns).__enter__()
        self.tasks: dict[int, Any] = {}
        return self

    def __exit__(self, *error: Any) -> None:
        self.progress.__exit__(*error)

    def step(self, level: int, done: int, total: int) -> None:
        if level not in self.tasks:
            self.tasks[level] = self.progress.add_task(f"level {level}", total=total)
        self.progress.update(self.tasks[level], completed=done)

    def window(self, at: sampler.Progress) -> None:
        self.progress.update(self.tasks[at.level], description=f"level {at.level}, window at {at.start}")


class Lines:
    """A line every few seconds, for logs."""

    def __enter__(self) -> Lines:
        self.started: dict[int, tuple[float, int]] = {}
        self.said = time.monotonic()
        return self

    def __exit__(self, *error: Any) -> None:
        return None

    def step(self, level: int, done: int, total: int) -> None:
        now = time.monotonic()
        begun, first = self.started.setdefault(level, (now, done))
        if now - self.said > SECONDS_BETWEEN_LINES or done == total:
            self.said = now
            rate = (done - first) / max(now - begun, 1e-6)
            left = (total - done) / max(rate, 1e-6)
            print(f"level {level}: {done}/{total} codes, {rate:.0f}/s, {left:.0f} s to go", file=sys.stderr, flush=True)

    def window(self, at: sampler.Progress) -> None:
        return None


Shown = Bars | Lines
