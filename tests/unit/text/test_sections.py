"""What of a lyrics file is sung, and what is not."""

from __future__ import annotations

import pytest

from jukebox_pl.text.sections import KEEP, SECTION_MARK, TOKENS, sung_text

TAGS = """[Verse 1]|[Chorus: Ann & Bo]|[Guitar Solo]|[Pre-Chorus]|[Ann:]|[Whispered]|(Chorus)|(Bridge x2)|(x2)|(2x)
(repeat chorus 2x)|(Instrumental)|{Chorus}|<Bridge>|Chorus:|CHORUS|VERSE 2|Verse 2:|** Chorus **
--- Verse 1 ---|Bridge|Hook:|Припев:|[Couplet 1]|[Refrain]|[Estribillo]|[副歌]|【サビ】|主歌|[Intro: Ann, (Bo)]
[Outro]|Outro|[?]|[x2]|(Repeat)|(Guitar solo)"""
SUNG = """(ooh)|(la la la)|[ooh la la]|bridge over water|(in the end)|(all together now)|Part of me
you might also like me|solo|hook|See me live|Music by the fire|I am the source: of it|1000 x 2
verse by verse|love x2 you|(oh, chorus of angels)|Oh Lyrics of my life|End of the road|Repeat after me
Don't stop (the music)|(one two three)|one, two, three|50 ways|M: la|hello [you]"""
DEBRIS = """You might also like|Embed|12Embed|Embed12You might also like|Source: https://example.org/x|Lyrics by Ann
Lyrics by: Ann|Written by Ann B.|https://example.org/song|www.example.org|Songwriters: Ann / Bo|作词 : 张三
编曲：李四|See Ann LiveGet tickets as low as $42|© 2020 Ann
******* This Lyrics is NOT for Commercial use *******|Lyrics powered by example|Title: Song
All rights reserved."""


def items(listed: str) -> list[str]:
    return listed.replace("\n", "|").split("|")


@pytest.mark.parametrize("tag", items(TAGS))
def test_section_tags_are_not_sung(tag):
    assert sung_text(f"la la\n{tag}\nna na\n") == ("la la\nna na", 1, 0)


@pytest.mark.parametrize("line", items(SUNG))
def test_what_is_sung_stays_as_it_is(line):
    text = f"la la\n{line}\n\nna na\n"
    assert sung_text(text) == (text, 0, 0)


@pytest.mark.parametrize("line", items(DEBRIS))
def test_what_web_pages_leave_is_not_sung(line):
    assert sung_text(f"la la\n{line}\nna na\n") == ("la la\nna na", 0, 1)


@pytest.mark.parametrize(
    ("text", "sung"),
    [
        ("12 ContributorsTranslationsMy Song Lyrics[Verse 1]\nhello\ngoodbye123Embed", "hello\ngoodbye"),
        ("3 Contributors\nMy Song Lyrics\n\nhello", "My Song Lyrics\n\nhello"),
        ("My Song Lyrics\nhello", "hello"),
        ("la la (x2)\nna na x3\nmi [Ann:] mi", "la la\nna na\nmi mi"),
        ("[Instrumental]\n", ""),
        ("\ufeffze\u200bro I ❤️ you ♪", "zero I ❤ you "),
        ("می‌خواهم क्‍ष", "می‌خواهم क्‍ष"),
    ],
)
def test_what_is_left_of_a_text(text, sung):
    assert sung_text(text).text == sung


def test_tags_can_be_kept_or_become_marks():
    text = "[Verse 1]\nla la (x2)\n[Chorus]\nna\u200b na"
    assert sung_text(text, KEEP) == ("[Verse 1]\nla la (x2)\n[Chorus]\nna na", 0, 0)
    assert sung_text(text, TOKENS) == (f"{SECTION_MARK}\nla la\n{SECTION_MARK}\nna na", 3, 0)


def test_what_is_sung_is_sung_whole():
    """Cleaning a second time changes nothing."""
    for line in items(f"{TAGS}|{SUNG}|{DEBRIS}"):
        once = sung_text(f"la\n{line} \nmi").text
        assert sung_text(once).text == once


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["[", "(x", "oh", "chorus ", "verse x2", "a\n[b", "by ", " "])
def test_no_text_takes_long(piece):
    """As nested repeats of a pattern would, on what nearly matches."""
    for text in (f"[{piece * 120}!]x", f"({piece * 100}!", piece * 20_000 + "!"):
        assert len(sung_text(text).text) <= len(text)
