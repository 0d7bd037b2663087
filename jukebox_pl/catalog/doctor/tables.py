"""A report as tables of text, for the terminal and for the page."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median
from typing import NamedTuple

from jukebox_pl.catalog.doctor.advice import MOST_LETTERS
from jukebox_pl.catalog.doctor.checks import REMEDIES
from jukebox_pl.catalog.doctor.report import KEPT, WARNED, Report

MOST_ROWS = 20

Row = tuple[str, ...]


class Table(NamedTuple):
    """`rows` hold a text for each of `columns`; `more` of them were left out."""

    title: str
    columns: Row
    rows: list[Row]
    more: int = 0


def tables(report: Report, most_rows: int = MOST_ROWS) -> list[Table]:
    """Those that have rows, each with the first `most_rows` of them."""
    made = (
        Table("catalog", ("", ""), list(overview(report))),
        Table("findings", ("what", "songs", "what to do"), list(findings(report))),
        Table("same recordings", ("song", "is also", "begins at", "shared", "alike"), list(recordings(report))),
        *(Table(label, (label, "songs", "minutes", "share"), list(shares(report, label))) for label in report.labels),
        Table("spellings", ("label", "names", "in training"), list(spellings(report))),
        Table("lyrics", ("song", "language", "script", "words/s", "characters/s", "timed words"), list(lyrics(report))),
        Table("characters", ("vocabulary", "lacks", "with their counts"), list(characters(report))),
        Table("songs", ("song", "verdict", "length", "loudness", "findings"), list(songs(report))),
        Table("skipped", ("song", "why"), [(song["path"], song["reason"]) for song in report.skipped]),
    )
    return [shorten(table, most_rows) for table in made if table.rows]


def shorten(table: Table, most_rows: int) -> Table:
    return table._replace(rows=table.rows[:most_rows], more=max(len(table.rows) - most_rows, 0))


def overview(report: Report) -> Iterator[Row]:
    verdicts = Counter(chart.verdict for chart in report.charts)
    yield "songs", f"{verdicts[KEPT]} kept, {verdicts[WARNED]} kept with warning, {len(report.skipped)} skipped"
    yield "music", clock(report.seconds) + (f", {clock(report.unique_seconds)} without copies" if report.duplicates else "")
    if lengths := [chart.checkup.seconds for chart in report.charts]:
        yield "length of a song", f"{clock(min(lengths))} to {clock(max(lengths))}, median {clock(median(lengths))}"
        yield "sample rates", listed((f"{rate} Hz", count) for rate, count in report.sample_rates.most_common())
        yield "with lyrics", f"{len(report.sung)} of {len(lengths)}, {report.sung_seconds / report.seconds:.0%} of the music"
        yield "with word times", f"{sum(chart.timed_words > 0 for chart in report.charts)} of {len(lengths)}"
        yield "characters of lyrics", str(len(report.letters))


def findings(report: Report) -> Iterator[Row]:
    for kind, count in report.findings.most_common():
        yield kind, str(count), REMEDIES[kind]


def recordings(report: Report) -> Iterator[Row]:
    paths = {chart.id: chart.path for chart in report.charts}
    for pair in report.duplicates:
        names = paths[pair.first], paths[pair.second]
        yield *names, f"{pair.offset_seconds:+.1f} s", clock(pair.shared_seconds), f"{1 - pair.wrong_bits:.0%}"


def shares(report: Report, label: str) -> Iterator[Row]:
    """A song of several genres counts in each, so that their shares may make more than 100 %."""
    for name, count, seconds in report.labels[label]:
        yield visible(name) or "(none)", str(count), f"{seconds / 60:.1f}", f"{seconds / report.seconds:.0%}"


def spellings(report: Report) -> Iterator[Row]:
    for label, names, merged in report.spellings:
        yield label, " | ".join(map(visible, names)), "one name" if merged else f"{len(names)} names: choose one"


def lyrics(report: Report) -> Iterator[Row]:
    for chart in report.sung:
        rates = f"{chart.words / chart.checkup.seconds:.2f}", f"{chart.characters / chart.checkup.seconds:.1f}"
        yield chart.path, chart.language, chart.script, *rates, f"{chart.timed_words} of {chart.words}"


def characters(report: Report) -> Iterator[Row]:
    for name, letters in report.unknown.items():
        if letters:
            yield name, str(len(letters)), listed((letter.character, letter.times) for letter in letters[:MOST_LETTERS])


def songs(report: Report) -> Iterator[Row]:
    """Those with most findings first."""
    for chart in sorted(report.charts, key=lambda chart: (-len(chart.findings), chart.path)):
        checkup, found = chart.checkup, "; ".join(finding.text for finding in chart.findings)
        yield chart.path, chart.verdict, clock(checkup.seconds), f"{checkup.loudness_decibels:.1f} dB", found


def listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)


def visible(name: str) -> str:
    """With escapes where two names may look the same."""
    return name if unicodedata.is_normalized("NFC", name) else ascii(name)[1:-1]


def clock(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
