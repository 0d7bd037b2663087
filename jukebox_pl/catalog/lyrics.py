"""The lyrics of a song and the times of its words, from the files beside it or from its tags."""

from __future__ import annotations

from jukebox_pl.catalog.doctor.checks import SECTION_TAGS
from jukebox_pl.catalog.sources import Source
from jukebox_pl.catalog.word_times.formats import read_timed
from jukebox_pl.catalog.word_times.tags import lyrics_of_tags
from jukebox_pl.catalog.word_times.timed import TimedLyrics, fit
from jukebox_pl.errors import UserError
from jukebox_pl.text.files import read_text_file
from jukebox_pl.text.sections import STRIP, sung_text
from jukebox_pl.types import Word


def read_text(source: Source, sections: str = STRIP) -> tuple[str, tuple[Word, ...], tuple[str, ...]]:
    """Lyrics, times of their words, and warnings of what had to be left out or repaired.

    A file of word times counts before times in the lyrics' own file. Where there are no lyrics they come from the word
    times, else from the song's tags. What is not sung is left out, by the rule `sections` (see `sung_text`).
    """
    warnings: list[str] = []
    written, times = TimedLyrics(source.text), TimedLyrics("")
    if source.lyrics:
        written = read_or_warn(source, source.lyrics, "lyrics", warnings)
    if source.words and source.words != source.lyrics:
        times = read_or_warn(source, source.words, "word times", warnings)
    if not written.lyrics.strip():
        written = times if times.lyrics else lyrics_of_tags(source.file(source.path))
    sung = sung_text(written.lyrics, sections)
    if sung.tags + sung.debris:
        warnings.append(f"{SECTION_TAGS} and the like left out of the lyrics: {sung.tags + sung.debris}")
    for name, words in ((source.words, times.words), (source.lyrics or "its tags", written.words)):
        if words and sung.text.strip():
            try:
                fitted = fit(words, sung.text, written.lyrics)
            except UserError as error:
                warnings.append(f"word times left out: {name} {error}")
                continue
            return sung.text, fitted.words, (*warnings, *(f"{name}: {note}" for note in fitted.notes))
    return sung.text, (), tuple(warnings)


def read_or_warn(source: Source, name: str, what: str, warnings: list[str]) -> TimedLyrics:
    """What the file `name` of the catalog holds, nothing where it cannot be used; the reason goes to `warnings`."""
    try:
        text, warning = read_text_file(source.file(name))
        found = read_timed(text, name, is_times=what == "word times")
    except (UserError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        warnings.append(f"{what} left out: {name}: {reason}")
        return TimedLyrics("")
    warnings += [f"{name} {warning}"] if warning else []
    warnings += [f"{name}: {note}" for note in found.notes]
    return found
