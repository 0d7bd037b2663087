"""SubRip (.srt) and WebVTT (.vtt): cues of lines, in VTT also with times of words."""

from __future__ import annotations

import html
import re

from jukebox_pl.catalog.word_times.timed import Line, TimedLyrics, spread
from jukebox_pl.errors import UserError

TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2}[.,]\d{1,6})"
CUE = re.compile(rf"^\s*{TIME}\s*-->\s*{TIME}", re.MULTILINE)
WORD_TIME = re.compile(rf"<{TIME}>")
STYLE = re.compile(r"<[^<>]*>|\{\\[^}]*\}")  # <i>, <c.green>, <v Ann>, {\an8}
SINGER = re.compile(r"^(?:-\s+|[A-Z][A-Z .]+:\s+)")  # a dash or a name in capitals before who sings


def read_subtitles(text: str) -> TimedLyrics:
    """A line of a cue that repeats the last one of the cue before, as captions that roll do, is taken once.

    Raises UserError when there is no cue.
    """
    lines: list[Line] = []
    before = ""
    for block in re.split(r"\n\s*\n", text):
        if not (cue := CUE.search(block)):
            continue
        start, end = seconds(*cue.groups()[:3]), seconds(*cue.groups()[3:])
        written = [line for line in block[cue.end() :].split("\n")[1:] if line.strip()]
        if len(written) > 1 and plain(written[0]) == before:
            written = written[1:]
        before = plain(written[-1]) if written else ""
        share, total = 0, sum(len(plain(line)) for line in written) or 1
        for line in written:
            anchors, sung = {}, ""
            for at, piece in enumerate(WORD_TIME.split(line)):
                if at % 4 == 0:
                    sung += STYLE.sub("", html.unescape(piece))
                elif at % 4 == 3:
                    hours, minutes, secs = WORD_TIME.findall(line)[at // 4]
                    anchors[len(sung)] = seconds(hours, minutes, secs)
            sung, shift = sung.rstrip(), len(sung) - len(sung.lstrip())
            begins, share = start + (end - start) * share / total, share + len(sung)
            ends = start + (end - start) * min(share / total, 1)
            anchors = {max(at - shift, 0): time for at, time in anchors.items() if start <= time <= end}
            lines.append(
                Line(min([begins, *anchors.values()]), SINGER.sub("", sung.strip()), {**anchors, len(sung.strip()): ends})
            )
    if not lines:
        raise UserError("no cue with times, as 00:00:01,000 --> 00:00:02,500")
    return spread(lines)


def plain(line: str) -> str:
    return " ".join(STYLE.sub("", line).split())


def seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
