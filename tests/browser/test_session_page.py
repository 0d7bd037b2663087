from __future__ import annotations

import pytest
from browser.checks import assert_everybody_can_use, wait_until
from made_session import add_take

from jukebox_pl.sessions.nodes import Session
from jukebox_pl.sessions.page import write_session_page
from jukebox_pl.types import SongRequest

NAMES = ("seed_0", "a take & <its> %2F name", "extend_0123456789abcdef0123456789abcdef0123456789abcdef")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    session = Session(tmp_path_factory.mktemp("session") / "songs")
    request = SongRequest("An artist of a rather long name", ("Waltz", "March"), "la nu\nro", seconds=20)
    command = f"python -m jukebox_pl.sample run_dir=runs/mine lyrics={'la' * 100} seed=7"
    for name in NAMES:
        add_take(session, name, request, command, parent=NAMES[0] if name == NAMES[-1] else None)
    session.pick(NAMES[0])
    return write_session_page(session)


def test_it_fits_and_can_be_used_by_everybody(open_page, path):
    assert_everybody_can_use(open_page(path))


def test_every_sound_and_page_is_there_and_one_is_heard_at_a_time(open_page, path):
    page = open_page(path)
    wait_until(page, "[...document.querySelectorAll('audio')].every((player) => player.duration === 20)")
    for link in page.locator("a[href$='index.html']").all():
        opened = page.context.new_page()
        opened.goto(page.evaluate("link => new URL(link, location).href", link.get_attribute("href")))
        assert opened.title() == "a song"
        opened.close()
    page.evaluate("document.querySelectorAll('audio')[0].play()")
    page.evaluate("document.querySelectorAll('audio')[1].play()")
    wait_until(page, "document.querySelectorAll('audio')[1].currentTime > 0")
    assert page.evaluate("[...document.querySelectorAll('audio')].map((player) => player.paused)") == [True, False, True]


def test_a_parent_leads_to_its_place_and_a_command_can_be_copied(open_page, path):
    page = open_page(path)
    page.get_by_role("link", name=NAMES[0], exact=True).click()
    assert page.evaluate("document.querySelector(':target h2').innerText") == f"★ {NAMES[0]}"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_text("Make it again").first.click()
    page.get_by_role("button", name="Copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert "seed=7" in page.evaluate("navigator.clipboard.readText()")
