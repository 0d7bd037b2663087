"""What the page answers, asked as gradio asks it, without a server."""

import re
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("gradio", reason="needs gradio, the extra `app`")

from jukebox_pl.errors import UserError
from jukebox_pl.studio import views
from jukebox_pl.studio.line import BROKEN
from jukebox_pl.studio.page import LISTED, Page, owner_of, token_of
from jukebox_pl.text import characters
from jukebox_pl.types import SamplingParams, SongRequest

ATTACK = "<script>alert(1)</script>"
LEVELS = [0.98, 0, 0.0, 1.0, 1.0] * 3
WEIGHTS = [50] * 4
NOBODY = SimpleNamespace(username=None, session_hash="new")
PATIENCE = 120.0


@pytest.fixture
def page(studio):
    return Page(studio, SongRequest(), SamplingParams(), seed=0, lowest=2)


def form(artists=("Ada Bell",), genres=("Waltz",), lyrics="la na", seconds=0.1, seed=3, takes=1, lowest=2):
    return [list(artists), *WEIGHTS, list(genres), *WEIGHTS, lyrics, seconds, 0, 0, seed, takes, lowest, *LEVELS]


def press(page, act, *inputs, visitor="ann", chosen="", player=None, pressed=None):
    """The chosen song, the line, and what is shown then."""
    event = SimpleNamespace(_data={"name": pressed} if pressed else None)
    return page._handler(act)(event, NOBODY, visitor, chosen, "", "", player, "", *inputs)


def plain(html):
    return re.sub(r"<[^>]+>", "", html or "").replace("&#39;", "'")


def sung(page, name):
    if job := page.studio.line.job(name):
        page.studio.line.wait(job, PATIENCE)
    return name


def test_what_is_asked_is_chosen_and_shown_at_once_and_then_as_a_song(page):
    chosen, line, jobs, tree, player, facts, *_ = press(page, page.generate, None, *form())
    assert (chosen, line) == ("seed_3", "")
    assert "seed_3" in jobs
    assert player["songs"][0]["name"] == "seed_3"
    assert "Ada Bell, Waltz, seed 3" in plain(tree)
    sung(page, chosen)
    jobs, tree, player, facts, *switched = page.look(NOBODY, "ann", chosen, jobs, tree, player, facts)
    assert jobs == ""
    assert player["songs"][0]["src"] == "songs/seed_3/song.wav"
    assert "la na" in facts
    assert [update.get("visible") for update in switched[:3]] == [True, False, True]


def test_the_page_of_the_session_has_what_was_sung_and_what_is_picked(page):
    folder = page.studio.session.folder
    for seed in (3, 4):
        sung(page, press(page, page.generate, None, *form(seed=seed))[0])
        assert f"<h2>seed_{seed}</h2>" in (folder / "index.html").read_text()
    press(page, page.pick, chosen="seed_3")
    assert re.findall("<h2>(.*?)</h2>", (folder / "index.html").read_text()) == ["seed_4", "★ seed_3"]


def test_what_has_not_changed_is_not_sent_again(page):
    chosen, _, *shown = press(page, page.generate, None, *form())
    sung(page, chosen)
    shown = page.look(NOBODY, "ann", chosen, *shown[:4])[:4]
    again = page.look(NOBODY, "ann", chosen, *shown)
    assert all(part["__type__"] == "update" and len(part) == 1 for part in again[:4])


MISTAKES = {
    "no length": ({"seconds": None}, "Seconds: expected a number from 0.001 to 1000, found nothing"),
    "half a seed": ({"seed": 1.5}, "Seed: expected a whole number from 0 to 9.0072e+15, found 1.5"),
    "too many takes": ({"takes": 99}, "Takes: expected a whole number from 1 to 8, found 99"),
    "no such level": ({"lowest": 7}, "How far: expected a whole number from 0 to 2, found 7"),
    "an unknown artist": ({"artists": ["Ada Bel"]}, "unknown artist 'Ada Bel': this model knows 4, nearest are 'Ada Bell'"),
    "an unknown genre": ({"genres": ["Walz"]}, "unknown genre 'Walz': this model knows 3, nearest are 'Waltz'"),
    "nothing to sing": ({"lyrics": "QQ"}, "nothing is left of these lyrics: this model sings"),
    "an attack": ({"artists": [ATTACK]}, "unknown artist '&lt;script&gt;alert(1)&lt;/script&gt;'"),
}


@pytest.mark.parametrize(("wrong", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_on_the_page(page, wrong, message):
    line = press(page, page.generate, None, *form(**wrong))[1].replace("&#39;", "'")
    assert line.startswith(f'<p class="mistake" role="status">{message}')
    assert "\n" not in line
    assert not page.studio.session.names()


def test_a_bug_is_told_and_goes_to_the_terminal(page, monkeypatch, capsys):
    monkeypatch.setattr(page.studio, "ask", lambda *_, **__: 1 / 0)
    assert plain(press(page, page.generate, None, *form())[1]) == BROKEN
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("junk", [None, 3, "x", [], {}, {"at": "x"}, {"begin": [1], "end": {}}, {"songs": [7]}])
def test_what_no_page_of_ours_says_is_refused_in_a_line(page, junk):
    chosen = sung(page, press(page, page.generate, None, *form())[0])
    for act, inputs in ((page.cut, ()), (page.regenerate, (False, *form()))):
        assert 'class="mistake"' in press(page, act, *inputs, chosen=chosen, player=junk)[1]
    assert token_of(junk) == ""


@pytest.mark.parametrize("name", ["../../etc", "", ATTACK, "seed_99"])
def test_a_song_that_is_none_is_not_chosen(page, name):
    assert press(page, page.choose, pressed=name)[0] == ""
    assert page.look(NOBODY, "ann", name, "", "", None, "")[2]["songs"] == []


def test_the_settings_of_a_song_go_back_into_the_form(page):
    asked = form(genres=["Waltz", "March"], seed=8)
    chosen = press(page, page.generate, None, *asked)[0]
    assert page.settings(chosen) == asked


def test_others_see_that_a_song_waits_and_not_which(page):
    press(page, page.generate, None, *form(lyrics="la", seconds=100))
    assert "Another visitor" in page.look(NOBODY, "ben", "", "", "", None, "")[0]
    assert "seed_3" not in page.look(NOBODY, "ben", "", "", "", None, "")[0]


@pytest.mark.parametrize("kept", [None, [], [7], [{"songs": [{"name": "gone"}]}]])
def test_who_is_new_keeps_the_name_that_they_are_asked_by_at_once(page, kept):
    assert page.come_in(NOBODY, "", kept)[0] == owner_of(NOBODY, "") == "new"
    assert page.come_in(NOBODY, "ann", kept)[0] == "ann"


def test_whoever_has_logged_in_is_known_by_that():
    assert owner_of(SimpleNamespace(username="ann", session_hash="new"), "x") == "ann"
    assert owner_of(NOBODY, "x" * 1000) == "x" * 100


def test_lyrics_are_counted_as_they_are_typed(page):
    assert plain(views.count(page.studio, "la na")).startswith("5 characters to sing")
    assert "left out of the lyrics: 2 times" in views.count(page.studio, "la naQQ")
    assert views.count(page.studio, "la naQQ").count("<mark>Q</mark>") == 2
    assert "about 60 can be sung in 3 s" in views.count(page.studio, "la na " * 100, 3)
    assert "songs of up to 4.0 s, not 9 s" in views.count(page.studio, "la na", 9)
    assert "songs of up to 4.0 s, not 503 s" in views.count(page.studio, "la na", 3, 0, 500)
    assert 'class="mistake"' in views.count(page.studio, "QQ")
    assert "<script>" not in views.count(page.studio, f"la {ATTACK}")


def test_lyrics_that_need_a_missing_package_say_so(page, monkeypatch):
    monkeypatch.setattr(page.studio.labeller, "characters", characters.ReleasedCharacters("v2"))
    monkeypatch.setitem(sys.modules, "unidecode", None)
    assert "pip install unidecode" in views.count(page.studio, "für")


def test_of_thousands_of_artists_those_are_listed_that_are_typed(page, monkeypatch):
    artists = page.studio.labeller.artists.__class__([f"Anna {n}" for n in range(900)] + [f"Ben {n}" for n in range(900)])
    monkeypatch.setattr(page.studio.labeller, "artists", artists)
    monkeypatch.setattr(page, "artists", artists.names)
    listed = page.narrow(SimpleNamespace(input_value="  ANNA "))["choices"]
    assert len(listed) == LISTED
    assert all(name.startswith("Anna") for name in listed)


def test_the_form_starts_with_what_was_given(studio):
    names = studio.labeller.artists.names[1:3]
    request = SongRequest(dict(zip(names, (0.8, 0.2), strict=True)), ("Waltz",), "mi", seconds=7.0, total_seconds=20.0)
    page = Page(studio, request, SamplingParams((0.9, 0.8, 0.7), hop_fraction=(1.0, 0.5, 0.25)), seed=5, candidates=2)
    values = [component.value for component in page.form]
    assert values[:5] == [names, 100, 25, 50, 50]
    assert values[5] == ["Waltz"]
    assert values[10:17] == ["mi", 7.0, 20.0, 0.0, 5, 2, 0]
    assert (values[17::5], values[20::5]) == ([0.9, 0.8, 0.7], [1.0, 0.5, 0.25])


def test_a_form_that_starts_with_an_unknown_name_is_refused(studio):
    with pytest.raises(UserError, match="nearest are 'Ada Bell'"):
        Page(studio, SongRequest("Ada Bel"), SamplingParams(), seed=0)


def test_an_adapter_has_a_slider_where_there_is_one(adapted, page):
    assert not [component for component in page.form if str(component.label).startswith("Strength")]
    page = Page(adapted, SongRequest(), SamplingParams(), seed=0, lowest=2)
    assert (page.form[-1].label, page.form[-1].value) == ("Strength of whisper", 1.0)
    asked = [*form(), 0.5]
    chosen, line, *_ = press(page, page.generate, None, *asked)
    assert line == ""
    assert "strength of whisper" in page.look(NOBODY, "ann", sung(page, chosen), "", "", None, "")[3]
    assert page.settings(chosen) == asked
    assert press(page, page.generate, None, *form(), "much")[1].startswith('<p class="mistake"')
