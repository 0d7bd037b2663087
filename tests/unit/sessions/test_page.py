"""The page of a session: every take with its command, nothing from outside unescaped, no path out of the folder."""

import html
import json
import os
import re

import pytest
from made_session import add_take

from jukebox_pl.sessions.nodes import NODE, REQUEST, Session
from jukebox_pl.sessions.page import write_session_page
from jukebox_pl.types import SongRequest

ATTACK = "<script>alert(1)</script>"
SHORT = SongRequest("Ada Bell", ("Waltz",), "la nu", seconds=0.2)


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path / "songs")


def test_takes_come_newest_first_with_what_made_them(session):
    for number, name in enumerate(["seed_0", "seed_1", "longer"]):
        more = {"operation": "extend", "parent": "seed_1"} if name == "longer" else {}
        folder = add_take(session, name, SHORT, f"sample seed={number} artist='Ada Bell'", number, **more)
        os.utime(folder / NODE, (number, number))
    session.pick("seed_1")
    path = write_session_page(session)
    page = html.unescape(path.read_text())
    assert path == session.folder / "index.html"
    assert "<h1>3 takes in songs</h1>" in page
    assert re.findall("<h2>(.*?)</h2>", page) == ["longer", "★ seed_1", "seed_0"]
    assert re.findall('<audio[^>]+src="(.*?)"', page) == ["longer/song.wav", "seed_1/song.wav", "seed_0/song.wav"]
    assert re.findall("<code>(.*?)</code>", page) == [f"sample seed={number} artist='Ada Bell'" for number in (2, 1, 0)]
    assert 'extend, made of <a href="#seed_1">seed_1</a>' in page
    assert "Ada Bell · Waltz · 0.2 s · seed 2 · to level 2" in page
    assert [path.name for path in session.folder.iterdir() if path.name.startswith(".")] == []


def test_text_from_outside_is_escaped(session):
    name = "<b onclick=x>%2F&#"
    request = SongRequest(ATTACK, (ATTACK,), ATTACK, seconds=0.2)
    add_take(session, name, request, ATTACK, operation="extend", parent=ATTACK, arguments={ATTACK: ATTACK})
    session.pick(name)
    page = write_session_page(session).read_text()
    assert "<script>alert" not in page
    assert "<b onclick" not in page
    assert page.count("&lt;script&gt;alert") >= 6
    assert 'src="%3Cb%20onclick%3Dx%3E%252F%26%23/song.wav"' in page
    assert not re.search("https?:", page)


def test_what_cannot_be_heard_or_read_is_left_out(session):
    for name in ("whole", "torn", "silent", "unfinished"):
        add_take(session, name, SHORT)
    (session.folder / "torn" / NODE).write_text("{")
    (session.folder / "silent" / "song.wav").unlink()
    record = json.loads((session.folder / "unfinished" / NODE).read_text())
    (session.folder / "unfinished" / NODE).write_text(json.dumps(record | {"hashes": {}}))
    assert re.findall("<h2>(.*?)</h2>", write_session_page(session).read_text()) == ["whole"]


@pytest.mark.parametrize("record", [None, "{", "[]", '{"command": 3}'])
def test_a_take_without_a_command_is_heard_all_the_same(session, record):
    folder = add_take(session, "old", SHORT)
    (folder / REQUEST).unlink() if record is None else (folder / REQUEST).write_text(record)
    page = write_session_page(session).read_text()
    assert "old/song.wav" in page
    assert "Make it again" not in page


def test_a_session_without_takes_has_a_page(session):
    session.folder.mkdir()
    assert "No take is finished yet." in write_session_page(session).read_text()
