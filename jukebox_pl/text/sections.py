"""What of a lyrics file is not sung: section tags, repeat marks, and what web pages leave in it."""

from __future__ import annotations

import re
from typing import NamedTuple

STRIP, KEEP, TOKENS = SECTIONS = ("strip", "keep", "tokens")
LONGEST_LINE = 1000  # what is longer is no tag, and slow to be searched for one
SECTION_MARK = "§"  # a section tag as one character of the vocabulary

# Zero width, soft hyphen, direction marks, variants of emoji; joiners only where no Arabic or Indic letter needs them.
INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufe0e\ufe0f\ufeff]|(?<![\u0600-\u0dff])[\u200c\u200d]"
)
NOTES = re.compile("[\u2669-\u266c]|\U0001f3b5|\U0001f3b6")  # ♩♪♫♬🎵🎶
PARTS = (  # nothing that is sung stands alone in a line under these names
    r"verse|chorus|(?:pre|post)[\s-]?chorus|bridge|refrain|intro(?:duction)?|outro|interlude|coda|"
    r"strophe|vers|refrão|ponte|verso|coro|pre-?coro|estribillo|estrofa|puente|couplet|pont|ritornello|strofa|zwrotka|refren|"
    r"nakarat|kıta|куплет|припев|бридж|проигрыш|вступление|主歌|副歌|前奏|间奏|間奏|尾奏|サビ|[AB]メロ|후렴|간주|절"
)
OTHERS = (
    r"hook|solo|break(?:down)?|drop|instrumental|instrumental break|part|skit|spoken(?: word)?|repeat|fade(?:s)?(?: out)?|"
    r"(?:guitar|piano|sax|drum|bass|violin|keyboard|synth|organ|harmonica) (?:solo|break|interlude|riff)|vamp|tag|end|"
    r"ending|all|both|music|applause|laughter|laughs|whispered|humming|scat|ad[\s-]?libs?"
)
TIMES = r"(?:[x×*]\s?\d+|\d+\s?[x×*](?!\w)|\d+ times|repeat(?:s)?(?: \d+)?|bis)"
NUMBER = r"(?:[\s.#]*(?:\d+|[ivx]{1,4}|[a-c]|one|two|three|four))?"
PART = rf"(?:{PARTS}|{OTHERS}){NUMBER}(?:[\s,/&+-]*(?:{PARTS}|{OTHERS}|{TIMES}){NUMBER})*"
TAG = re.compile(rf"(?:{PART}|{TIMES})(?:\s*[:：\-–—(].*)?|[^:：]*[:：]", re.IGNORECASE)
SQUARE = re.compile(r"\[([^\[\]\n]*)\]|【([^】\n]*)】")
ROUND = re.compile(rf"[({{<（]\s*((?:{PART}|{TIMES})(?:\s*[:：]\s*[^)}}]*)?)\s*[)}}>）]", re.IGNORECASE)
# A line of nothing else; its first letter is a capital or a colon ends it, as "bridge" alone may be sung.
BARE = re.compile(
    rf"[\s*#=~_–—-]*(?:(?:{PARTS}){NUMBER}(?:\s*\(?{TIMES}\)?)?\s*[:：]?|{PART}\s*[:：])[\s*#=~_–—-]*", re.IGNORECASE
)
TRAILING = re.compile(rf"(?<=[^\W\d])[\s,]+(?:[x×]\s?\d+|\d+\s?[x×])\s*$|\s*/\s*{TIMES}\s*$", re.IGNORECASE)
VOCALISE = re.compile(
    r"(?:(?:[ou]++h*+|a++h++|la|na|da|doo|hey|yeah|hm++|m++|wo++a*+h*+|sha|ba|ha|ey|ay)[\s,!.…-]*+)++", re.IGNORECASE
)

# Lines that no singer wrote; what is matched goes.
CREDITS = (
    r"(?:lyrics|words|music|written|composed|produced|arranged|performed|submitted|corrected|transcribed|translated|uploaded)"
    r"(?: (?:and|&) \w+)? (?:by|from|courtesy of):?\s+(?-i:[^\Wa-z]).*|"
    r"(?:source|quelle|fuente|lyrics|lyricist|composer|songwriters?|writers?|writer\(s\)|producers?|artist|title|album|track|"
    r"copyright|publisher|label|genre|year|released?|作词|作詞|作曲|编曲|編曲|制作人|歌手|专辑|词|詞|曲|作词/作曲)\s*[:：].*"
)
DEBRIS = re.compile(
    rf"\s*(?:{CREDITS}|(?:https?://|www\.)\S+|©.*|\(c\) ?\d{{4}}.*|all rights reserved.*|you might also like|\d*embed\d*|"
    r"(?:see .{1,60} live\s*)?get tickets as low as .*|lyrics (?:licensed|powered|provided|©).*|\*+ ?this lyrics is not .*|"
    r"(?:embed\d*)?you might also like|more on genius|share url|copy embed|\(\d{10,}\)|read more|how to format lyrics:?)\s*",
    re.IGNORECASE,
)
HEAD = re.compile(
    r"\s*(?:\d+ contributors?.*?\blyrics(?=$|\[|[A-Z(])|\d+ contributors?\s*$|[^\n]{1,80} Lyrics\s*$)", re.IGNORECASE
)
TAIL = re.compile(r"(?:you might also like)?\d*Embed\s*$|(?<=\w)You might also like\s*$")


class SungText(NamedTuple):
    """`tags` section tags and repeat marks, and `debris` other lines, were left out of `text`, or became marks."""

    text: str
    tags: int = 0
    debris: int = 0


def sung_text(text: str, sections: str = STRIP) -> SungText:
    """What is sung of a text. `sections` "keep" takes out nothing but invisible characters and signs of notes; "tokens"
    leaves a line of SECTION_MARK in the place of every section tag, "strip" nothing.
    """
    text = NOTES.sub("", INVISIBLE.sub("", text))
    if sections == KEEP:
        return SungText(text)
    sung, debris, tags = [], 0, 0
    lines = text.splitlines()
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)  # the song's title may stand there
    for at, line in enumerate(lines):
        if len(line) > LONGEST_LINE:
            sung.append(line)
            continue
        kept = HEAD.sub("", line, count=1) if at == first and re.search("[Ll]yrics|[Cc]ontributor", line) else line
        kept = TAIL.sub("", kept)
        if DEBRIS.fullmatch(kept):
            kept = ""
        debris += kept != line
        kept, found = without_tags(kept)
        tags += found
        if found and sections == TOKENS and not kept.strip():
            sung.append(SECTION_MARK)
        if kept.strip() or not line.strip():
            sung.append(kept)
    return SungText("\n".join(sung).strip("\n") if debris or tags else text, tags, debris)


def without_tags(line: str) -> tuple[str, int]:
    """A line without its section tags, and their number."""
    if BARE.fullmatch(line) and not line.strip()[:1].islower():
        return "", 1
    found = 0

    def take(match: re.Match[str]) -> str:
        nonlocal found
        inside = next(filter(None, match.groups()), "").strip()
        alone = match[0] == line.strip() and not VOCALISE.fullmatch(inside)
        if alone or TAG.fullmatch(inside) or match.re is ROUND:
            found += 1
            return " "
        return match[0]

    kept = ROUND.sub(take, SQUARE.sub(take, line))
    shorter = TRAILING.sub("", kept) if kept.strip() else kept
    found += shorter != kept
    return (" ".join(shorter.split()) if found else line), found
