"""From songs and what was measured of them to a report on the catalog. It takes one pass and stops no song."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from jukebox_pl.catalog.doctor.checks import SAME_LYRICS, SAME_RECORDING, ExaminedSong, Finding, findings, script_shares
from jukebox_pl.catalog.doctor.duplicates import Duplicate, find_duplicates, group
from jukebox_pl.catalog.doctor.report import LABELS, LEARNED, Letter, Report, Share, SongReport, Spellings
from jukebox_pl.catalog.doctor.standards import Standards
from jukebox_pl.catalog.records import Skipped
from jukebox_pl.text.characters import RELEASED, normalize
from jukebox_pl.text.labels import UNKNOWN, fold

ALPHABETS = {"released v3": RELEASED["v3"]}
SHORTEST_TEXT = 40  # letters and digits; shorter texts are alike by chance


def diagnose(
    examined: Iterable[ExaminedSong],
    standards: Standards,
    skipped: Sequence[Skipped] = (),
    alphabets: Mapping[str, str] = ALPHABETS,
) -> Report:
    """`alphabets` are the characters of vocabularies to compare the lyrics with, by name.

    `skipped` is only passed on, and after the last of `examined`: it may grow while they go by. Of the lyrics only counts
    and digests stay in memory.
    """
    songs: dict[str, SongReport] = {}
    fingerprints: dict[str, str] = {}
    same_text: dict[bytes, list[str]] = defaultdict(list)
    times: Counter[str] = Counter()
    songs_with: Counter[str] = Counter()
    for song in examined:
        id, lyrics = song.song.id, song.song.lyrics
        songs[id], fingerprints[id] = report_song(song, standards), song.audio_stats.fingerprint
        characters = Counter(normalize(lyrics))  # as a vocabulary built from this catalog would see them
        times.update(characters)
        songs_with.update(characters.keys())
        plain = "".join(filter(str.isalnum, lyrics.casefold()))  # texts may differ in case, signs and blanks
        if len(plain) >= SHORTEST_TEXT:
            same_text[hashlib.sha256(plain.encode()).digest()].append(id)
    duplicates = find_duplicates(fingerprints)
    for id, finding in compare(songs, duplicates, same_text.values()):
        songs[id] = replace(songs[id], findings=(*songs[id].findings, finding))
    letters = tuple(Letter(character, count, songs_with[character]) for character, count in times.most_common())
    return Report(
        standards=standards,
        songs=tuple(songs.values()),
        skipped=tuple(skipped),
        duplicates=tuple(duplicates),
        labels={label: count_label(songs.values(), label) for label in LABELS},
        spellings=tuple(find_spellings(songs.values())),
        letters=letters,
        unknown={name: tuple(each for each in letters if each.character not in known) for name, known in alphabets.items()},
    )


def report_song(examined: ExaminedSong, standards: Standards) -> SongReport:
    """What one song has by itself."""
    song = examined.song
    return SongReport(
        id=song.id,
        path=examined.path,
        split=examined.split,
        title=song.title,
        artist=song.artist,
        genres=song.genres,
        language=song.language,
        license=song.license,
        script=next(iter(script_shares(song.lyrics)), ""),
        characters=len(song.lyrics),
        words=len(song.lyrics.split()),
        timed_words=len(song.words),
        audio_stats=replace(examined.audio_stats, fingerprint=""),  # 22 bytes a second, kept once
        findings=tuple(findings(examined, standards)),
    )


def compare(
    songs: Mapping[str, SongReport], duplicates: Sequence[Duplicate], same_text: Iterable[Sequence[str]]
) -> Iterator[tuple[str, Finding]]:
    """What songs have in common with others, by id: recordings, and lyrics where the recordings are different ones."""
    for pair in duplicates:
        first, second = songs[pair.first], songs[pair.second]
        across = f", one in {first.split} and one in {second.split}" if first.split != second.split else ""
        for song, other in ((first, second), (second, first)):
            yield song.id, Finding(SAME_RECORDING, f"shares {pair.shared_seconds:.0f} s with {other.path}{across}")
    recording = {id: number for number, ids in enumerate(group(duplicates)) for id in ids}
    for ids in same_text:
        for id in ids:
            here = recording.get(id, id)
            stranger = next((each for each in ids if recording.get(each, each) != here), None)
            if stranger is not None:
                yield id, Finding(SAME_LYRICS, f"its lyrics are those of {songs[stranger].path}")


def count_label(songs: Iterable[SongReport], label: str) -> tuple[Share, ...]:
    """The share of each name, as vocabularies tell them apart, the one with most music first."""
    shares: dict[str, Share] = {}
    for song in songs:
        for name in song.names(label):
            key = fold(name) if fold(name) != UNKNOWN else ""
            share = shares.get(key, Share(name if key else "", 0, 0.0))
            shares[key] = Share(share.name, share.songs + 1, share.seconds + song.audio_stats.seconds)
    return tuple(sorted(shares.values(), key=lambda share: (-share.seconds, share.name)))


def find_spellings(songs: Iterable[SongReport]) -> Iterator[Spellings]:
    """Names of artists and genres that a reader would take for one."""
    spelt: dict[tuple[str, str], set[str]] = defaultdict(set)
    for song in songs:
        for label in LEARNED:
            for name in song.names(label):
                spelt[label, fold(unicodedata.normalize("NFKC", name))].add(name)
    for (label, _), names in spelt.items():
        if len(names) > 1:
            yield Spellings(label, tuple(sorted(names)), merged=len({fold(name) for name in names}) == 1)
