"""Settings that nobody means, and files that are none: one line, exit code 2, nothing left behind."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import outcome
from small_run import save_singing_run

from jukebox_pl import convert, evaluate
from jukebox_pl.cli import command
from jukebox_pl.sample import cli_main

pytestmark = pytest.mark.slow

LONG = "n" * 300
FILES: dict[str, Callable[[Path], object]] = {
    "pipe": lambda path: os.mkfifo(path),
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "deep": lambda path: path.write_text("[" * 100_000),
    "blocks": lambda path: path.write_text("".join(" " * i + "- \n" for i in range(600)) + "x"),
    "aliases": lambda path: path.write_text("a: &a [1]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(9))),
    "large": lambda path: path.write_bytes(b"- {at: 1}\n" * 10**6),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 10),
    "python": lambda path: path.write_text("!!python/object/apply:os.system [true]"),
    "number": lambda path: path.write_text("7"),
    "mapping": lambda path: path.write_text("- {at: {}, artist: [[]]}"),
}
SAMPLE = [
    *(f"seconds={value}" for value in ("1e9", "1e300", "86401", "nan", "1e-300", "[1]", "9" * 400)),
    *(f"{name}={value}" for name in ("offset_seconds", "total_seconds") for value in ("1e300", "-1")),
    *(f"candidates={value}" for value in (10**9, "null")),
    *(f"seed={value}" for value in ("1.5", "9" * 5000)),
    *(f"levels={value}" for value in (10**9, "[0,1]")),
    *(f"device={value}" for value in ("meta", "cuda:99", "cpu:x", "xla", "[cpu]", "''")),
    *(f"schedule={{{name}}}" for name in FILES),
    *(
        f"schedule={value}"
        for value in ("7", "{}", "[7]", "[{at: 0}]", "[{at: 1e300}]", "[{at: 1, lyrics: [[]], x: 1}]", LONG)
    ),
    *(f"out={value}" for value in ("/proc/x", "/proc/self/x/y", f"{{tmp}}/{LONG}", "/dev/null/x", "{number}/x")),
    *(f"session={value}" for value in ("/proc/x", f"{{tmp}}/{LONG}", "/dev/null/x", "{number}")),
    *(f"run_dir={value}" for value in ("{pipe}", "{zero}", "{folder}", "{number}", LONG, "n/" * 3000, "/proc/self")),
    *(f"parallel_windows={value}" for value in (10**9, "[[1]]")),
    *(f"temperature={value}" for value in ("nan", "[]", "{a: 1}")),
    *(f"hop_fraction={value}" for value in ("[]",)),
    *(f"top_k={value}" for value in ("0.5", "[]")),
    *(f"artist={value}" for value in ("{}", "{Anna: nan}", "{Anna: x}", "[Anna]", "x" * 5000)),
    *(f"genre={value}" for value in ("{}", "[[folk]]")),
    *(f"dtype={value}" for value in ("complex64", "[1]")),
    *(f"weights={value}" for value in ("[]",)),
    *(f"formats={value}" for value in ("[[]]",)),
    *(f"mode={value}" for value in ("[]", "..", "extend", "show")),
    *(f"mode=extend node={value}" for value in ("..", "''", LONG)),
    "mode=cut node=a at=1e300",
    "mode=regenerate node=a from=0 to=9e999",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_singing_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Each of FILES, by name, and `tmp`, an empty folder."""
    for name, make in FILES.items():
        make(tmp_path / name)
    (tmp_path / "tmp").mkdir()
    return {name: tmp_path / name for name in (*FILES, "tmp")}


def said(action: Callable[[], None]) -> str:
    """What a command prints to standard error as it ends with code 2."""
    with contextlib.redirect_stderr(io.StringIO()) as heard, contextlib.redirect_stdout(io.StringIO()):
        try:
            action()
        except SystemExit as stopped:
            if stopped.code == command.MISTAKE:
                return heard.getvalue()
    raise AssertionError(f"it went well: {heard.getvalue()}")


def require_one_line(action: Callable[[], None]) -> None:
    kind, text = outcome(lambda: said(action))
    assert kind == "done", text
    errors = [line for line in text.splitlines() if not line.startswith("warning: ")]
    assert len(errors) == 1, text
    assert errors[0].startswith("error: "), text
    assert len(errors[0]) < 2000, text


def inserted(words: str, files: dict[str, Path]) -> list[str]:
    for name, path in files.items():
        words = words.replace(f"{{{name}}}", str(path))
    return words.split(" ") if words.startswith("mode=") else [words]


@pytest.mark.parametrize("words", SAMPLE, ids=lambda words: words[:40])
def test_sample(run: Path, files: dict[str, Path], words: str) -> None:
    given = inserted(words, files)
    names = {word.partition("=")[0] for word in given}
    usual = {"run_dir": run, "session": files["tmp"] / "songs", "device": "cpu", "seconds": 1.6}
    taken = {"out": "session"}  # one of the two
    others = [
        f"{name}={value}" for name, value in usual.items() if not names & {name, *(k for k, v in taken.items() if v == name)}
    ]
    require_one_line(lambda: cli_main([*others, *given]))
    assert list(files["tmp"].iterdir()) == []


EVALUATE = [
    *(f"windows={value}" for value in (0, -1, "1.5", "[]", "null", "9" * 400)),
    *(f"samples={value}" for value in (-1, "x")),
    *(f"sample_seconds={value}" for value in ("nan", "1e9", 0)),
    *(f"out={value}" for value in ("/proc/x/y", "{number}", "{number}/x", f"{{tmp}}/{LONG}")),
    *(f"run_dir={value}" for value in ("{pipe}", "{folder}", LONG)),
    *(f"data.path={value}" for value in ("{folder}", "{number}", LONG, "{pipe}")),
    "device=meta",
    "+params.unheard_of=1",
    "params.temperature=[]",
    "what=[]",
    "what=nothing",
]


@pytest.mark.parametrize("words", EVALUATE, ids=lambda words: words[:40])
def test_evaluate(run: Path, demo_shards: Path, files: dict[str, Path], words: str) -> None:
    given = inserted(words, files)
    usual = {"run_dir": run, "data.path": demo_shards, "out": files["tmp"] / "out"}
    others = [f"{name}={value}" for name, value in usual.items() if not given[0].startswith(f"{name}=")]
    require_one_line(lambda: command.run(evaluate.main, "evaluate", [*others, *given]))
    assert list(files["tmp"].iterdir()) == []


CONVERT = [
    *(f"openai={{{name}}}" for name in FILES),
    *(f"openai={value}" for value in ("/dev/zero", LONG, "[]", "{}", "7")),
    *(f"openai={{tmp}} labels.artists={{{name}}}" for name in ("zero", "pipe", "binary", "folder", "large")),
    "openai={pipe} out=/proc/x",
]


@pytest.mark.parametrize("words", CONVERT, ids=lambda words: words[:40])
def test_convert(files: dict[str, Path], tmp_path: Path, words: str) -> None:
    given = [word for part in words.split(" ") for word in inserted(part, files)]
    out = [] if any(word.startswith("out=") for word in given) else [f"out={tmp_path / 'out'}"]
    require_one_line(lambda: command.run(convert.main, "convert", [*out, *given]))
    assert not (tmp_path / "out").exists()
