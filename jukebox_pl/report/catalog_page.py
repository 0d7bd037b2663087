"""The doctor's report on a catalog as one HTML file that opens anywhere and fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from jukebox_pl.catalog.doctor import Report, advice, tables
from jukebox_pl.report.page import write_page
from jukebox_pl.report.plots import histogram_svg

PAGE = "doctor.html"
MOST_ROWS = 200


class Measure(NamedTuple):
    """Something measured in every song, and the limits beyond which it is worth a warning."""

    title: str
    values: list[float]
    limits: tuple[float, ...] = ()


def write_doctor_page(folder: str | Path, report: Report) -> Path:
    """Writes `doctor.html` in `folder`, whole or not at all, and returns its path."""
    made = {table.title: table for table in tables(report, MOST_ROWS)}
    first, labels = ("catalog", "findings"), tuple(report.labels)
    drawn = measures(report) if report.songs else ()
    return write_page(
        Path(folder) / PAGE,
        "doctor.html",
        heading=f"A checkup of {len(report.songs)} songs",
        advice=advice(report),
        first=[made[title] for title in first if title in made],
        numbers=[(title, Markup(histogram_svg(values, limits, title))) for title, values, limits in drawn],
        labels=[made[title] for title in labels if title in made],
        others=[table for title, table in made.items() if title not in first + labels],
    )


def measures(report: Report) -> Iterator[Measure]:
    stats, limits = [song.audio_stats for song in report.songs], report.standards
    yield Measure("length, minutes", [song.seconds / 60 for song in stats])
    yield Measure("loudness, dB", [song.loudness_decibels for song in stats], (limits.loudness_decibels,))
    narrow = limits.bandwidth_share * limits.sample_rate / 2
    yield Measure("highest frequency, kHz", [song.bandwidth_hertz / 1000 for song in stats], (narrow / 1000,))
    yield Measure("silence, %", [100 * song.silent_share for song in stats], (100 * limits.silent_share,))
    yield Measure("clipped samples in 10,000", [1e4 * song.clipped_share for song in stats], (1e4 * limits.clipped_share,))
    if report.sung:
        words = [song.words / song.audio_stats.seconds for song in report.sung]
        yield Measure("words a second, where there are any", words, (limits.most_words_per_second,))
