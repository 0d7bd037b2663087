import dataclasses
import html
import re
from dataclasses import replace

import pytest

from jukebox_pl.catalog.doctor import AudioStats, ExaminedSong, Standards, diagnose
from jukebox_pl.report import catalog_page
from jukebox_pl.report.catalog_page import write_doctor_page
from jukebox_pl.types import Song

ATTACK = "<script>alert(1)</script>"
STATS = AudioStats(180.0, 44100, 2, 0.9, 0.0, 0.01, 0.1, 1.0, 0.0, -15.0, 18000.0, -1.0, -0.5, "")


def song(number=0, **facts):
    known = {"artist": "A", "genres": ("G",), "lyrics": f"word {number} " * 30, "language": "en", "license": "CC0"}
    return ExaminedSong(
        Song(str(number), 1, 44100, **(known | facts)), f"{number}.mp3", replace(STATS, seconds=60.0 + number)
    )


def report(*songs, **arguments):
    return diagnose(songs, Standards(), **arguments)


def test_the_page_says_what_the_report_says(tmp_path):
    skipped = [{"path": "broken.mp3", "reason": "damaged & empty"}]
    path = write_doctor_page(tmp_path, report(song(0), song(1, lyrics=""), skipped=skipped))
    page = html.unescape(path.read_text())
    assert path == tmp_path / "doctor.html"
    for fact in (
        "A checkup of 2 songs",
        "1.mp3",
        "labelled en, but without lyrics",
        "broken.mp3",
        "damaged & empty",
        "CC0",
        "2:01",
    ):
        assert fact in page
    assert re.findall('<svg role="img" aria-label="(.*?)"', page)[:2] == ["length, minutes", "loudness, dB"]


def test_the_page_names_what_was_passed_over(tmp_path):
    passed_over = ({"kind": ".nfo (x)", "files": 7, "such_as": ["<i>.nfo", "b.nfo"]},)
    whole = dataclasses.replace(
        report(song(0)), passed_over=passed_over, notes=("t.csv has columns that are not read: bpm",)
    )
    page = write_doctor_page(tmp_path, whole).read_text()
    assert "<i>" not in page
    for fact in (
        "passed over",
        ".nfo (x)",
        'data-label="files">7</td>',
        "<i>.nfo, b.nfo",
        "t.csv has columns that are not read: bpm",
    ):
        assert fact in html.unescape(page)


def test_text_from_outside_is_escaped(tmp_path):
    names = {
        "artist": ATTACK,
        "genres": (ATTACK,),
        "lyrics": ATTACK * 4,
        "language": ATTACK,
        "license": ATTACK,
        "title": ATTACK,
    }
    attacked = [song(number, **names)._replace(path=f"{ATTACK}{number}", warnings=(ATTACK,)) for number in range(2)]
    other = song(3, artist=ATTACK.upper())
    page = write_doctor_page(tmp_path, report(*attacked, other, skipped=[{"path": ATTACK, "reason": ATTACK}])).read_text()
    assert "<script>alert" not in page.lower()
    assert page.count("&lt;script&gt;") > 10


def test_nothing_is_fetched(tmp_path):
    page = write_doctor_page(tmp_path, report(song(0), song(1))).read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)|url\((?!#)|@import|https?:""", page)


def test_a_large_catalog_has_a_page_of_bounded_size(tmp_path):
    page = write_doctor_page(
        tmp_path, report(*(song(number, artist=f"artist {number}") for number in range(1000)))
    ).read_text()
    assert len(page) < 500_000
    assert "and 800 more" in page
    assert "<summary>200 rows</summary>" in page


@pytest.mark.parametrize(
    "songs", [(), (song(lyrics=""),), (song(lyrics="", artist="", genres=(), license="", language=""),)]
)
def test_bare_catalogs_have_pages(tmp_path, songs):
    assert "What it is good for" in write_doctor_page(tmp_path, report(*songs)).read_text()


def test_a_failed_page_leaves_the_old_one(tmp_path, monkeypatch):
    before = write_doctor_page(tmp_path, report(song())).read_bytes()
    monkeypatch.setattr(catalog_page, "advice", lambda report: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_doctor_page(tmp_path, report(song(1)))
    assert [path.name for path in tmp_path.iterdir()] == ["doctor.html"]
    assert (tmp_path / "doctor.html").read_bytes() == before
