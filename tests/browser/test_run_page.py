from contextlib import suppress

import pytest
from browser.checks import assert_everybody_can_use, wait_until
from made_run import write_run

from jukebox_pl.report.run_page import write_run_page

PATIENCE = 120.0  # seconds; a machine may be busy


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "a_run_of_a_rather_long_name")


def test_it_fits_and_can_be_used_by_everybody(open_page, run_dir):
    assert_everybody_can_use(open_page(write_run_page(run_dir)))


def test_what_is_long_is_folded_on_a_phone_but_for_curves_that_still_grow(open_page, run_dir):
    path = write_run_page(run_dir)
    unfolded = "[...document.querySelectorAll('details[open]')].map((part) => part.closest('section').id + part.innerText)"
    phone, desk = (open_page(path, width=width).evaluate(unfolded) for width in (390, 1280))
    assert [part.split("\n")[0] for part in phone] == ["a_priorCurves"]
    assert [part.split("\n")[0] for part in desk if part.startswith("vqvae")] == [
        "vqvaeCurves",
        "vqvaeAt other steps",
        "vqvaePictures",
    ]


def test_so_does_the_page_of_a_sample(open_page, run_dir):
    write_run_page(run_dir)
    assert_everybody_can_use(open_page(run_dir / "vqvae" / "index.html"))


def test_two_runs_side_by_side_too(open_page, run_dir, tmp_path):
    other = write_run(tmp_path / "other", lr=0.2)
    assert_everybody_can_use(open_page(write_run_page(run_dir, other, tmp_path / "both.html")))


def test_a_live_page_loads_itself_again_but_not_while_something_is_heard(open_page, tmp_path):
    from playwright.sync_api import Error

    page = open_page(write_run_page(write_run(tmp_path / "run", seconds=8.0), path=tmp_path / "live.html", refresh=60))
    page.clock.install()
    page.reload()
    page.evaluate("window.isOld = true; document.querySelector('audio').playbackRate = 0.1")  # heard for 80 s
    page.evaluate("document.querySelector('audio').play()")
    page.clock.fast_forward(61_000)
    assert page.evaluate("window.isOld")
    page.evaluate("document.querySelector('audio').pause()")
    with suppress(Error):  # the clock is one of the page that goes
        page.clock.fast_forward(61_000)
    wait_until(page, "window.isOld === undefined", PATIENCE)
