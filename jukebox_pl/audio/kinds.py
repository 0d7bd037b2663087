"""What kind of sound a file holds, by its first bytes: names and extensions lie. A new kind is a line of SIGNATURES."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HEAD_BYTES = 16_384
MOST_TAGS = 8  # ID3 tags in a row; real files have up to two
FRAMES_IN_A_ROW = 3  # what looks like three is no chance; a file that ends sooner is taken at its word
FRAME_HEADER_BYTES = 6

# Bytes at places in the file (more than one: all of them), and the kind that they tell.
SIGNATURES: tuple[tuple[str, dict[int, bytes]], ...] = (
    ("wav", {0: b"RIFF", 8: b"WAVE"}),
    ("wav", {0: b"RIFX", 8: b"WAVE"}),
    ("wav", {0: b"RF64", 8: b"WAVE"}),
    ("wav", {0: b"BW64", 8: b"WAVE"}),
    ("w64", {0: b"riff\x2e\x91\xcf\x11", 24: b"wave"}),
    ("aiff", {0: b"FORM", 8: b"AIF"}),
    ("svx", {0: b"FORM", 8: b"8SVX"}),
    ("svx", {0: b"FORM", 8: b"16SV"}),
    ("caf", {0: b"caff"}),
    ("au", {0: b".snd"}),
    ("au", {0: b"dns."}),
    ("voc", {0: b"Creative Voice File\x1a"}),
    ("nist", {0: b"NIST_1A"}),
    ("flac", {0: b"fLaC"}),
    ("ogg", {0: b"OggS"}),
    ("matroska", {0: b"\x1a\x45\xdf\xa3"}),
    ("mp4", {4: b"ftyp"}),
    ("mp4", {4: b"moov"}),
    ("mp4", {4: b"mdat"}),
    ("mp4", {4: b"wide"}),
    ("asf", {0: bytes.fromhex("3026b2758e66cf11")}),
    ("avi", {0: b"RIFF", 8: b"AVI "}),
    ("flv", {0: b"FLV\x01"}),
    ("rm", {0: b".RMF"}),
    ("mpeg", {0: b"\x00\x00\x01\xba"}),
    ("mpegts", {0: b"G", 188: b"G", 376: b"G", 564: b"G"}),
    ("mpegts", {4: b"G", 196: b"G", 388: b"G", 580: b"G"}),
    ("wavpack", {0: b"wvpk"}),
    ("ape", {0: b"MAC "}),
    ("tta", {0: b"TTA1"}),
    ("tak", {0: b"tBaK"}),
    ("musepack8", {0: b"MPCK"}),
    ("musepack", {0: b"MP+"}),
    ("dsf", {0: b"DSD "}),
    ("dff", {0: b"FRM8", 12: b"DSD "}),
    ("amr", {0: b"#!AMR"}),
    ("ac3", {0: b"\x0b\x77"}),
    ("dts", {0: b"\x7f\xfe\x80\x01"}),
)
PICTURES = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"crx ", b"jxl ")  # brands of MP4 files without sound

# ISO 11172-3 and 13818-3: kbit/s by layer (1, 2, 3), those of MPEG 1 and of the lower sampling frequencies.
BITRATES = (
    (
        (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
        (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
        (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    ),
    (
        (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
        (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
        (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    ),
)
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # MPEG 1, 2, 2.5


def kind_of(path: Path) -> str | None:
    """The kind of sound in a file, as "mp3", "flac", "mp4" or "matroska"; None where there is none, or no regular file.

    By its first bytes, behind ID3 tags: whether the sound is whole, and whether a video has any, decoding tells. Raises
    nothing.
    """
    try:
        if not path.is_file():  # a FIFO would wait for its writer
            return None
        with open(path, "rb") as file:
            return kind_of_file(file)
    except (OSError, ValueError):
        return None


def kind_of_file(file: BinaryIO) -> str | None:
    """The same of an open file, which must be able to seek."""
    head, tagged = _head_behind_tags(file)
    for kind, places in SIGNATURES:
        if all(head.startswith(expected, place) for place, expected in places.items()):
            return None if kind == "mp4" and head[4:8] == b"ftyp" and head[8:12] in PICTURES else kind
    return next(_streams(head), "mp3" if tagged else None)


def _head_behind_tags(file: BinaryIO) -> tuple[bytes, bool]:
    """The first bytes behind the ID3 tags of a file, and whether there are such tags."""
    start = 0
    for _ in range(MOST_TAGS):
        file.seek(start)
        head = file.read(HEAD_BYTES)
        if not head.startswith(b"ID3") or len(head) < 10:
            break
        size = sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        start += 10 + size + (10 if head[5] & 16 else 0)
    return head, start > 0


def _streams(head: bytes) -> Iterator[str]:
    """The kinds of raw streams that begin in `head`, where something else or zeros may come before them."""
    place = -1
    while (place := head.find(b"\xff", place + 1)) >= 0:
        kinds: list[str | None] = []
        here = place
        while len(kinds) < FRAMES_IN_A_ROW and here + FRAME_HEADER_BYTES <= len(head) and None not in kinds:
            kind, length = frame_at(head, here)
            kinds.append(kind)
            here += length
        if len(kinds) > 1 and kinds[0] and len(set(kinds)) == 1:
            yield kinds[0]


def frame_at(head: bytes, place: int) -> tuple[str | None, int]:
    """The kind of the MPEG audio or ADTS frame at a place, and its length in bytes; None and 0 where there is none."""
    if place + FRAME_HEADER_BYTES > len(head) or head[place] != 0xFF or head[place + 1] & 0xE0 != 0xE0:
        return None, 0
    second, third = head[place + 1], head[place + 2]
    if second & 0xF6 == 0xF0:  # layer 0: ADTS
        length = (head[place + 3] & 3) << 11 | head[place + 4] << 3 | head[place + 5] >> 5
        return ("aac", length) if length > 7 and third >> 2 & 15 < 13 else (None, 0)
    version, layer, bitrate, rate = second >> 3 & 3, 4 - (second >> 1 & 3), third >> 4, third >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None, 0
    bits = BITRATES[version != 3][layer - 1][bitrate - 1] * 1000
    slots = {1: 12, 2: 144, 3: 144 if version == 3 else 72}[layer] * bits // RATES[version][rate] + (third >> 1 & 1)
    return ("mp3" if layer == 3 else f"mp{layer}"), slots * 4 if layer == 1 else slots
