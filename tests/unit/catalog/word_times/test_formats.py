# ruff: noqa: E501, PT017
"""The same four words in every file that word times come in, and what is none of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jukebox_pl.catalog.word_times.formats import FORMATS, read_timed
from jukebox_pl.errors import UserError

TEXTS, STARTS, ENDS = ["la", "na", "two", "mi"], [1.0, 2.0, 3.0, 4.0], [1.5, 2.5, 3.5, 4.5]
RECORDS = [{"word": f" {word}", "start": start, "end": end} for word, start, end in zip(TEXTS, STARTS, ENDS, strict=True)]
SEGMENT = {"id": 0, "start": 1.0, "end": 4.5, "text": " la na two mi", "words": RECORDS}
CPP = [{"offsets": {"from": 1000 * r["start"], "to": 1000 * r["end"]}, "text": r["word"]} for r in RECORDS]
CHUNKS = [{"text": r["word"], "timestamp": [r["start"], r["end"]]} for r in RECORDS]
ENTRIES = [[0.0, 1.0, ""], *([r["start"], r["end"], r["word"].strip()] for r in RECORDS)]


def rows(template: str, scale: float = 1) -> str:
    """A row for each word; w, s and e stand for the word, its start and its end."""
    return "".join(
        template.format(w=word, s=f"{scale * start:g}", e=f"{scale * end:g}", sc=str(start).replace(".", ","))
        for word, start, end in zip(TEXTS, STARTS, ENDS, strict=True)
    )


INTERVALS = [(0.0, 1.0, ""), (1.0, 1.5, "la"), (1.5, 2.0, "sil"), (2.0, 2.5, "na"), (3.0, 3.5, "two"), (4.0, 4.5, "mi")]
LONG = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = 12 \ntiers? <exists> \nsize = 2 \nitem []: \n'
    '    item [1]:\n        class = "IntervalTier" \n        name = "phones" \n        xmin = 0 \n        xmax = 12 \n'
    '        intervals: size = 1 \n        intervals [1]:\n            xmin = 0 \n            xmax = 12 \n            text = "x ""y"" 1" \n'
    '    item [2]:\n        class = "IntervalTier" \n        name = "words" \n        xmin = 0 \n        xmax = 12 \n'
    f"        intervals: size = {len(INTERVALS)} \n"
) + "".join(
    f'        intervals [{at}]:\n            xmin = {start} \n            xmax = {end} \n            text = "{text}" \n'
    for at, (start, end, text) in enumerate(INTERVALS, start=1)
)
SHORT = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n12\n<exists>\n2\n"TextTier"\n"beats"\n0\n12\n1\n0.5\n"x"\n'
    f'"IntervalTier"\n"words"\n0\n12\n{len(INTERVALS)}\n'
) + "".join(f'{start}\n{end}\n"{text}"\n' for start, end, text in INTERVALS)
ELAN = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT><TIME_ORDER>'
    + "".join(f'<TIME_SLOT TIME_SLOT_ID="ts{ms}" TIME_VALUE="{ms:g}"/>' for ms in (1000 * np.array(STARTS + ENDS)))
    + '</TIME_ORDER><TIER TIER_ID="words">'
    + "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION TIME_SLOT_REF1="ts{1000 * r["start"]}" TIME_SLOT_REF2="ts{1000 * r["end"]}">'
        f"<ANNOTATION_VALUE>{r['word']}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
        for r in RECORDS
    )
    + "</TIER></ANNOTATION_DOCUMENT>"
)
SRT = "".join(
    f"{at}\n00:00:0{start:.3f} --> 00:00:0{end:.3f}\n<i>{word}</i>\n\n".replace(".", ",")
    for at, (word, start, end) in enumerate(zip(TEXTS, STARTS, ENDS, strict=True), start=1)
)
VTT = (
    "WEBVTT\nKind: captions\n\nNOTE of mine\n\nSTYLE\n::cue {}\n\n1\n00:01.000 --> 00:02.500 align:start\n"
    "<v Ann><00:01.000>la<00:01.500> <00:02.000>na\n\n00:00:03.000 --> 00:00:04.500\n<00:03.000><c>two</c> <00:04.000><c>mi</c>\n"
)
FILES = {
    "ours": ("w.words.json", json.dumps([[word, *times] for word, *times in zip(TEXTS, STARTS, ENDS, strict=True)])),
    "list of records": ("w.json", json.dumps(RECORDS)),
    "whisper": ("w.json", json.dumps({"text": " la na two mi", "segments": [SEGMENT], "language": "en"})),
    "whisperx": ("w.json", json.dumps({"segments": [SEGMENT], "word_segments": RECORDS})),
    "whisperx words": ("w.json", json.dumps({"word_segments": RECORDS})),
    "segments alone": ("w.json", json.dumps([SEGMENT])),
    "whisper.cpp": ("w.json", json.dumps({"systeminfo": "", "transcription": CPP})),
    "transformers": ("w.json", json.dumps({"text": "la na two mi", "chunks": CHUNKS})),
    "gentle": ("w.json", json.dumps({"transcript": "la na two mi", "words": RECORDS})),
    "mfa json": ("w.json", json.dumps({"start": 0, "end": 12, "tiers": {"phones": {"entries": []}, "words": {"entries": ENTRIES}}})),
    "milliseconds by name": ("w.json", json.dumps([{"text": r["word"], "start_ms": 1000 * r["start"], "end_ms": 1000 * r["end"]} for r in RECORDS])),
    "csv": ("w.csv", "word,start,end\n" + rows("{w},{s},{e}\n")),
    "csv semicolon": ("w.csv", "word;word_start;word_end\n" + rows("{w};{sc};{e}\n")),
    "csv other order": ("w.csv", "Start_Time,End_Time,Text\n" + rows('{s},{e},"{w}"\n')),
    "tsv of whisper": ("w.tsv", "start\tend\ttext\n" + rows("{s}\t{e}\t{w}\n")),
    "mfa csv": ("w.csv", "Begin,End,Label,Type,Speaker\n" + rows("{s},{e},{w},words,x\n{s},{e},AH0,phones,x\n")),
    "audacity": ("w.words.txt", rows("{s}.0\t{e}.0\t{w}\n").replace(".5.0", ".5")),
    "audacity spectral": ("w.txt", rows("{s}.000000\t{e}1\t{w}\n\\\t100.0\t200.0\n")),
    "textgrid": ("w.TextGrid", LONG),
    "textgrid short": ("w.textgrid", SHORT),
    "elan": ("w.eaf", ELAN),
    "srt": ("w.SRT", SRT),
    "vtt words": ("w.vtt", VTT),
    "lrc words": ("w.lrc", "[00:01.00]<00:01.00>la<00:01.50> <00:02.00>na<00:02.50>\n[00:03]<00:03.00>two <00:04.00>mi<00:04.50>\n"),
    "lrc in a txt": ("w.txt", "[ar:Ann]\n" + rows("[00:0{s}.00]{w}\n")),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), FILES.values(), ids=FILES.keys())
def test_every_format_gives_the_words_and_their_times(name, text):
    found = read_timed(text, name)
    assert [word.text for word in found.words] == found.lyrics.split() == TEXTS
    np.testing.assert_allclose([word.start for word in found.words], STARTS, atol=1e-6)
    assert all(word.start <= word.end <= later.start for word, later in zip(found.words, found.words[1:], strict=False))


@pytest.mark.parametrize(("name", "text"), FILES.values(), ids=FILES.keys())
def test_half_a_file_is_read_or_refused_in_one_line(name, text):
    """At every place where it may be cut."""
    for end in range(0, len(text), max(len(text) // 60, 1)):
        try:
            found = read_timed(text[:end], name, is_times=True)
        except UserError as error:
            assert "\n" not in str(error).strip()
        else:
            assert len(found.words) <= 5


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", "3", '[{"words": 3}]', '[[1]]', '{"segments": [3]}', "a\tb\n1\t2", '"', "<a/>",
                                  '{"tiers": {"words": {"entries": [[1, 2]]}}}', '{"words": [{"word": "la", "start": {}, "end": []}]}',
                                  "[" * 100_000, "1\n00:00:01,000 --> \n", '"ooTextFile" "TextGrid" 0 1 1e9', "<!DOCTYPE a>"])  # fmt: skip
def test_what_is_none_is_refused_in_one_line(each, text):
    try:
        read_timed(text, f"w{each.endings[0]}", is_times=True)
    except UserError as error:
        assert len(str(error)) < 300


def test_captions_that_roll_are_taken_once():
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nla la\n\n00:02.000 --> 00:03.000\nla la\nna na\n\n00:03.000 --> 00:04.000\nna na\nmi\n"
    assert read_timed(text, "a.vtt").lyrics == "la la\nna na\nmi"


@pytest.mark.parametrize("name", ["a.txt", "a.lyrics", "a", "a.TXT"])
@pytest.mark.parametrize("text", ["la na\n[Chorus]\n", "12 steps\n3 4 5\n", "{la}\n", "la, na, mi\nso, la\n"])
def test_plain_lyrics_are_plain(name, text):
    assert read_timed(text, name) == (text, (), ())


def test_a_word_without_times_is_in_the_lyrics_alone():
    records = [*RECORDS[:2], {"word": "2"}, RECORDS[3]]
    found = read_timed(json.dumps({"segments": [{"words": records}]}), "w.json")
    assert (found.lyrics, [word.text for word in found.words]) == ("la na 2 mi", ["la", "na", "mi"])


def test_rtf_is_told():
    with pytest.raises(UserError, match="RTF: save it as plain text"):
        read_timed("{\\rtf1 la}", "a.txt")
