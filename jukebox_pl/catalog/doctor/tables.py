"""A report in words: as advice in sentences, and as tables of text for the terminal and for the page."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from jukebox_pl.catalog.doctor.checks import FIXES, SECTION_TAGS
from jukebox_pl.catalog.doctor.report import KEPT, LEARNED, WARNED, Report
from jukebox_pl.catalog.doctor.standards import SIZES, SUNG_SIZES, Size, judge

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
    parts: list[tuple[float, str, Sequence[Size]]] = [(report.unique_seconds, f"of music{counted}", SIZES)]
    parts += [(report.sung_seconds, "with lyrics", SUNG_SIZES)] if report.sung else []
    said = []
    for seconds, of_what, sizes in parts:
        size = judge(seconds / 3600, sizes)
        length = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
        said.append(f"{length} {of_what} are enough for {size.enough_for}. This rests on: {size.evidence}.")
    missing = {label: sum(share.songs for share in report.labels[label] if not share.name) for label in WANTED}
    said += [f"{songs} of {len(report.songs)} songs have no {label}." for label, songs in missing.items() if songs]
    tags = [finding.text for song in report.songs for finding in song.findings if finding.kind == SECTION_TAGS]
    if tags:
        count = sum(int(text.rpartition(" ")[2]) for text in tags)
        said.append(f"{count} section tags and the like were left out of the lyrics of {len(tags)} songs.")
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
    made = (
        Table("catalog", ("", ""), list(overview(report))),
        *finding_tables(report),
        *label_tables(report),
        *lyrics_tables(report),
        *song_tables(report),
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
        rates = Counter(song.audio_stats.sample_rate for song in report.songs)
        yield "sample rates", ", ".join(f"{rate} Hz {songs}" for rate, songs in rates.most_common())
        yield "with lyrics", f"{len(report.sung)} of {len(lengths)}, {report.sung_seconds / report.seconds:.0%} of the music"
        yield "with word times", f"{sum(song.timed_words > 0 for song in report.songs)} of {len(lengths)}"
        yield "characters of lyrics", str(len(report.letters))


def finding_tables(report: Report) -> Iterator[Table]:
    fixes: list[Row] = [(kind, str(songs), FIXES[kind]) for kind, songs in report.findings.most_common()]
    yield Table("findings", ("what", "songs", "what to do"), fixes)
    paths = {song.id: song.path for song in report.songs}
    copies: list[Row] = []
    for pair in report.duplicates:
        begins, alike = f"{pair.offset_seconds:+.1f} s", f"{1 - pair.wrong_bits:.0%}"
        copies.append((paths[pair.first], paths[pair.second], begins, clock(pair.shared_seconds), alike))
    yield Table("same recordings", ("song", "is also", "begins at", "shared", "alike"), copies)


def label_tables(report: Report) -> Iterator[Table]:
    """A song of several genres counts in each, so that their shares may make more than 100 %."""
    for label, shares in report.labels.items():
        rows: list[Row] = []
        for share in shares:
            minutes, part = f"{share.seconds / 60:.1f}", f"{share.seconds / report.seconds:.0%}"
            rows.append((visible(share.name) or "(none)", str(share.songs), minutes, part))
        yield Table(label, (label, "songs", "minutes", "share"), rows)
    spellings: list[Row] = []
    for each in report.spellings:
        in_training = "one name" if each.merged else f"{len(each.names)} names: choose one"
        spellings.append((each.label, " | ".join(map(visible, each.names)), in_training))
    yield Table("spellings", ("label", "names", "in training"), spellings)


def lyrics_tables(report: Report) -> Iterator[Table]:
    lyrics: list[Row] = []
    for song in report.sung:
        seconds = song.audio_stats.seconds
        rates = f"{song.words / seconds:.2f}", f"{song.characters / seconds:.1f}"
        lyrics.append((song.path, song.language, song.script, *rates, f"{song.timed_words} of {song.words}"))
    yield Table("lyrics", ("song", "language", "script", "words/s", "characters/s", "timed words"), lyrics)
    lacking: list[Row] = []
    for name, letters in report.unknown.items():
        counts = ", ".join(f"{letter.character} {letter.times}" for letter in letters[:MOST_LETTERS])
        lacking += [(name, str(len(letters)), counts)] if letters else []
    yield Table("characters", ("vocabulary", "lacks", "with their counts"), lacking)


def song_tables(report: Report) -> Iterator[Table]:
    """The songs with most findings first."""
    songs: list[Row] = []
    for song in sorted(report.songs, key=lambda song: (-len(song.findings), song.path)):
        stats, found = song.audio_stats, "; ".join(finding.text for finding in song.findings)
        songs.append((song.path, song.verdict, clock(stats.seconds), f"{stats.loudness_decibels:.1f} dB", found))
    yield Table("songs", ("song", "verdict", "length", "loudness", "findings"), songs)
    yield Table("skipped", ("song", "why"), [(song["path"], song["reason"]) for song in report.skipped])
    files: list[Row] = [(each["kind"], str(each["files"]), ", ".join(each["such_as"])) for each in report.passed_over]
    yield Table("passed over", ("kind", "files", "such as"), files)
    yield Table("notes", ("of the catalog",), [(note,) for note in report.notes])


def visible(name: str) -> str:
    """With escapes where two names may look the same."""
    return name if unicodedata.is_normalized("NFC", name) else ascii(name)[1:-1]


def clock(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
