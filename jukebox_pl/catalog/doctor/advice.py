"""What a catalog as a whole calls for, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from jukebox_pl.catalog.doctor.census import LEARNED
from jukebox_pl.catalog.doctor.report import Report
from jukebox_pl.catalog.doctor.standards import Size

WANTED = (*LEARNED, "license")
MOST_LETTERS = 40


def advice(report: Report) -> list[str]:
    """The most important sentence first."""
    return [*on_sizes(report), *on_labels(report), *on_letters(report)]


def on_sizes(report: Report) -> Iterator[str]:
    counted = ", each recording counted once," if report.duplicates else ""
    yield on_size(report.unique_seconds, f"of music{counted}", report.size)
    if report.sung:
        yield on_size(report.sung_seconds, "with lyrics", report.sung_size)


def on_size(seconds: float, of_what: str, size: Size) -> str:
    length = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
    return f"{length} {of_what} are enough for {size.enough_for}. This rests on: {size.evidence}."


def on_labels(report: Report) -> Iterator[str]:
    few = report.standards.few_songs
    for label in WANTED:
        missing = sum(share.songs for share in report.labels[label] if not share.name)
        if missing:
            yield f"{missing} of {len(report.charts)} songs have no {label}."
    for label in LEARNED:
        names = [share for share in report.labels[label] if share.name]
        rare = sum(share.songs < few for share in names)
        if rare:
            yield f"{rare} of {len(names)} {label}s have fewer than {few} songs: they stand for songs, not for a style."


def on_letters(report: Report) -> Iterator[str]:
    few = report.standards.rare_character
    rare = [letter.character for letter in report.letters if letter.times < few and not letter.character.isspace()]
    if rare:
        of = f"{len(rare)} of {len(report.letters)} characters of the lyrics"
        yield f"{of} occur fewer than {few} times and will not be learned: {' '.join(rare[:MOST_LETTERS])}"
