"""The studio as a musician uses it. One server for all: each test has seeds of its own, and leaves nothing in the line."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="needs gradio, the extra `app`")

from browser.checks import assert_everybody_can_use

from jukebox_pl import audio
from jukebox_pl.app import page_of
from jukebox_pl.cli import command
from jukebox_pl.sessions.nodes import Session

pytestmark = pytest.mark.slow
PATIENCE = 120.0  # seconds; a machine may be busy
LONG = 300  # seconds of a song that is never done in a test
ATTACK = "<script>window.attacked = true</script><img src=x onerror='window.attacked = true'>"
OF_GRADIO = ("signal is aborted without reason", "status of 416")  # of its own player, when an upload is refused
NAME = ".facts dd >> nth=0"  # of the chosen song


class Server:
    """The app with its songs in a folder; started again it is at the same address."""

    def __init__(self, run_dir: Path, songs: Path) -> None:
        self.run_dir, self.session, self.port = run_dir, Session(songs), 0

    def start(self) -> Server:
        words = [f"run_dir={self.run_dir}", f"session={self.session.folder}", "hop_fraction=1", "seconds=0.2"]
        self.page = page_of(command.compose_config("app", words))
        self.line = self.page.studio.line
        self.address = self.page.launch("127.0.0.1", self.port or None, open_browser=False)
        self.port = int(self.address.rstrip("/").rpartition(":")[2])
        return self

    def stop(self) -> None:
        self.page.blocks.close(verbose=False)
        self.page.studio.close()

    def free_line(self) -> None:
        for job in self.line.jobs():
            self.line.stop(job)
            self.line.wait(job, PATIENCE)


@pytest.fixture(scope="module")
def app(browser: Any, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(finished, tmp_path_factory.mktemp("studio") / "songs").start()
    yield started
    started.stop()


@pytest.fixture
def server(app: Server) -> Iterator[Server]:
    yield app
    app.free_line()


@pytest.fixture
def visit(open_page, server):
    """A visitor of their own, before a page that is ready."""

    def visit_():
        page = open_page(server.address, forgiven=OF_GRADIO)
        page.set_default_timeout(1000 * PATIENCE)
        ready(page)
        return page

    return visit_


def ready(page):
    """What the browser kept is put back, its visitor is known, and the songs are there."""
    page.wait_for_function("localStorage.getItem('jukebox_pl.visitor')")
    page.locator("#artists input[aria-label]").wait_for()
    page.locator(".tree").or_(page.get_by_text("No songs yet")).wait_for()


def generate(page, **fields):
    for label, value in fields.items():
        page.get_by_label(label).first.fill(str(value))
    press(page, "Generate")


def press(page, name):
    page.get_by_role("button", name=name, exact=True).first.click()


def unfold(page, part):
    page.get_by_role("button", name=part).click()


def singing(page):
    page.locator(".job progress").first.wait_for()


def finished_song(page, before=""):
    """The name of the chosen song, another than `before`, once it can be taken home."""
    page.wait_for_function("name => ![name, undefined].includes(document.querySelector('.facts dd')?.innerText)", arg=before)
    page.locator(".facts nav a", has_text="WAV").wait_for()
    return page.locator(NAME).inner_text()


def drag(page, waveform, begin, end):
    """Selects a stretch, from one part of a waveform's width to another."""
    waveform.scroll_into_view_if_needed()
    box = waveform.bounding_box()
    page.mouse.move(box["x"] + box["width"] * begin, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + 25, steps=5)
    page.mouse.up()


def test_lyrics_of_blended_artists_become_a_song_to_hear_and_to_take_home(visit, server):
    page = visit()
    page.locator("#artists input").click()
    for name in ("Ada Bell", "Otto Grave"):
        page.get_by_role("option", name=name).click()
    page.keyboard.press("Escape")
    weight = page.get_by_label("Ada Bell").and_(page.locator("[type=number]"))
    weight.fill("100")
    weight.blur()
    generate(page, Lyrics="la na la", Seed=10)
    request = server.session.node(finished_song(page)).request
    assert (request.artist, request.lyrics) == ({"Ada Bell": 100, "Otto Grave": 50}, "la na la")
    page.wait_for_function("document.querySelector('#player audio').duration > 0.1")
    for link in ("WAV", "FLAC", "Codes"):
        with page.expect_download() as download:
            page.get_by_role("link", name=link, exact=True).click()
        assert download.value.failure() is None
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Page", exact=True).click()
    popup.value.get_by_text("la na la").first.wait_for()


def test_stop_stops_within_a_second_and_the_song_goes_on(visit, server, monkeypatch):
    page, arrived, line_stop = visit(), [], server.line.stop
    monkeypatch.setattr(server.line, "stop", lambda job: (arrived.append(time.process_time()), line_stop(job)))
    generate(page, Seconds=LONG, Seed=20)
    page.wait_for_function("document.querySelector('#player audio')?.duration > 0.2")
    first = page.evaluate("document.querySelector('#player audio').duration")
    page.wait_for_function("first => document.querySelector('#player audio').duration > first", arg=first)
    assert "level 2 to" in page.locator("#player .take p").inner_text()
    (job,) = server.line.jobs()
    press(page, "Stop")
    server.line.wait(job, PATIENCE)
    assert time.process_time() - arrived[0] < 1.0  # of our own time: others may use the machine
    page.get_by_text("Stopped. It can go on").wait_for()
    press(page, "Go on with it")
    singing(page)
    assert server.line.jobs()[0].names == job.names


def test_a_song_is_continued_cut_branched_and_sung_anew_where_selected(visit, server):
    page, node = visit(), server.session.node
    generate(page, Lyrics="la na", Seed=30)
    first = finished_song(page)
    page.get_by_label("Seconds in all").fill("0.3")
    press(page, "Continue to")
    longer = finished_song(page, first)
    assert node(longer).request.seconds == 0.3
    waveform = page.locator("#player canvas")
    waveform.click(position={"x": waveform.bounding_box()["width"] / 2, "y": 20})
    page.wait_for_function("document.querySelector('#player audio').currentTime > 0.1")
    press(page, "Cut at the playhead")
    cut = finished_song(page, longer)
    assert node(cut).arguments["at"] == pytest.approx(0.15, abs=0.02)
    press(page, "Another take")
    again = finished_song(page, cut)
    assert (node(again).parent, node(again).seed) == (longer, node(cut).seed + 1)
    drag(page, page.locator(".take.chosen canvas"), 0.4, 0.8)
    press(page, "Sing the selection anew")
    anew = node(finished_song(page, again))
    assert (anew.operation, anew.parent) == ("regenerate", again)
    assert anew.arguments["from"] == pytest.approx(0.4 * node(again).request.seconds, abs=0.02)
    press(page, "★ Pick")
    page.locator(".tree button", has_text="★").wait_for()
    assert server.session.picked() == page.locator(NAME).inner_text()


def test_of_several_sketches_the_chosen_one_alone_is_upsampled(visit, server):
    page = visit()
    page.get_by_text("Sketch: top level").click()
    generate(page, Takes=3, Seed=40)
    sketches = server.page.studio.takes(finished_song(page))
    page.locator("#player .take h3 button").nth(1).click()
    page.locator("#player .take.chosen h3", has_text="seed 41").wait_for()
    finished_song(page, sketches[0].name)
    press(page, "Upsample")
    upsampled = server.session.node(finished_song(page, sketches[1].name))
    assert (upsampled.parent, upsampled.lowest) == (sketches[1].name, 0)
    made_of = [server.session.node(name).parent for name in server.session.names()]
    assert [made_of.count(sketch.name) for sketch in sketches] == [0, 1, 0]


def test_a_reload_a_closed_tab_and_a_restart_lose_nothing(visit, server):
    page = visit()
    generate(page, Lyrics="la na la", Seconds=LONG, Seed=50)
    singing(page)
    (job,) = server.line.jobs()
    page.reload()
    ready(page)
    singing(page)
    assert page.get_by_label("Lyrics", exact=True).input_value() == "la na la"
    assert page.locator(NAME).inner_text() == job.names[0]
    again = page.context.new_page()
    page.close()
    again.set_default_timeout(1000 * PATIENCE)
    again.goto(server.address)
    singing(again)
    assert server.line.jobs() == [job]
    again.goto("about:blank")
    server.stop()
    server.start()
    again.goto(server.address)
    ready(again)
    assert again.locator(".tree li").count() == len(server.session.names())
    assert again.get_by_label("Seconds").first.input_value() == str(LONG)
    press(again, "Go on with it")
    singing(again)
    assert server.line.jobs()[0].names == job.names


def test_two_tabs_share_the_line_in_turns(visit, server):
    one, two = visit(), visit()
    generate(one, Seconds=LONG, Seed=60)
    singing(one)
    generate(one, Seconds=0.2, Seed=61)
    one.get_by_text("number 1 in the line").wait_for()
    generate(two, Seed=62)
    two.get_by_text("number 1 in the line").wait_for()
    two.get_by_text("Another visitor's song is being sung").wait_for()
    one.get_by_text("number 2 in the line").wait_for()
    assert two.get_by_role("button", name="Stop", exact=True).count() == 1
    press(one, "Stop")
    finished_song(two)
    one.get_by_text("0.2 s seed 61").click()
    finished_song(one, "seed_60")


def test_twenty_clicks_are_one_song(visit, server):
    page, before = visit(), len(server.session.names())
    page.get_by_label("Seed").fill("70")
    page.get_by_role("button", name="Generate").evaluate("button => { for (let i = 0; i < 20; i++) button.click(); }")
    finished_song(page)
    page.wait_for_load_state("networkidle")
    assert server.line.jobs() == []
    assert len(server.session.names()) == before + 1


def test_what_is_typed_stays_text_and_is_counted(visit, server):
    page = visit()
    generate(page, Lyrics=f"la {ATTACK} 😀", Seed=80)
    finished_song(page)
    page.get_by_text("left out of the lyrics").wait_for()
    assert page.locator("mark", has_text="😀").count() == 1
    assert ATTACK in page.locator(".facts").inner_text()
    assert page.evaluate("window.attacked") is None
    page.get_by_label("Lyrics", exact=True).fill("")
    page.evaluate("text => document.execCommand('insertText', false, text)", "la na " * 8334)  # as if pasted
    page.get_by_text("50,003 characters to sing").wait_for()
    page.get_by_text("about 4 can be sung in 0.2 s").wait_for()


def video():
    """Pictures without sound."""
    av, file = pytest.importorskip("av"), io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    return file.getvalue()


def recording(seconds, rate=4000):
    return audio.encode(np.sin(np.arange(round(seconds * rate)) / 9)[None].astype(np.float32) / 2, rate, "flac")


def upload(page, data):
    page.locator("input[type=file]").set_input_files({"name": "clip.flac", "mimeType": "audio/flac", "buffer": data})


def test_an_upload_that_is_no_clip_is_one_line_and_a_stretch_of_a_clip_begins_a_song(visit, server):
    page = visit()
    unfold(page, "Go on from a clip")
    refused = {
        b"": "the file is empty",
        b"no sound " * 99: "this clip cannot be used",
        video(): "a mp4 file without sound",
        recording(7200): "120 minutes, at most 20 minutes are taken",
    }
    for data, told in refused.items():
        upload(page, data)
        page.get_by_text(told).wait_for()
        assert page.locator("#clip audio").count() == 0
    upload(page, recording(2.0))
    drag(page, page.locator("#clip canvas"), 0.25, 0.5)
    page.reload()
    ready(page)
    unfold(page, "Go on from a clip")
    page.locator("#clip canvas").wait_for()
    generate(page, Seconds=0.7, Seed=90)
    arguments = server.session.node(finished_song(page)).arguments
    assert arguments["prompt_from"] == pytest.approx(0.5, abs=0.05)
    assert arguments["prompt_seconds"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_generate_is_in_sight_and_what_can_be_done_with_a_take_is_close_together(visit, server, width, height):
    page = visit()
    page.set_viewport_size({"width": width, "height": height})
    button = page.get_by_role("button", name="Generate")
    for place in (0, 200):
        page.evaluate(f"scrollTo(0, {place})")
        box = button.bounding_box()
        assert 0 <= box["y"] < box["y"] + box["height"] <= height
    generate(page, Seed=110 + width)
    finished_song(page)
    page.locator(".actions").wait_for()
    jobs_and_songs = page.locator("#songs").bounding_box()
    assert jobs_and_songs["y"] < height / 2
    boxes = [one.bounding_box() for one in page.locator(".actions button").all()]
    assert len(boxes) == 6
    assert all(box["width"] < 0.55 * jobs_and_songs["width"] and box["height"] >= 36 for box in boxes)
    assert len({round(box["y"]) for box in boxes}) <= (1 if width > 700 else 3)


def test_everybody_can_use_the_page(visit, server):
    page = visit()
    assert_everybody_can_use(page)
    generate(page, Lyrics="la na 😀", Takes=2, Seed=100)
    finished_song(page)
    for part in ("A part of a longer song", "Sampling of each level", "Go on from a clip"):
        unfold(page, part)
    page.get_by_label("Top k").last.wait_for()
    assert_everybody_can_use(page)
