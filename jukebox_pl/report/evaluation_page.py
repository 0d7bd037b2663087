"""What an evaluation found, to read, see and hear, as one HTML file that opens anywhere and fetches nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from jukebox_pl.evaluation.suite import CANNOT_TELL, Answer, Evaluation, Table
from jukebox_pl.report.page import PAGE, data_uri, write_page


class Heard(NamedTuple):
    """A sound and its spectrogram as data URIs."""

    player: str
    spectrogram: str


class Section(NamedTuple):
    """What the page shows of a question: pictures and sounds by caption, and why it could not tell, "" where it could."""

    name: str
    cannot_tell: str
    tables: tuple[Table, ...]
    pictures: dict[str, str]
    sounds: dict[str, Heard]


def write_evaluation_page(folder: str | Path, evaluation: Evaluation) -> Path:
    """Writes `index.html` in `folder`, whole or not at all, and returns its path."""
    protocol = evaluation.protocol
    rate = protocol["sample_rate"]
    return write_page(
        Path(folder) / PAGE,
        "evaluation.html",
        heading=f"An evaluation on {protocol['songs']} {'held-out' if protocol['held_out'] else 'training'} songs",
        protocol=in_lines(protocol),
        sections=[section(name, answer, rate) for name, answer in evaluation.answers.items()],
    )


def section(name: str, answer: Answer, sample_rate: int) -> Section:
    from jukebox_pl.report import plots  # imports matplotlib: commands that draw nothing answer at once without it

    pictures = {caption: data_uri(plots.heat_map(*picture)) for caption, picture in answer.pictures.items()}

    def heard(sound: Tensor) -> Heard:
        audio = sound.detach().cpu().float().numpy()  # [T]
        return Heard(data_uri((audio[None], sample_rate)), data_uri(plots.spectrogram(audio, sample_rate)))

    sounds = {caption: heard(sound) for caption, sound in answer.sounds.items()}
    return Section(name, answer.figures.get(CANNOT_TELL, ""), answer.tables, pictures, sounds)


def in_lines(protocol: dict[str, Any]) -> dict[str, Any]:
    """The protocol as rows of a table, its names in words."""
    hops = [f"level {level['level']}: {level['hop']} samples a code" for level in protocol["levels"]]
    shown = {**protocol, "levels": hops, "held_out": "yes" if protocol["held_out"] else "no: the songs it was trained on"}
    shown |= shown.pop("params", {})  # how songs were sampled, a row each
    return {name.replace("_", " "): value for name, value in shown.items()}
