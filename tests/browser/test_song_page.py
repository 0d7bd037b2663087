"""A song of four seconds, whose words are sung a second each, from half a second on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from browser.checks import assert_everybody_can_use, wait_until

from jukebox_pl.report.song_page import link_child, write_song_page
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest, Word

RATE, SECONDS = 11025, 4
HOPS = (8, 32, 128)
TEXTS = ("la", "nu", "ro")
LISTEN = """new Promise((done) => {
  const player = document.querySelector("audio"), seen = [];
  function look() {
    seen.push([player.currentTime, document.querySelector(".word[aria-current]")?.textContent ?? ""]);
    player.ended ? done(seen) : requestAnimationFrame(look);
  }
  player.play().then(look);
})"""
AT = "document.querySelectorAll('audio')[{}].currentTime"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    sound = torch.from_numpy(np.random.default_rng(0).uniform(-0.5, 0.5, (1, SECONDS * RATE)).astype(np.float32))
    codes = {level: torch.arange(SECONDS * RATE // hop) % 64 for level, hop in enumerate(HOPS)}
    words = tuple(Word(text, 0.5 + number, 1.5 + number) for number, text in enumerate(TEXTS))
    request = SongRequest("Ada Bell", ("Waltz",), "la nu\nro", SECONDS)
    song = SampledSong(sound, RATE, codes, request, SamplingParams(), 7, words, torch.rand(100, 9), {0: 3.0})
    others = {f"level {level}": sound[0].numpy() for level in (1, 2)}
    command = f"python -m jukebox_pl.sample run_dir=runs/mine lyrics={'la' * 100} seed=7"
    folder, files = tmp_path_factory.mktemp("song"), ["song.wav", "song.lrc"]
    path = write_song_page(folder, song, HOPS, others, {}, command, "parent", files)
    link_child(folder, "child")
    return path


def test_it_fits_and_can_be_used_by_everybody(open_page, path):
    assert_everybody_can_use(open_page(path))


def test_words_light_up_while_they_are_sung(open_page, path):
    page = open_page(path)
    seen = page.evaluate(LISTEN)
    assert {word for _, word in seen} == {*TEXTS, ""}
    for at, word in seen:
        allowed = [text for number, text in enumerate(TEXTS) if 0.35 + number <= at <= 1.65 + number]
        assert word in allowed or (word == "" and not 0.65 < at < 3.35)
    assert page.locator(".word.sung").count() == 3


def test_a_word_leads_to_where_it_is_sung(open_page, path):
    page = open_page(path)
    page.get_by_role("button", name="ro").click()
    wait_until(page, f"{AT.format(0)} >= 2.5 && !document.querySelector('audio').paused")
    assert page.locator(".word[aria-current]").inner_text() == "ro"


def test_one_playhead_stands_at_the_same_moment_of_every_picture(open_page, path):
    page = open_page(path)
    timeline = page.locator(".timeline").bounding_box()
    for strip in page.locator(".strip img, .strip svg").all():
        box = strip.bounding_box()
        assert (box["x"], box["width"]) == (timeline["x"], timeline["width"])
    page.locator(".strip img").first.click(position={"x": timeline["width"] / 4, "y": 5})
    assert page.evaluate(AT.format(0)) == pytest.approx(SECONDS / 4, abs=0.05)
    playhead = page.locator(".playhead").bounding_box()
    assert playhead["x"] + playhead["width"] / 2 == pytest.approx(timeline["x"] + timeline["width"] / 4, abs=2)
    assert playhead["height"] > 0.9 * timeline["height"]
    assert page.get_by_role("slider", name="Position in the song").get_attribute("aria-valuetext") == "1.0 of 4.0 s"


def test_another_level_goes_on_where_the_last_one_stopped(open_page, path):
    page = open_page(path)
    page.evaluate("document.querySelectorAll('audio')[0].currentTime = 2")
    page.evaluate("document.querySelectorAll('audio')[0].play()")
    page.evaluate("document.querySelectorAll('audio')[2].play()")
    wait_until(page, f"{AT.format(2)} > 2")
    assert page.evaluate("[...document.querySelectorAll('audio')].map((player) => player.paused)") == [True, True, False]


def test_the_keyboard_plays_seeks_and_goes_from_word_to_word(open_page, path):
    page = open_page(path)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(AT.format(0)) == pytest.approx(1)
    page.keyboard.press(" ")
    wait_until(page, f"{AT.format(0)} > 1")
    page.keyboard.press(" ")
    assert page.evaluate("document.querySelector('audio').paused")
    page.locator(".word").first.focus()
    for key in ("ArrowRight", "End", "Enter"):
        page.keyboard.press(key)
    wait_until(page, f"{AT.format(0)} >= 2.5")
    assert page.locator(".word[tabindex='0']").all_inner_texts() == ["ro"]


def test_parent_and_children_are_named(open_page, path):
    page = open_page(path)
    assert page.locator(".family").inner_text().split() == ["made", "of", "parent", "became", "child"]


def test_nothing_but_the_page_is_asked_for(open_page, path):
    page = open_page(path)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert [url for url in asked if url.startswith("file")] == [path.resolve().as_uri()]


def test_the_command_can_be_copied(open_page, path):
    page = open_page(path)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("code").inner_text()
