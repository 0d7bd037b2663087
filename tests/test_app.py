"""`python -m jukebox_pl.app` as a user types it, and its page through HTTP."""

from __future__ import annotations

import re
import socket
import sys

import pytest

from jukebox_pl.app import main, page_of
from jukebox_pl.cli import command


def open_page(run_dir, *words):
    return page_of(command.compose_config("app", [f"run_dir={run_dir}", *map(str, words)]))


def test_the_page_starts_where_sample_starts():
    app, sample = (command.settings(command.compose_config(name, [])) for name in ("app", "sample"))
    shared = app.keys() & sample.keys()
    assert {name: app[name] for name in shared} == {name: sample[name] for name in shared}
    assert app.keys() - shared == {"host", "port", "open_browser"}


MISTAKES = {
    "no run": (["run_dir=null"], "run_dir is missing, as in run_dir=runs/demo"),
    "an unfinished run": (["run_dir=."], "does not hold a finished run.*there is no bundle.json"),
    "no time": (["seconds=0"], "Seconds: expected a number of at least 0.001, found 0"),
    "an unknown artist": (["artist=Ada Bel"], "unknown artist 'Ada Bel': .*nearest are 'Ada Bell'"),
    "an unknown format": (["formats=[mp3]"], "format 'mp3' cannot be written"),
    "no device": (["device=abacus"], "device=abacus cannot be used"),
    "a port that is none": (["port=99999"], "host=127.0.0.1 port=99999 cannot be used"),
    "no host": (["host=256.0.0.1"], "host=256.0.0.1 port=None cannot be used"),
    "a misspelt setting": (["prot=1"], "did you mean port"),
}


@pytest.mark.parametrize(("words", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(finished, capsys, words, told):
    pytest.importorskip("gradio", reason="needs gradio, the extra `app`")
    assert re.search(told, refused([f"run_dir={finished}", *words], capsys))


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
    """The address of the app, and the folder of its songs."""
    pytest.importorskip("gradio", reason="needs gradio, the extra `app`")
    songs = tmp_path_factory.mktemp("app") / "songs"
    page = open_page(finished, f"session={songs}", "hop_fraction=1")
    yield page.launch("127.0.0.1", None, open_browser=False), songs
    page.blocks.close(verbose=False)
    page.studio.close()


def ask(address, tmp_path, artist="Ada Bell"):
    """Presses Sing; the line, what is heard so far, the song, the pictures and the files."""
    from gradio_client import Client

    levels = [0.98, 0, 0.0, 1.0] * 3
    client = Client(address, verbose=False, download_files=tmp_path)
    return client.predict(artist, ["Waltz"], "la na", 0.2, 0, 0, 3, *levels, api_name="/sing")


def test_a_song_comes_through_http(served, tmp_path):
    address, songs = served
    line, _, song, _, files = ask(address, tmp_path)
    assert f"Sung into {songs / 'seed_3'}" in line
    assert [name.rpartition("/")[2] for name in files] == ["song.wav", "index.html", "codes.npz", "request.json"]
    with open(song, "rb") as heard:
        assert heard.read() == (songs / "seed_3/song.wav").read_bytes()


def test_a_mistake_comes_through_http_as_a_line(served, tmp_path):
    line, _, song, _, files = ask(served[0], tmp_path, artist="Ada Bel")
    assert "nearest are &#39;Ada Bell&#39;" in line
    assert not isinstance(song, str)
    assert not isinstance(files, list)


def test_nothing_but_songs_can_be_fetched(served, finished, tmp_path):
    import httpx

    address, songs = served
    ask(address, tmp_path)
    (songs / "seed_3/secret.txt").write_text("secret")
    status = {
        path: httpx.get(f"{address}gradio_api/file={path}").status_code
        for path in (
            songs / "seed_3/song.wav",
            songs / "seed_3/secret.txt",
            songs / "seed_3/song.wav/../secret.txt",
            songs / "seed_3",
            finished / "bundle.json",
            __file__,
            "/etc/passwd",
            "pyproject.toml",
        )
    }
    assert list(status.values()) == [200] + [403] * (len(status) - 1), status


def test_the_page_asks_nothing_of_other_machines(served):
    import httpx

    html = httpx.get(served[0]).text
    outside = re.findall(r"""(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""", html)
    assert not [link for link in outside if not link.startswith(served[0])]
    assert "fonts.googleapis" not in httpx.get(f"{served[0]}theme.css").text
