"""`--help`: what a command does and costs, its choices, its settings. Answered before anything heavy is imported."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

WORDS = {"-h", "--help"}
FIRST = ("recipe", "size", "data")  # of the choices; others follow as the YAML has them
OF_EVERY_COMMAND = {
    "--print": "shows all settings as composed, and does nothing else",
    "quiet=true": "says nothing but warnings and mistakes",
    "json=true": "standard output is one line of JSON: the result, or the error",
}
WIDTH = 80  # columns, where no terminal says another number
LEAST = 30  # columns for what a setting means; narrower, it stands below its name
COLUMNS = re.compile(r"\S+(?: \S+)*  +(?=\S)")  # Command:  python ...
SETTING = re.compile(r"^( *)([\w.]+):(?: +([^#\s].*?))?(?: +# (.*))?$")


def is_asked(name: str, words: Sequence[str]) -> bool:
    """Whether the command line asks for help: in words, or by none at all where hours of work would begin."""
    return bool(WORDS & set(words)) or (name == "fit" and not words)


def answer(name: str) -> None:
    """Where the command line asks for help, prints it and ends the process. For a command to call first."""
    if is_asked(name, sys.argv[1:]):
        from contextlib import suppress

        with suppress(BrokenPipeError):
            print(help_text(name, sys.argv[1:]), flush=True)
        raise SystemExit(0)


def recipes_folder() -> Path:
    """The YAML files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(folder for folder in (package / "recipes", package.parent / "recipes") if folder.is_dir())


def help_text(name: str, words: Iterable[str] = ()) -> str:
    """The head of the command's YAML and of every choice among the `words`; its choices; its settings and what they are."""
    folder, width = recipes_folder(), shutil.get_terminal_size((WIDTH, 24)).columns
    lines = (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    text = list(head_of(lines, width))
    for group, _, choice in (word.partition("=") for word in words):
        path = folder / group / f"{choice}.yaml"
        if re.fullmatch(r"\w+", group) and re.fullmatch(r"\w+", choice) and path.is_file():
            text += ["", f"{group}={choice}", *head_of(path.read_text(encoding="utf-8").splitlines(), width)]
    defaults = [found[1] for line in lines if (found := re.match(r"  - (\w+): ", line)) and (folder / found[1]).is_dir()]
    groups = sorted(defaults, key=lambda group: FIRST.index(group) if group in FIRST else len(FIRST))
    text += ["", "Choices (given one, --help says more):"] if groups else []
    for group in groups:
        choices = "|".join(sorted(file.stem for file in (folder / group).glob("[!_]*.yaml")))
        text += textwrap.wrap(f"{group}={choices.replace('|', ' | ')}", width, initial_indent="  ", subsequent_indent="    ")
    text += ["", "Settings:", *described(settings_of(lines), width)]
    return "\n".join([*text, "", "Of every command:", *described(OF_EVERY_COMMAND.items(), width)])


def head_of(lines: Sequence[str], width: int) -> Iterator[str]:
    """The comment that a YAML begins with: its paragraphs, and lines of two columns, folded at `width`."""
    paragraphs = [""]
    for line in takewhile(lambda line: line.startswith("#"), (line for line in lines if not line.startswith("# @package"))):
        text = line[1:].strip()
        if text and paragraphs[-1] and not COLUMNS.match(text):
            paragraphs[-1] += f" {text}"
        else:
            paragraphs.append(text)
    for text in paragraphs[1:]:
        columns = COLUMNS.match(text)
        yield from textwrap.wrap(text, width, subsequent_indent=" " * (columns.end() if columns else 0)) or [""]


def settings_of(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """`name=value` of every setting in a YAML, dotted where it is nested, and its comment; comments between them as
    headings. What has a class of its own, and lists, are left to --print."""
    path: list[str] = []
    seen = inside_defaults = False
    for line in lines:
        inside_defaults = line.startswith("defaults:") or (inside_defaults and line.startswith((" ", "\t")))
        if line.startswith("#") and seen:
            yield line[2:], ""
        if inside_defaults or not (found := SETTING.match(line)):
            continue
        seen, depth = True, len(found[1]) // 2
        path[depth:] = [found[2]]
        value, comment = found[3] or "", found[4] or ""
        if depth > 1 or found[2] == "_target_" or ("${" in value and depth):
            continue
        if value or comment:
            yield f"{'.'.join(path)}={value}", comment


def described(entries: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Names on the left, what they mean on the right, or below where there is no room."""
    rows = list(entries)
    left = min(max((len(name) for name, meaning in rows if meaning), default=0), 30) + 4
    for name, meaning in rows:
        if not meaning:  # a heading, or a setting that explains itself
            yield from textwrap.wrap(name, width, initial_indent="  ", subsequent_indent="  ")
            continue
        indent = " " * (left if width - left >= LEAST else 6)
        folded = textwrap.wrap(meaning, width, initial_indent=indent, subsequent_indent=indent)
        if len(name) + 3 <= len(indent):
            yield f"  {name}".ljust(len(indent)) + folded[0].lstrip()
            folded = folded[1:]
        else:
            yield f"  {name}"
        yield from folded
