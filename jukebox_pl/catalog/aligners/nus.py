"""NUS AutoLyricsAlign (Gupta, Yilmaz and Li, ICASSP 2020), the aligner of the paper: your installation, or what it wrote.

It is Kaldi in a container of 13 GB with a licence of its own, hears English on whole mixes, and writes a line
`start end WORD` for each word in seconds.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jukebox_pl import audio
from jukebox_pl.catalog.aligners.aligner import complete, match, require_alignment, seconds_of
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word
from jukebox_pl.utils.subprocesses import run_limited

PLACES = ("{wav}", "{txt}", "{out}")
BRACKETS = str.maketrans("", "", "()[]{}")  # it leaves out words in them


@dataclass
class NUSAligner:
    """Runs `command` in `folder`, a list of words in which {wav}, {txt} and {out} become paths, such as
    [singularity, exec, kaldi.simg, ./RunAlignment.sh, "{wav}", "{txt}", "{out}"]; no shell sees it.

    Words that the program leaves out fit between their neighbours. Raises UserError when the command cannot be one, and
    in a call when it fails, takes over `time_limit` seconds, or leaves out more than the share `coverage` allows.
    """

    command: Sequence[str]
    folder: str = "."
    time_limit: float = 1800.0
    coverage: float = 0.8

    def __post_init__(self) -> None:
        if isinstance(self.command, str) or not all(isinstance(word, str) for word in self.command):
            raise UserError(f"command={self.command!r}: expected a list of words, as [program, argument, ...]")
        if missing := [place for place in PLACES if not any(place in word for word in self.command)]:
            raise UserError(f"command={list(self.command)} has no {' and no '.join(missing)}, where the paths go")
        if not (shutil.which(self.command[0]) or shutil.which(Path(self.folder, self.command[0]).absolute())):
            raise UserError(f"{self.command[0]} is no program: give one on the PATH, or by its whole path")

    def __call__(self, vocals: np.ndarray, sample_rate: int, lyrics: str) -> list[Word]:
        seconds = seconds_of(vocals, sample_rate)
        with tempfile.TemporaryDirectory(prefix="lyrics-") as work:
            wav, txt, out = (Path(work, name) for name in ("song.wav", "song.txt", "aligned.txt"))
            audio.write(wav, audio.downmix(vocals)[None], sample_rate)
            txt.write_text(lyrics.translate(BRACKETS), encoding="utf-8")
            command = list(self.command)
            for place, path in zip(PLACES, (wav, txt, out), strict=True):
                command = [word.replace(place, str(path)) for word in command]
            report = run_limited(command, command[0], self.folder, self.time_limit)
            if not out.is_file():
                raise UserError(f"{self.command[0]} wrote nothing to {{out}} ({report})")
            written = out.read_text(encoding="utf-8", errors="replace")
        return require_alignment(read_output(written, lyrics, seconds, self.coverage), lyrics, seconds)


def read_output(written: str, lyrics: str, seconds: float | None = None, coverage: float = 0.8) -> list[Word]:
    """The words of the lyrics by what the program has written, `seconds` being the end of the song.

    Raises UserError on other lines, or when less than the share `coverage` of the words is there.
    """
    found = []
    for number, line in enumerate(written.splitlines(), start=1):
        if line.strip():
            try:
                start, end, text = line.split(maxsplit=2)
                found.append(Word(text.strip(), float(start), float(end)))
            except ValueError:
                raise UserError(f"line {number} is {line[:40]!r}, expected `start end word`") from None
    texts = lyrics.split()
    ends = max((word.end for word in found), default=0.0) if seconds is None else seconds
    return complete(texts, match(texts, found, coverage), ends)
