"""Encodings of text files, and names that were read in a wrong one."""

from __future__ import annotations

import os

import numpy as np
import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.text.files import decode, read_text_file, repaired

# What people wrote in encodings of before Unicode; short, as titles and first lines are.
LEGACY_TEXTS = {
    "cp1252": [
        "café olé mañana\n",
        "Für Elise, schöne Grüße",
        "l’été déjà fini — “oui”",
        "Björk",
        "là",
        "Te quiero más que ayer",
    ],
    "cp1251": ["Я свободен\n", "Сергей Бабкин", "Кино", "ДДТ — Осень", "Алла Пугачёва", "[00:01.00]Я свободен\n"],
    "gb18030": ["蔡淳佳", "深秋嫩绿的垂柳\n亲吻着我额头\n", "[00:01.00]深秋嫩绿\n", "月亮代表我的心", "周杰伦"],
    "cp932": ["桜の花が咲く", "愛してる\n君のことを\n", "宇多田ヒカル", "モーニング娘。", "LOVEマシーン"],
    "cp949": ["사랑해 너를\n", "아이유"],
    "big5": ["月亮代表我的心\n你問我愛你有多深", "鄧麗君"],
    "cp1250": ["Příliš žluťoučký kůň", "Szczęście jest tuż"],
    "koi8-r": ["Я свободен\nсловно птица в небесах"],
}
CASES = [(encoding, text) for encoding, texts in LEGACY_TEXTS.items() for text in texts]
NAMES = """Ñandú, Björk, Sigur Rós, Þeyr, Ænima, ÆØÅ åæø, « oui », ééééé oh, Motörhead, Ólöf Arnalds, Ágætis byrjun, Ýmir
Øystein, été, Éé, °C, €uro, ©2020, ß, ¡Olé!, “……” la, “I’m” ok, Dvořák, Сергей, 蔡淳佳, さくら, 사랑, ÀÉÎ, 1½ ¾, ööö ÄÖÜ
naïve café""".replace("\n", ", ")


@pytest.mark.parametrize(("encoding", "text"), CASES)
def test_texts_of_before_unicode_are_read(encoding, text, tmp_path):
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    read, warning = read_text_file(tmp_path / "a.txt")
    assert read == text
    assert "is not UTF-8: read as" in warning


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", ["hello from notepad\n", "深秋嫩绿 of mine\n", "Я свободен 😂\n"])
def test_unicode_in_any_form_is_read_without_a_word(encoding, text, tmp_path):
    (tmp_path / "a.txt").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert read_text_file(tmp_path / "a.txt") == (text, None)


def test_utf_8_is_never_taken_for_anything_else():
    """1,000 texts of random letters of any script, each with one that UTF-8 takes several bytes for."""
    rng = np.random.default_rng(0)
    blocks = [
        (0x20, 0x7E),
        (0xC0, 0x17F),
        (0x391, 0x3C9),
        (0x410, 0x44F),
        (0x5D0, 0x5EA),
        (0x3041, 0x30FF),
        (0x4E00, 0x9FFF),
    ]
    for _ in range(1000):
        low, high = blocks[rng.integers(len(blocks))]
        text = "".join(map(chr, rng.integers(low, high, rng.integers(1, 40)))) + "é"
        assert decode(text.encode()) == (text, "utf-8")


@pytest.mark.parametrize("name", NAMES.split(", "))
def test_a_good_name_stays_as_it_is(name):
    assert repaired(name) == name


@pytest.mark.parametrize("text", [text for _, text in CASES])
def test_a_good_text_stays_as_it_is(text):
    assert repaired(text) == text


@pytest.mark.parametrize(
    ("garbled", "name"),
    [
        ("Ñåðãåé Áàáêèí", "Сергей Бабкин"),
        ("²Ì´¾¼Ñ", "蔡淳佳"),
        ("BjÃ¶rk", "Björk"),
        ("â€œouiâ€\x9d", '"oui"'),
        ("桜の花が咲く".encode("cp932").decode("latin-1"), "桜の花が咲く"),
        ("ДДТ - Осень".encode("cp1251").decode("cp1252"), "ДДТ - Осень"),
        ("Сергей".encode().decode("cp1252", "ignore"), "Сергей"),
    ],
)
def test_a_garbled_name_is_repaired(garbled, name):
    assert repaired(garbled).replace("“", '"').replace("”", '"') == name


def test_a_garbled_file_is_repaired_and_says_so(tmp_path):
    (tmp_path / "a.txt").write_text("schÃ¶ne GrÃ¼ÃŸe\n", encoding="utf-8")
    text, warning = read_text_file(tmp_path / "a.txt")
    assert (text, "repaired" in warning) == ("schöne Grüße\n", True)
    (tmp_path / "b.txt").write_text("caf\N{REPLACEMENT CHARACTER}\n", encoding="utf-8")
    assert "1 letters that were lost" in read_text_file(tmp_path / "b.txt")[1]


def test_what_is_no_text_file_is_refused(tmp_path):
    (tmp_path / "zeros").write_bytes(b"\x00\x01" * 40 + b"\x00\xd8" * 3)
    (tmp_path / "large").write_bytes(b"la " * 10)
    os.mkfifo(tmp_path / "pipe")
    for name, message in {
        "zeros": "not text",
        "pipe": "not a file",
        "gone": "no such file",
        ".": "not a file",
        "large": "at most",
    }.items():
        with pytest.raises(UserError, match=message):
            read_text_file(tmp_path / name, most_bytes=20 if name == "large" else 1000)
