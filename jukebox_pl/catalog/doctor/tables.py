"""A report in words: as advice in sentences, and as tables of text for the terminal and for the page."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median
from typing import NamedTuple

from jukebox_pl.catalog.doctor.checks import FIXES
from jukebox_pl.catalog.doctor.report import KEPT, LEARNED, WARNED, Report

MOST_ROWS = 20
MOST_LETTERS = 40
WANTED = (*LEARNED, "license")

Row = tuple[str, ...]


class Table(NamedTuple):
    """`rows` hold a text for each of `columns`; `more` of them were left out."""

    title: str
    columns: Row
    rows: list[Row]
    more: int = 0


def advice(report: Report) -> list[str]:
    """What a catalog as a whole calls for, the most important sentence first."""
    counted = ", each recording counted once," if report.duplicates else ""
    sizes = [(report.unique_seconds, f"of music{counted}", report.size)]
    sizes += [(report.sung_seconds, "with lyrics", report.sung_size)] if report.sung else []
    said = []
    for seconds, of_what, size in sizes:
        length = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
        said.append(f"{length} {of_what} are enough for {size.enough_for}. This rests on: {size.evidence}.")
    missing = {label: sum(share.songs for share in report.labels[label] if not share.name) for label in WANTED}
    said += [f"{songs} of {len(report.songs)} songs have no {label}." for label, songs in missing.items() if songs]
    few = report.standards.few_songs
    for label in LEARNED:
        names = [share for share in report.labels[label] if share.name]
        if rare := sum(share.songs < few for share in names):
            of = f"{rare} of {len(names)} {label}s"
            said.append(f"{of} have fewer than {few} songs: they stand for songs, not for a style.")
    few = report.standards.rare_character
    letters = [letter.character for letter in report.letters if letter.times < few and not letter.character.isspace()]
    if letters:
        of = f"{len(letters)} of {len(report.letters)} characters of the lyrics"
        said.append(f"{of} occur fewer than {few} times and will not be learned: {' '.join(letters[:MOST_LETTERS])}")
    return said


def tables(report: Report, most_rows: int = MOST_ROWS) -> list[Table]:
    """Those that have rows, each with the first `most_rows` of them."""
    fixes: list[Row] = [(kind, str(songs), FIXES[kind]) for kind, songs in report.findings.most_common()]
    made = (
        Table("catalog", ("", ""), list(overview(report))),
        Table("findings", ("what", "songs", "what to do"), fixes),
        Table("same recordings", ("song", "is also", "begins at", "shared", "alike"), list(recordings(report))),
        *(Table(label, (label, "songs", "minutes", "share"), list(shares(report, label))) for label in report.labels),
        Table("spellings", ("label", "names", "in training"), list(spellings(report))),
        Table("lyrics", ("song", "language", "script", "words/s", "characters/s", "timed words"), list(lyrics(report))),
        Table("characters", ("vocabulary", "lacks", "with their counts"), list(characters(report))),
        Table("songs", ("song", "verdict", "length", "loudness", "findings"), list(songs(report))),
        Table("skipped", ("song", "why"), [(song["path"], song["reason"]) for song in report.skipped]),
    )
    return [
        table._replace(rows=table.rows[:most_rows], more=max(len(table.rows) - most_rows, 0)) for table in made if table.rows
    ]


def overview(report: Report) -> Iterator[Row]:
    verdicts = Counter(song.verdict for song in report.songs)
    yield "songs", f"{verdicts[KEPT]} kept, {verdicts[WARNED]} kept with warning, {len(report.skipped)} skipped"
    yield "music", clock(report.seconds) + (f", {clock(report.unique_seconds)} without copies" if report.duplicates else "")
    if lengths := [song.audio_stats.seconds for song in report.songs]:
        yield "length of a song", f"{clock(min(lengths))} to {clock(max(lengths))}, median {clock(median(lengths))}"
        yield "sample rates", listed((f"{rate} Hz", songs) for rate, songs in report.sample_rates.most_common())
        yield "with lyrics", f"{len(report.sung)} of {len(lengths)}, {report.sung_seconds / report.seconds:.0%} of the music"
        yield "with word times", f"{sum(song.timed_words > 0 for song in report.songs)} of {len(lengths)}"
        yield "characters of lyrics", str(len(report.letters))


def recordings(report: Report) -> Iterator[Row]:
    paths = {song.id: song.path for song in report.songs}
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
    for song in report.sung:
        seconds = song.audio_stats.seconds
        rates = f"{song.words / seconds:.2f}", f"{song.characters / seconds:.1f}"
        yield song.path, song.language, song.script, *rates, f"{song.timed_words} of {song.words}"


def characters(report: Report) -> Iterator[Row]:
    for name, letters in report.unknown.items():
        if letters:
            yield name, str(len(letters)), listed((letter.character, letter.times) for letter in letters[:MOST_LETTERS])


def songs(report: Report) -> Iterator[Row]:
    """Those with most findings first."""
    for song in sorted(report.songs, key=lambda song: (-len(song.findings), song.path)):
        stats, found = song.audio_stats, "; ".join(finding.text for finding in song.findings)
        yield song.path, song.verdict, clock(stats.seconds), f"{stats.loudness_decibels:.1f} dB", found


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
