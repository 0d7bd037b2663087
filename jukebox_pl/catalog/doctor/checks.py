"""What a song can have: in its sound, its channels, its lyrics and labels. Every kind of finding is a line of FIXES."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from jukebox_pl.catalog.doctor.examine import SILENCE_DECIBELS, AudioStats
from jukebox_pl.catalog.doctor.standards import Standards
from jukebox_pl.types import Song

INSTRUMENTAL = ("instrumental", "none", "zxx")  # zxx is ISO 639-2 for "no linguistic content"
# The scripts that languages are written in, each language by its English name and its ISO 639 codes.
LANGUAGES = {
    "latin": "basque eu eus baq, catalan ca cat, croatian hr hrv, czech cs ces cze, danish da dan, dutch nl nld dut, "
    "english en eng, esperanto eo epo, estonian et est, finnish fi fin, french fr fra fre, galician gl glg, "
    "german de deu ger, hungarian hu hun, icelandic is isl ice, indonesian id ind, irish ga gle, italian it ita, "
    "latin la lat, latvian lv lav, lithuanian lt lit, malay ms msa may, norwegian no nor nb nob nn nno, polish pl pol, "
    "portuguese pt por, romanian ro ron rum, slovak sk slk slo, slovenian sl slv, spanish es spa, swahili sw swa, "
    "swedish sv swe, tagalog tl tgl, turkish tr tur, vietnamese vi vie, welsh cy cym wel",
    "cyrillic": "belarusian be bel, bulgarian bg bul, macedonian mk mkd mac, russian ru rus, ukrainian uk ukr",
    "latin cyrillic": "serbian sr srp, kazakh kk kaz, uzbek uz uzb",
    "arabic": "arabic ar ara, persian fa fas per, urdu ur urd",
    "hebrew": "hebrew he heb, yiddish yi yid",
    "devanagari": "hindi hi hin, marathi mr mar, nepali ne nep, sanskrit sa san",
    "hiragana katakana cjk": "japanese ja jpn",
    "hangul cjk": "korean ko kor",
    "cjk": "chinese zh zho chi, mandarin cmn, cantonese yue",
    "greek": "greek el ell gre",
    "armenian": "armenian hy hye arm",
    "bengali": "bengali bn ben",
    "georgian": "georgian ka kat geo",
    "tamil": "tamil ta tam",
    "telugu": "telugu te tel",
    "thai": "thai th tha",
}
SCRIPTS = {name: scripts.split() for scripts, names in LANGUAGES.items() for name in names.replace(",", "").split()}


class ExaminedSong(NamedTuple):
    """A song that is kept: its `path` in the catalog, its `split`, what was measured, what had to be left out of it."""

    song: Song
    path: str
    audio_stats: AudioStats
    warnings: tuple[str, ...] = ()
    split: str = ""


@dataclass(frozen=True)
class Finding:
    """`kind` is a key of FIXES, `text` says what was found in this song."""

    kind: str
    text: str


OTHER_LYRICS = "compare the lyrics with the song: they may be those of another one"
SECTION_TAGS = "section tags"  # a warning that begins so is a finding of its own, and ends with their number
INCOMPLETE, SAME_RECORDING, SAME_LYRICS = "incomplete", "same recording", "same lyrics"
# What to do about each kind of finding, for all songs that have it.
FIXES = {
    "clipped": "look for a master that is not overdriven; what is cut off cannot be learned back",
    "silence": "cut it out: silence teaches silence, and lyric attention to wait",
    "silent start": "trim it: singing would begin with waiting",
    "silent end": "trim it, together with what may be hidden behind it",
    "off centre": "take out the constant (a high-pass filter at 20 Hz)",
    "quiet": "raise it: loud songs weigh more in the loss",
    "narrow band": "look for a better copy, or prepare with a lower sample_rate",
    "cancelling channels": "turn one channel over, or prepare with channels=2",
    "one-sided": "copy the good channel over the other one",
    "mono": "prepare with channels=1, or leave them out",
    "too many words": OTHER_LYRICS,
    "few words": OTHER_LYRICS,
    "no lyrics": "add the lyrics, or say language=instrumental: else voices without words are learned",
    "wrong script": "correct the language or the lyrics",
    "late words": "compare the word times with the song: they may be those of another version",
    SECTION_TAGS: "nothing, if [Verse 1] and the like are not sung; else prepare with sections=keep or tokens",
    INCOMPLETE: "mend what is named and prepare again",
    SAME_RECORDING: "keep one of them: copies are learned by heart, and held out they flatter the scores",
    SAME_LYRICS: OTHER_LYRICS,
}


def findings(examined: ExaminedSong, standards: Standards) -> Iterator[Finding]:
    """What one song has by itself."""
    for warning in examined.warnings:
        yield Finding(SECTION_TAGS if warning.startswith(SECTION_TAGS) else INCOMPLETE, warning)
    yield from check_sound(examined.audio_stats, standards)
    yield from check_channels(examined.audio_stats, standards)
    yield from check_lyrics(examined.song, examined.audio_stats.seconds, standards)


def check_sound(stats: AudioStats, standards: Standards) -> Iterator[Finding]:
    if stats.clipped_share > standards.clipped_share:
        yield Finding("clipped", f"{stats.clipped_share:.2%} of its samples are clipped")
    if stats.silent_share > standards.silent_share:
        yield Finding("silence", f"{stats.silent_share:.0%} of it is below {SILENCE_DECIBELS:.0f} dB")
    if stats.leading_silence_seconds > standards.edge_silence_seconds:
        yield Finding("silent start", f"begins with {stats.leading_silence_seconds:.1f} s of silence")
    if stats.trailing_silence_seconds > standards.edge_silence_seconds:
        yield Finding("silent end", f"ends with {stats.trailing_silence_seconds:.1f} s of silence")
    if stats.dc_offset > standards.dc_offset:
        yield Finding("off centre", f"its mean is {stats.dc_offset:.3f} of full scale, not 0")
    if stats.loudness_decibels < standards.loudness_decibels:
        yield Finding("quiet", f"its loudness is {stats.loudness_decibels:.0f} dB of full scale")
    if stats.bandwidth_hertz < standards.bandwidth_share * standards.sample_rate / 2:
        highest = f"{stats.bandwidth_hertz / 1000:.1f} kHz"
        yield Finding("narrow band", f"nothing above {highest} in a file of {stats.sample_rate} Hz")


def check_channels(stats: AudioStats, standards: Standards) -> Iterator[Finding]:
    if standards.channels == 1 and stats.mono_decibels < standards.mono_decibels:
        yield Finding("cancelling channels", f"its channels cancel: mixed to one they lose {-stats.mono_decibels:.0f} dB")
    if stats.channels == 2 and stats.quietest_channel_decibels < standards.quietest_channel_decibels:  # an LFE may be silent
        yield Finding("one-sided", f"one channel is {-stats.quietest_channel_decibels:.0f} dB below the other")
    if standards.channels == 2 and stats.mono_decibels > standards.same_decibels:
        yield Finding("mono", "mono, where stereo is asked for")


def check_lyrics(song: Song, seconds: float, standards: Standards) -> Iterator[Finding]:
    """Against the length of the song, its language and the times of its words."""
    words, characters = len(song.lyrics.split()) / seconds, len(song.lyrics) / seconds
    if words > standards.most_words_per_second or characters > standards.most_characters_per_second:
        yield Finding("too many words", f"{words:.1f} words and {characters:.0f} characters a second cannot be sung")
    if 0 < characters < standards.least_characters_per_second:
        yield Finding("few words", f"only {len(song.lyrics)} characters of lyrics in {seconds:.0f} s")
    if song.language and song.language.casefold() not in INSTRUMENTAL and not song.lyrics:
        yield Finding("no lyrics", f"labelled {song.language}, but without lyrics")
    expected, found = expected_scripts(song.language), script_shares(song.lyrics)
    if expected and found and sum(found.get(name, 0) for name in expected) < standards.expected_script_share:
        most, share = next(iter(found.items()))
        yield Finding("wrong script", f"labelled {song.language}, but {share:.0%} of the letters are {most}")
    end = max((word.end for word in song.words), default=0.0)
    if end > seconds + standards.late_words_seconds:
        yield Finding("late words", f"the last word ends at {end:.1f} s, the song at {seconds:.1f} s")


def expected_scripts(language: str) -> list[str]:
    """The scripts of a language, by its English name or ISO 639 code (`en-GB` too); none when it is not known."""
    return SCRIPTS.get(language.strip().casefold().replace("_", "-").partition("-")[0], [])


def script_shares(text: str) -> dict[str, float]:
    """The scripts of the letters of a text, the most frequent first, with their shares."""
    found: Counter[str] = Counter()
    for character, count in Counter(unicodedata.normalize("NFKC", text)).items():
        if character.isalpha():
            # The first word of a letter's Unicode name is its script: CYRILLIC SMALL LETTER A, CJK UNIFIED IDEOGRAPH-4E00.
            name = unicodedata.name(character, "unnamed").replace("-", " ")
            found[name.partition(" ")[0].lower()] += count
    return {script: count / found.total() for script, count in found.most_common()}
