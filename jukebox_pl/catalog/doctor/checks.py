"""What a song can have: every check is a function that says what it finds, and a line of CHECKS."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
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


class Finding(NamedTuple):
    """`kind` is a key of FIXES, `text` says what was found in this song."""

    kind: str
    text: str


def clipped(song: Song, stats: AudioStats, standards: Standards) -> str:
    share = stats.clipped_share
    return f"{share:.2%} of its samples are clipped" if share > standards.clipped_share else ""


def silence(song: Song, stats: AudioStats, standards: Standards) -> str:
    share = stats.silent_share
    return f"{share:.0%} of it is below {SILENCE_DECIBELS:.0f} dB" if share > standards.silent_share else ""


def silent_start(song: Song, stats: AudioStats, standards: Standards) -> str:
    seconds = stats.leading_silence_seconds
    return f"begins with {seconds:.1f} s of silence" if seconds > standards.edge_silence_seconds else ""


def silent_end(song: Song, stats: AudioStats, standards: Standards) -> str:
    seconds = stats.trailing_silence_seconds
    return f"ends with {seconds:.1f} s of silence" if seconds > standards.edge_silence_seconds else ""


def dc_offset(song: Song, stats: AudioStats, standards: Standards) -> str:
    offset = stats.dc_offset
    return f"its mean is {offset:.3f} of full scale, not 0" if offset > standards.dc_offset else ""


def quiet(song: Song, stats: AudioStats, standards: Standards) -> str:
    loudness = stats.loudness_decibels
    return f"its loudness is {loudness:.0f} dB of full scale" if loudness < standards.loudness_decibels else ""


def narrow_band(song: Song, stats: AudioStats, standards: Standards) -> str:
    highest = stats.bandwidth_hertz
    found = f"nothing above {highest / 1000:.1f} kHz in a file of {stats.sample_rate} Hz"
    return found if highest < standards.bandwidth_share * standards.sample_rate / 2 else ""


def cancelling_channels(song: Song, stats: AudioStats, standards: Standards) -> str:
    lost = standards.channels == 1 and stats.mono_decibels < standards.mono_decibels
    return f"its channels cancel: mixed to one they lose {-stats.mono_decibels:.0f} dB" if lost else ""


def one_sided(song: Song, stats: AudioStats, standards: Standards) -> str:
    level = stats.quietest_channel_decibels
    return f"one channel is {-level:.0f} dB below the other" if level < standards.quietest_channel_decibels else ""


def mono(song: Song, stats: AudioStats, standards: Standards) -> str:
    same = standards.channels == 2 and stats.mono_decibels > standards.same_decibels
    return "mono, where stereo is asked for" if same else ""


def too_many_words(song: Song, stats: AudioStats, standards: Standards) -> str:
    words, characters = len(song.lyrics.split()) / stats.seconds, len(song.lyrics) / stats.seconds
    too_many = words > standards.most_words_per_second or characters > standards.most_characters_per_second
    return f"{words:.1f} words and {characters:.0f} characters a second cannot be sung" if too_many else ""


def few_words(song: Song, stats: AudioStats, standards: Standards) -> str:
    characters = len(song.lyrics) / stats.seconds
    few = 0 < characters < standards.least_characters_per_second
    return f"only {len(song.lyrics)} characters of lyrics in {stats.seconds:.0f} s" if few else ""


def no_lyrics(song: Song, stats: AudioStats, standards: Standards) -> str:
    sung = song.language and song.language.casefold() not in INSTRUMENTAL
    return f"labelled {song.language}, but without lyrics" if sung and not song.lyrics else ""


def wrong_script(song: Song, stats: AudioStats, standards: Standards) -> str:
    expected, found = expected_scripts(song.language), script_shares(song.lyrics)
    if not expected or not found or sum(found.get(name, 0) for name in expected) >= standards.expected_script_share:
        return ""
    most, share = next(iter(found.items()))
    return f"labelled {song.language}, but {share:.0%} of the letters are {most}"


def late_words(song: Song, stats: AudioStats, standards: Standards) -> str:
    end = max((word.end for word in song.words), default=0.0)
    found = f"the last word ends at {end:.1f} s, the song at {stats.seconds:.1f} s"
    return found if end > stats.seconds + standards.late_words_seconds else ""


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


class Check(NamedTuple):
    """`find` returns what it found, "" where all is well; `fix` is for all songs that have it."""

    kind: str
    find: Callable[[Song, AudioStats, Standards], str]
    fix: str


OTHER_LYRICS = "compare the lyrics with the song: they may be those of another one"
CHECKS = (
    Check("clipped", clipped, "look for a master that is not overdriven; what is cut off cannot be learned back"),
    Check("silence", silence, "cut it out: silence teaches silence, and lyric attention to wait"),
    Check("silent start", silent_start, "trim it: singing would begin with waiting"),
    Check("silent end", silent_end, "trim it, together with what may be hidden behind it"),
    Check("off centre", dc_offset, "take out the constant (a high-pass filter at 20 Hz)"),
    Check("quiet", quiet, "raise it: loud songs weigh more in the loss"),
    Check("narrow band", narrow_band, "look for a better copy, or prepare with a lower sample_rate"),
    Check("cancelling channels", cancelling_channels, "turn one channel over, or prepare with channels=2"),
    Check("one-sided", one_sided, "copy the good channel over the other one"),
    Check("mono", mono, "prepare with channels=1, or leave them out"),
    Check("too many words", too_many_words, OTHER_LYRICS),
    Check("few words", few_words, OTHER_LYRICS),
    Check("no lyrics", no_lyrics, "add the lyrics, or say language=instrumental: else voices without words are learned"),
    Check("wrong script", wrong_script, "correct the language or the lyrics"),
    Check("late words", late_words, "compare the word times with the song: they may be those of another version"),
)
INCOMPLETE, SAME_RECORDING, SAME_LYRICS = "incomplete", "same recording", "same lyrics"
FIXES = {check.kind: check.fix for check in CHECKS} | {
    INCOMPLETE: "mend what is named and prepare again",
    SAME_RECORDING: "keep one of them: copies are learned by heart, and held out they flatter the scores",
    SAME_LYRICS: OTHER_LYRICS,
}


def findings(examined: ExaminedSong, standards: Standards) -> Iterator[Finding]:
    """What one song has by itself."""
    for warning in examined.warnings:
        yield Finding(INCOMPLETE, warning)
    for check in CHECKS:
        if found := check.find(examined.song, examined.audio_stats, standards):
            yield Finding(check.kind, found)
