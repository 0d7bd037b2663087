"""`python -m jukebox_pl.app` as a user types it, and its page through HTTP."""

from __future__ import annotations

import re
import socket
import sys

import numpy as np
import pytest

from jukebox_pl import audio
from jukebox_pl.app import accounts_of, main, page_of
from jukebox_pl.cli import command
from jukebox_pl.sessions.operations import Overrides
from jukebox_pl.types import SongRequest


def open_page(run_dir, *words):
    return page_of(command.compose_config("app", [f"run_dir={run_dir}", *map(str, words)]))


def test_the_page_starts_where_sample_starts():
    app, sample = (command.settings(command.compose_config(name, [])) for name in ("app", "sample"))
    shared = app.keys() & sample.keys()
    assert {name: app[name] for name in shared} == {name: sample[name] for name in shared}
    limits = {"most_seconds", "most_candidates", "most_upload_mb", "most_waiting"}
    assert app.keys() - shared == {"host", "port", "auth", "open_browser", *limits}


MISTAKES = {
    "no run": (["run_dir=null"], "run_dir is missing, as in run_dir=runs/demo"),
    "an unfinished run": (["run_dir=."], "does not hold a finished run.*there is no bundle.json"),
    "no time": (["seconds=0"], "Seconds: expected a number of at least 0.001, found 0"),
    "an unknown artist": (["artist=Ada Bel"], "unknown artist 'Ada Bel': .*nearest are 'Ada Bell'"),
    "an unknown format": (["formats=[mp3]"], "format 'mp3' cannot be written"),
    "no device": (["device=abacus"], "device=abacus cannot be used"),
    "a port that is none": (["port=99999"], "host=127.0.0.1 port=99999 cannot be used"),
    "no host": (["host=256.0.0.1", "auth=none"], "host=256.0.0.1 port=None cannot be used"),
    "a host that others reach": (["host=0.0.0.0"], "host=0.0.0.0 lets others in: say who with auth=NAME:PASSWORD"),
    "no password": (["auth=ann"], "auth: expected NAME:PASSWORD, or a file with one a line"),
    "no adapter": (["adapter=nowhere"], "there is no adapter nowhere: give the adapter.safetensors"),
    "a misspelt setting": (["prot=1"], "did you mean port"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(finished, capsys, words, message):
    pytest.importorskip("gradio", reason="needs gradio, the extra `app`")
    assert re.search(message, refused([f"run_dir={finished}", *words], capsys))


def test_without_gradio_the_extra_is_named(finished, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "pip install 'jukebox_pl[app]'" in refused([f"run_dir={finished}"], capsys)


def test_a_port_that_is_taken_is_named(finished, capsys):
    pytest.importorskip("gradio", reason="needs gradio, the extra `app`")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"host=127.0.0.1 port={port} cannot be used" in refused([f"run_dir={finished}", f"port={port}"], capsys)


def refused(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run(main, "app", words)
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    return line


@pytest.fixture(scope="module")
def served(finished, tmp_path_factory):
    """The address of the app, and the folder of its songs, of which one is there."""
    pytest.importorskip("gradio", reason="needs gradio, the extra `app`")
    songs = tmp_path_factory.mktemp("app") / "songs"
    page = open_page(finished, f"session={songs}", "hop_fraction=1")
    request = SongRequest("Ada Bell", ("Waltz",), "la na", seconds=0.1)
    (name,) = page.studio.ask("ann", "new", Overrides(vars(request), seed=3, lowest=2))
    if job := page.studio.line.job(name):
        page.studio.line.wait(job, 120)
    yield page.launch("127.0.0.1", None, open_browser=False), songs
    page.blocks.close(verbose=False)
    page.studio.close()


def test_a_song_comes_through_http_in_every_form(served):
    import httpx

    address, songs = served
    names = ("song.wav", "song.flac", "codes.npz", "index.html")
    got = {name: httpx.get(f"{address}songs/seed_3/{name}") for name in names}
    assert {answer.status_code for answer in got.values()} == {200}
    assert got["song.wav"].content == (songs / "seed_3/song.wav").read_bytes()
    flac, wav = (audio.read(got[name].content) for name in ("song.flac", "song.wav"))
    assert flac[1] == wav[1]
    assert np.array_equal(flac[0], wav[0])
    assert "sandbox" in got["index.html"].headers["content-security-policy"]
    part = httpx.get(f"{address}songs/seed_3/song.wav", headers={"Range": "bytes=4-7"})
    assert (part.status_code, len(part.content)) == (206, 4)


def test_nothing_but_songs_can_be_fetched(served, finished):
    import httpx

    address, songs = served
    (songs / "seed_3/secret.txt").write_text("secret")
    files = (songs / "seed_3/song.wav", finished / "bundle.json", __file__, "/etc/passwd", "pyproject.toml")
    places = [
        "songs/seed_3/secret.txt",
        "songs/seed_3/node.json",
        "songs/seed_3/song.lrc",
        "songs/seed_3/..%2fseed_3%2fsong.wav",
        "songs/..%2f..%2fbundle/bundle.json",
        "songs/.%2fseed_3/song.wav",
        "songs/%2fetc/passwd",
        "songs/seed_3",
        "sounds/seed_3",
        "sounds/..%2fseed_3",
        *(f"gradio_api/file={path}" for path in files),
    ]
    status = {place: httpx.get(address + place).status_code for place in places}
    assert set(status.values()) <= {403, 404}, status


def test_who_has_no_account_sees_nothing(finished, tmp_path):
    pytest.importorskip("gradio", reason="needs gradio, the extra `app`")
    import httpx

    page = open_page(finished, f"session={tmp_path}/songs")
    try:
        address = page.launch("127.0.0.1", None, False, [("ann", "secret")])
        places = ("songs/seed_3/song.wav", "sounds/token", "config", "gradio_api/file=/etc/passwd")
        assert {httpx.get(address + place).status_code for place in places} == {401}
        with httpx.Client() as client:
            wrong = client.post(f"{address}login", data={"username": "ann", "password": "guess"})
            right = client.post(f"{address}login", data={"username": "ann", "password": "secret"})
            assert (wrong.status_code, right.status_code) == (400, 200)
            assert client.get(f"{address}sounds/token").status_code == 404
    finally:
        page.blocks.close(verbose=False)
        page.studio.close()


def test_accounts_are_read_from_a_file(tmp_path):
    (tmp_path / "accounts").write_text("ann:secret\n\nben:a:b\n")
    assert accounts_of("0.0.0.0", str(tmp_path / "accounts")) == [("ann", "secret"), ("ben", "a:b")]
    assert accounts_of("0.0.0.0", "none") is accounts_of("127.0.0.1", None) is None


def test_the_page_asks_nothing_of_other_machines(served):
    import httpx

    html = httpx.get(served[0]).text
    outside = re.findall(r"""(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""", html)
    assert not [link for link in outside if not link.startswith(served[0])]
    assert "fonts.googleapis" not in httpx.get(f"{served[0]}theme.css").text
