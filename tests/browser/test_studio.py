"""The studio as a musician uses it, in a browser."""

from __future__ import annotations

import io
import time
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("gradio", reason="needs gradio, the extra `app`")
pytest.importorskip("playwright", reason="needs playwright")

from jukebox_pl import audio
from jukebox_pl.app import page_of
from jukebox_pl.cli import command
from jukebox_pl.sessions.nodes import Session
from tests.browser.checks import SCHEMES, WIDTHS, grave_violations, overflow

pytestmark = pytest.mark.slow
PATIENCE = 120_000  # milliseconds; a machine may be busy
LONG = "300"  # seconds of a song that is never done in a test
ATTACK = "<script>window.attacked = true</script><img src=x onerror='window.attacked = true'>"


class Server:
    """The app with its songs in a folder; started again it is at the same address."""

    def __init__(self, run_dir, songs):
        self.run_dir, self.session, self.port, self.page = run_dir, Session(songs), None, None

    def start(self):
        words = [f"run_dir={self.run_dir}", f"session={self.session.folder}", "hop_fraction=1", "seconds=0.2"]
        self.page = page_of(command.compose_config("app", words))
        self.address = self.page.launch("127.0.0.1", self.port, open_browser=False)
        self.port = int(self.address.rstrip("/").rpartition(":")[2])
        return self

    def stop(self):
        self.page.blocks.close(verbose=False)
        self.page.studio.close()

    @property
    def line(self):
        return self.page.studio.line


@pytest.fixture(scope="module")
def app(finished, tmp_path_factory):
    started = Server(finished, tmp_path_factory.mktemp("studio") / "songs").start()
    yield started
    started.stop()


@pytest.fixture
def server(app):
    """One for all tests, as it takes long to start: each sings with seeds of its own, and leaves nothing in the line."""
    yield app
    for job in app.line.jobs():
        app.line.stop(job)
        app.line.wait(job, PATIENCE / 1000)


@contextmanager
def visit(browser, server, width=1280, scheme="light"):
    """A visitor of their own, who leaves at the end; an error in the console is one of the test."""
    context, errors = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme), []
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.address)
    ready(page)
    yield page
    context.close()
    assert not errors


def ready(page):
    page.get_by_role("button", name="Generate").wait_for()
    page.locator(".tree, .quiet", has_text="song").first.wait_for()
    page.wait_for_timeout(1500)  # what the browser kept is put back


def fill(page, **fields):
    for label, value in fields.items():
        page.get_by_label(label).first.fill(str(value))


def generate(page, **fields):
    fill(page, **fields)
    page.get_by_role("button", name="Generate").click()


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def drag(page, waveform, begin, end):
    """Selects a stretch, from one part of a waveform's width to another."""
    waveform.scroll_into_view_if_needed()
    box = waveform.bounding_box()
    page.mouse.move(box["x"] + box["width"] * begin, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + 25, steps=5)
    page.mouse.up()


def finished_song(page, server):
    """Waits until the chosen song can be taken home; its name."""
    page.locator(".facts nav a", has_text="WAV").wait_for()
    return page.locator(".facts dd").first.inner_text()


def made(page, server, before):
    """The name of the song that is chosen and finished, another than `before`."""
    page.wait_for_function("name => document.querySelector('.facts dd')?.innerText != name", arg=before)
    return finished_song(page, server)


def test_lyrics_become_a_song_that_can_be_heard_and_taken_home(browser, server):
    with visit(browser, server) as page:
        page.locator("#artists input").click()
        page.get_by_role("option", name="Ada Bell").click()
        page.keyboard.press("Escape")
        generate(page, Lyrics="la na la", Seed=10)
        name = finished_song(page, server)
        request = server.session.node(name).request
        assert (request.artist, request.lyrics, request.seconds) == ("Ada Bell", "la na la", 0.2)
        page.wait_for_function("document.querySelector('#player audio').duration > 0.1")
        for link in ("WAV", "FLAC", "Codes"):
            with page.expect_download() as download:
                page.get_by_role("link", name=link, exact=True).click()
            assert download.value.failure() is None
        with page.expect_popup() as popup:
            page.get_by_role("link", name="Page", exact=True).click()
        assert "la na la" in popup.value.inner_text("body")


def test_artists_are_blended_by_their_weights(browser, server):
    with visit(browser, server) as page:
        page.locator("#artists input").click()
        for number in (0, 1):
            page.get_by_role("option").nth(number).click()
        page.keyboard.press("Escape")
        weight = page.locator("input[type=number]").first
        weight.fill("100")
        weight.blur()
        page.wait_for_timeout(500)
        generate(page, Seed=20)
        request = server.session.node(finished_song(page, server)).request
        assert sorted(request.artist.values()) == [50, 100]


def test_stop_stops_within_a_second_and_the_song_goes_on(browser, server):
    with visit(browser, server) as page:
        generate(page, Seconds=LONG, Seed=30)
        page.locator(".job progress").first.wait_for()
        (job,) = server.line.jobs()
        while not next(iter(job.levels.values())).done:
            page.wait_for_timeout(50)
        pressed = time.monotonic()
        press(page, "Stop")
        server.line.wait(job, 10)
        assert time.monotonic() - pressed < 1.0
        page.get_by_text("Stopped. It can go on").wait_for()
        press(page, "Go on with it")
        page.locator(".job").wait_for()
        assert server.line.jobs()[0].names == job.names


def test_windows_are_heard_as_they_finish(browser, server):
    with visit(browser, server) as page:
        generate(page, Seconds=LONG, Seed=40)
        page.wait_for_function("document.querySelector('#player audio')?.duration > 0.2")
        first = page.evaluate("document.querySelector('#player audio').duration")
        page.wait_for_function("first => document.querySelector('#player audio').duration > first", arg=first)
        assert "level 2 to" in page.locator("#player .take p").inner_text()


def test_a_song_is_continued_cut_branched_and_sung_anew_where_selected(browser, server):
    session = server.session
    with visit(browser, server) as page:
        generate(page, Lyrics="la na", Seed=50)
        first = finished_song(page, server)
        page.get_by_label("Seconds in all").fill("0.3")
        press(page, "Continue to")
        longer = made(page, server, first)
        assert session.node(longer).request.seconds == 0.3
        waveform = page.locator("#player canvas")
        waveform.click(position={"x": waveform.bounding_box()["width"] / 2, "y": 20})
        page.wait_for_function("document.querySelector('#player audio').currentTime > 0.1")
        press(page, "Cut at the playhead")
        cut = made(page, server, longer)
        assert session.node(cut).arguments["at"] == pytest.approx(0.15, abs=0.02)
        press(page, "Another take")
        again = made(page, server, cut)
        assert session.node(again).parent == session.node(cut).parent
        assert session.node(again).seed != session.node(cut).seed
        drag(page, page.locator("#player canvas").first, 0.4, 0.8)
        chosen = page.locator(".facts dd").first.inner_text()
        press(page, "Sing the selection anew")
        anew = session.node(made(page, server, chosen))
        assert anew.operation == "regenerate"
        assert anew.arguments["from"] == pytest.approx(0.4 * session.node(chosen).request.seconds, abs=0.02)
        assert page.locator(".tree li li").count() >= 3
        press(page, "★ Pick")
        page.locator(".tree button", has_text="★").wait_for()
        assert session.picked() == page.locator(".facts dd").first.inner_text()


def test_of_several_sketches_the_chosen_one_alone_is_upsampled(browser, server):
    with visit(browser, server) as page:
        page.get_by_text("Sketch: top level").click()
        generate(page, Takes=3, Seed=60)
        finished_song(page, server)
        assert page.locator("#player .take").count() == 3
        page.locator("#player .take h3 button").nth(1).click()
        page.locator("#player .take.chosen h3", has_text="seed 61").wait_for()
        page.wait_for_function("document.querySelector('.facts dd').innerText == 'seed_61'")
        press(page, "Upsample")
        node = server.session.node(made(page, server, "seed_61"))
        assert (node.operation, node.parent, node.lowest) == ("upsample", "seed_61", 0)
        assert [name for name in server.session.names() if server.session.node(name).operation == "upsample"] == [node.name]


def test_a_reload_in_mid_song_loses_nothing(browser, server):
    with visit(browser, server) as page:
        generate(page, Lyrics="la na la", Seconds=LONG, Seed=70)
        page.locator(".job progress").first.wait_for()
        page.reload()
        ready(page)
        assert page.get_by_label("Lyrics").first.input_value() == "la na la"
        assert page.get_by_label("Seconds").first.input_value() == LONG
        page.locator(".job progress").first.wait_for()
        assert page.locator(".facts dd").first.inner_text() == "seed_70"
        press(page, "Stop")
        page.get_by_text("Stopped. It can go on").wait_for()


def test_a_closed_tab_is_no_end_and_its_song_is_found_again(browser, server):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server.address)
    ready(page)
    generate(page, Seconds=LONG, Seed=80)
    page.locator(".job progress").first.wait_for()
    page.close()
    (job,) = server.line.jobs()
    time.sleep(2)
    assert server.line.jobs() == [job]
    page = context.new_page()
    page.goto(server.address)
    page.get_by_role("button", name="Stop", exact=True).click()
    server.line.wait(job, 10)
    assert server.line.jobs() == []
    context.close()


def test_after_a_restart_the_songs_are_there(browser, server):
    with visit(browser, server) as page:
        generate(page, Lyrics="la na", Seed=90)
        finished_song(page, server)
        fill(page, Seconds=LONG, Seed=91)
        press(page, "Generate")
        page.locator(".job progress").first.wait_for()
        server.stop()
        server.start()
        page.goto(server.address)
        ready(page)
        assert page.locator(".tree li").count() == len(server.session.names())
        assert page.get_by_label("Lyrics").first.input_value() == "la na"
        press(page, "Go on with it")
        page.locator(".job progress").first.wait_for()


def test_two_visitors_share_the_line_in_turns(browser, server):
    with visit(browser, server) as one, visit(browser, server) as two:
        generate(one, Seconds=LONG, Seed=100)
        one.locator(".job progress").first.wait_for()
        generate(one, Seconds=0.2, Seed=101)
        one.get_by_text("number 1 in the line").wait_for()
        generate(two, Seed=102)
        two.get_by_text("number 1 in the line").wait_for()
        two.get_by_text("Another visitor's song is being sung").wait_for()
        one.get_by_text("number 2 in the line").wait_for()
        assert two.get_by_role("button", name="Stop", exact=True).count() == 1
        one.get_by_role("button", name="Stop", exact=True).first.click()
        finished_song(two, server)
        finished_song(one, server)


def test_twenty_clicks_are_one_song(browser, server):
    before = len(server.session.names())
    with visit(browser, server) as page:
        fill(page, Seed=110)
        button = page.get_by_role("button", name="Generate")
        for _ in range(20):
            button.click(no_wait_after=True)
        finished_song(page, server)
        assert server.line.jobs() == []
        assert len(server.session.names()) == before + 1


def test_what_is_typed_stays_text(browser, server):
    with visit(browser, server) as page:
        generate(page, Lyrics=f"la {ATTACK} 😀", Seed=120)
        finished_song(page, server)
        page.get_by_text("left out of the lyrics").wait_for()
        assert page.locator("mark", has_text="😀").count() == 1
        assert ATTACK in page.locator(".facts").inner_text()
        assert page.evaluate("window.attacked") is None


def test_fifty_thousand_characters_are_counted_at_once_when_pasted(browser, server):
    with visit(browser, server) as page:
        page.get_by_label("Lyrics").first.focus()
        page.evaluate("text => document.execCommand('insertText', false, text)", "la na " * 8334)
        page.get_by_text("50,002 characters to sing").or_(page.get_by_text("50,003 characters to sing")).wait_for()
        page.get_by_text("about 4 can be sung in 0.2 s").wait_for()
        generate(page, Seed=130)
        finished_song(page, server)


def upload(page, name, kind, data):
    if not page.get_by_text("Upload or record").is_visible():
        page.get_by_role("button", name="Go on from a clip").click()
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": kind, "buffer": data})


def recording(seconds, rate=8000):
    return audio.encode(np.sin(np.arange(round(seconds * rate)) / 9)[None].astype(np.float32) / 2, rate, "wav")


def video():
    """Pictures without sound."""
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    return file.getvalue()


def two_hours():
    return audio.encode(np.zeros((1, 7200 * 4000), np.float32), 4000, "flac")


REFUSED = {
    "empty": ("empty.wav", "audio/wav", lambda: b"", "the file is empty"),
    "no sound": ("song.wav", "audio/wav", lambda: b"no sound " * 99, "this clip cannot be used"),
    "pictures": ("clip.wav", "audio/wav", video, "a mp4 file without sound"),
    "two hours": ("long.wav", "audio/wav", two_hours, "120 minutes, at most 20 minutes are taken"),
}


@pytest.mark.parametrize(("name", "kind", "data", "told"), REFUSED.values(), ids=REFUSED)
def test_an_upload_that_is_no_clip_is_one_line(browser, server, name, kind, data, told):
    with visit(browser, server) as page:
        upload(page, name, kind, data())
        page.get_by_text(told).wait_for()
        assert page.locator("#clip audio").count() == 0


def test_a_stretch_of_a_clip_begins_a_song(browser, server):
    with visit(browser, server) as page:
        upload(page, "clip.wav", "audio/wav", recording(2.0))
        page.locator("#clip canvas").wait_for()
        drag(page, page.locator("#clip canvas"), 0.25, 0.5)
        page.reload()
        ready(page)
        page.get_by_role("button", name="Go on from a clip").click()
        page.locator("#clip canvas").wait_for()
        generate(page, Seconds=0.7, Seed=140)
        arguments = server.session.node(finished_song(page, server)).arguments
        assert arguments["prompt_from"] == pytest.approx(0.5, abs=0.05)
        assert arguments["prompt_seconds"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_everybody_can_use_the_page(browser, server, width, scheme):
    with visit(browser, server, width, scheme) as page:
        assert grave_violations(page) == []
        generate(page, Lyrics="la na 😀", Takes=2, Seed=150)
        finished_song(page, server)
        for part in ("A part of a longer song", "Sampling of each level", "Go on from a clip"):
            page.get_by_role("button", name=part).click()
        page.wait_for_timeout(1000)
        assert grave_violations(page) == []
        assert overflow(page) <= 0
