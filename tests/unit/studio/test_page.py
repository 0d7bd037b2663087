"""What the page answers, asked as gradio asks it, without a server."""

import re
import sys

import pytest

pytest.importorskip("gradio", reason="needs gradio, the extra `app`")

from jukebox_pl.errors import UserError
from jukebox_pl.studio.page import BROKEN, LISTED, NOT_YET, STOPPED, Page
from jukebox_pl.text import characters
from jukebox_pl.types import SamplingParams, SongRequest

FILES = ("song.wav", "song.flac", "index.html", "codes.npz", "request.json")
ATTACK = "<script>alert(1)</script>"
LEVELS = [0.98, 0, 0.0, 1.0] * 3


@pytest.fixture
def page(studio):
    return Page(studio, SongRequest(), SamplingParams(), seed=0)


def form(artist="Ada Bell", genres=("Waltz",), lyrics="la na", seconds=0.2, whole=0, offset=0.0, seed=3):
    return [artist, list(genres), lyrics, seconds, whole, offset, seed, *LEVELS]


def plain(html):
    return re.sub(r"<[^>]+>", "", html)


def test_a_song_is_shown_level_by_level_and_ends_with_its_files(page):
    begun, *between, finished = page.sing(*form())
    assert "Waiting" in begun[page.status]
    assert begun[page.stop_button]["interactive"]
    shown = [update[page.status] for update in between]
    assert [html.count("<progress") for html in shown] == [3] * len(shown)
    assert shown[-1].count(">done<") == 3
    assert "Sung into" in finished[page.status]
    folder = page.studio.session.folder / "seed_3"
    assert finished[page.song] == str(folder / "song.wav")
    assert finished[page.files] == [str(folder / name) for name in FILES]
    assert finished[page.images].count('src="data:image/png;base64,') == 2


MISTAKES = {
    "no length": ({"seconds": None}, "Seconds: expected a number of at least 0.001, found nothing"),
    "an unknown artist": ({"artist": "Ada Bel"}, "unknown artist 'Ada Bel': this model knows 4, nearest are 'Ada Bell'"),
    "an unknown genre": ({"genres": ["Walz"]}, "unknown genre 'Walz': this model knows 3, nearest are 'Waltz'"),
    "nothing to sing": ({"lyrics": "QQ"}, "nothing is left of these lyrics: this model sings"),
    "a negative seed": ({"seed": -1}, "Seed: expected a number from 0 to 9.0072e+15, found -1"),
    "an attack": ({"artist": ATTACK}, "unknown artist '&lt;script&gt;alert(1)&lt;/script&gt;'"),
}


@pytest.mark.parametrize(("wrong", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_on_the_page(page, wrong, message):
    (update,) = page.sing(*form(**wrong))
    line = str(update[page.status]).replace("&#39;", "'")
    assert line.startswith(f'<p class="mistake" role="status">{message}')
    assert "\n" not in line
    assert update[page.sing_button]["interactive"]


def test_a_bug_is_raised_after_the_visitor_was_told(page, monkeypatch):
    monkeypatch.setattr(page.studio, "job", lambda *_: 1 / 0)
    answers = page.sing(*form())
    assert plain(next(answers)[page.status]) == BROKEN
    with pytest.raises(ZeroDivisionError):
        next(answers)


def stopped_at(level, job, answers):
    """The answers to somebody who presses Stop when a level begins."""
    for update in answers:
        if f"level {level}" in job.levels:
            job.stop()
        yield update


def test_a_stopped_song_can_be_heard_as_far_as_it_came(page):
    answers = page.sing(*form())
    job = next(answers)[page.job]
    assert plain(page.hear(job)) == plain(page.hear(None)) == NOT_YET
    *_, last = stopped_at(0, job, answers)
    assert plain(last[page.status]) == STOPPED
    assert page.song not in last
    assert page.hear(job).count('src="data:audio/flac;base64,') == 2


def test_lyrics_are_counted_as_they_are_typed(page):
    assert plain(page.count("la na")) == "5 characters to sing"
    assert "5 characters to sing; left out of the lyrics: 2 times" in page.count("la naQQ")
    assert 'class="mistake"' in page.count("QQ")


def test_lyrics_that_need_a_missing_package_say_so(page, monkeypatch):
    monkeypatch.setattr(page.studio.labeller, "characters", characters.ReleasedCharacters("v2"))
    monkeypatch.setitem(sys.modules, "unidecode", None)
    assert "pip install unidecode" in page.count("für")


def test_of_thousands_of_artists_those_are_listed_that_are_typed(page, monkeypatch):
    class Typed:
        input_value = "  ANNA "

    artists = page.studio.labeller.artists.__class__([f"Anna {n}" for n in range(900)] + [f"Ben {n}" for n in range(900)])
    monkeypatch.setattr(page.studio.labeller, "artists", artists)
    listed = page.narrow(Typed())["choices"]
    assert len(listed) == LISTED
    assert all(name.startswith("Anna") for name in listed)


def test_the_form_starts_with_what_was_given(studio):
    request = SongRequest("Ada Bell", ("Waltz", "March"), "mi", seconds=7.0, total_seconds=20.0, offset_seconds=3.0)
    page = Page(studio, request, SamplingParams((0.9, 0.8, 0.7), hop_fraction=(1.0, 0.5, 0.25)), seed=5)
    values = [component.value for component in page.form]
    assert values[:7] == ["Ada Bell", ["Waltz", "March"], "mi", 7.0, 20.0, 3.0, 5]
    assert (values[7::4], values[10::4]) == ([0.9, 0.8, 0.7], [1.0, 0.5, 0.25])


def test_a_form_that_starts_with_an_unknown_name_is_refused(studio):
    with pytest.raises(UserError, match="nearest are 'Ada Bell'"):
        Page(studio, SongRequest("Ada Bel"), SamplingParams(), seed=0)
