"""What a song can have: every check is a function that says what it finds, and a line of the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from jukebox_pl.catalog.doctor import scripts
from jukebox_pl.catalog.doctor.examine import SILENCE_DECIBELS, Checkup
from jukebox_pl.catalog.doctor.standards import Standards
from jukebox_pl.types import Song

INSTRUMENTAL = ("instrumental", "none", "zxx")


class Patient(NamedTuple):
    """A song that is kept: its `path` in the catalog, its `split`, what was measured, what had to be left out of it."""

    song: Song
    path: str
    checkup: Checkup
    warnings: tuple[str, ...] = ()
    split: str = ""


class Finding(NamedTuple):
    """`kind` is a key of REMEDIES, `text` says what was found in this song."""

    kind: str
    text: str


def clipped(song: Song, checkup: Checkup, standards: Standards) -> str:
    share = checkup.clipped_share
    return f"{share:.2%} of its samples are clipped" if share > standards.clipped_share else ""


def silent(song: Song, checkup: Checkup, standards: Standards) -> str:
    share = checkup.silent_share
    return f"{share:.0%} of it is below {SILENCE_DECIBELS:.0f} dB" if share > standards.silent_share else ""


def silent_start(song: Song, checkup: Checkup, standards: Standards) -> str:
    seconds = checkup.leading_silence_seconds
    return f"begins with {seconds:.1f} s of silence" if seconds > standards.edge_silence_seconds else ""


def silent_end(song: Song, checkup: Checkup, standards: Standards) -> str:
    seconds = checkup.trailing_silence_seconds
    return f"ends with {seconds:.1f} s of silence" if seconds > standards.edge_silence_seconds else ""


def off_centre(song: Song, checkup: Checkup, standards: Standards) -> str:
    offset = checkup.dc_offset
    return f"its mean is {offset:.3f} of full scale, not 0" if offset > standards.dc_offset else ""


def quiet(song: Song, checkup: Checkup, standards: Standards) -> str:
    loudness = checkup.loudness_decibels
    return f"its loudness is {loudness:.0f} dB of full scale" if loudness < standards.loudness_decibels else ""


def narrow(song: Song, checkup: Checkup, standards: Standards) -> str:
    highest = checkup.bandwidth_hertz
    found = f"nothing above {highest / 1000:.1f} kHz in a file of {checkup.sample_rate} Hz"
    return found if highest < standards.bandwidth_share * standards.sample_rate / 2 else ""


def cancelling(song: Song, checkup: Checkup, standards: Standards) -> str:
    lost = standards.channels == 1 and checkup.mono_decibels < standards.mono_decibels
    return f"its channels cancel: mixed to one they lose {-checkup.mono_decibels:.0f} dB" if lost else ""


def one_sided(song: Song, checkup: Checkup, standards: Standards) -> str:
    level = checkup.quietest_channel_decibels
    return f"one channel is {-level:.0f} dB below the other" if level < standards.quietest_channel_decibels else ""


def doubled(song: Song, checkup: Checkup, standards: Standards) -> str:
    same = standards.channels == 2 and checkup.mono_decibels > standards.same_decibels
    return "mono, where stereo is asked for" if same else ""


def hurried(song: Song, checkup: Checkup, standards: Standards) -> str:
    words, characters = len(song.lyrics.split()) / checkup.seconds, len(song.lyrics) / checkup.seconds
    too_many = words > standards.most_words_per_second or characters > standards.most_characters_per_second
    return f"{words:.1f} words and {characters:.0f} characters a second cannot be sung" if too_many else ""


def scant(song: Song, checkup: Checkup, standards: Standards) -> str:
    characters = len(song.lyrics) / checkup.seconds
    few = 0 < characters < standards.least_characters_per_second
    return f"only {len(song.lyrics)} characters of lyrics in {checkup.seconds:.0f} s" if few else ""


def unsung(song: Song, checkup: Checkup, standards: Standards) -> str:
    sung = song.language and song.language.casefold() not in INSTRUMENTAL
    return f"labelled {song.language}, but without lyrics" if sung and not song.lyrics else ""


def foreign(song: Song, checkup: Checkup, standards: Standards) -> str:
    expected, found = scripts.expected(song.language), scripts.shares(song.lyrics)
    if not expected or not found or sum(found.get(name, 0) for name in expected) >= standards.expected_script_share:
        return ""
    most, share = next(iter(found.items()))
    return f"labelled {song.language}, but {share:.0%} of the letters are {most}"


def overrun(song: Song, checkup: Checkup, standards: Standards) -> str:
    end = max((word.end for word in song.words), default=0.0)
    found = f"the last word ends at {end:.1f} s, the song at {checkup.seconds:.1f} s"
    return found if end > checkup.seconds + standards.late_words_seconds else ""


class Check(NamedTuple):
    """`look` returns what it finds, "" where all is well; `remedy` is for all songs that have it."""

    kind: str
    look: Callable[[Song, Checkup, Standards], str]
    remedy: str


OTHER_LYRICS = "compare the lyrics with the song: they may be those of another one"
CHECKS = (
    Check("clipped", clipped, "look for a master that is not overdriven; what is cut off cannot be learned back"),
    Check("silence", silent, "cut it out: silence teaches silence, and lyric attention to wait"),
    Check("silent start", silent_start, "trim it: singing would begin with waiting"),
    Check("silent end", silent_end, "trim it, together with what may be hidden behind it"),
    Check("off centre", off_centre, "take out the constant (a high-pass filter at 20 Hz)"),
    Check("quiet", quiet, "raise it: loud songs weigh more in the loss"),
    Check("narrow band", narrow, "look for a better copy, or prepare with a lower sample_rate"),
    Check("cancelling channels", cancelling, "turn one channel over, or prepare with channels=2"),
    Check("one-sided", one_sided, "copy the good channel over the other one"),
    Check("mono", doubled, "prepare with channels=1, or leave them out"),
    Check("too many words", hurried, OTHER_LYRICS),
    Check("few words", scant, OTHER_LYRICS),
    Check("no lyrics", unsung, "add the lyrics, or say language=instrumental: else voices without words are learned"),
    Check("wrong script", foreign, "correct the language or the lyrics"),
    Check("late words", overrun, "compare the word times with the song: they may be those of another version"),
)
INCOMPLETE, SAME_RECORDING, SAME_LYRICS = "incomplete", "same recording", "same lyrics"
REMEDIES = {check.kind: check.remedy for check in CHECKS} | {
    INCOMPLETE: "mend what is named and prepare again",
    SAME_RECORDING: "keep one of them: copies are learned by heart, and held out they flatter the scores",
    SAME_LYRICS: OTHER_LYRICS,
}


def findings(patient: Patient, standards: Standards) -> Iterator[Finding]:
    """What one song has by itself."""
    for warning in patient.warnings:
        yield Finding(INCOMPLETE, warning)
    for check in CHECKS:
        if found := check.look(patient.song, patient.checkup, standards):
            yield Finding(check.kind, found)
