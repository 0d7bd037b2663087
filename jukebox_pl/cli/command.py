"""The command line: `name=value` words over the YAML of recipes/, one line and exit code 2 for a user's mistake."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jukebox_pl import errors
from jukebox_pl.cli import help, multirun
from jukebox_pl.cli.help import recipes_folder
from jukebox_pl.cli.output import Output, output_of, reader_is_gone
from jukebox_pl.errors import UserError
from jukebox_pl.utils.earlier_versions import ARGUMENTS
from jukebox_pl.utils.quoting import quoted

MISTAKE, INTERRUPTED, UNHEARD = 2, 130, 141
STOPPED = "stopped; the same command goes on from here"
LONGEST_LINE = 1200
PRINT = "--print"
BATCH, AUTO = "batch_size", "auto"  # as large as fits: `auto:NUMBER` of a step of so many, by itself of the recipe's
OF_A_FOLDER = {"recogniser": "transformers"}  # groups that take a folder, and the choice whose `path` it then is
TEXTS = ("lyrics",)  # whatever Hydra would read in them: [Verse] is no list
# Other words for a setting of a command.
SINGING = {"genres": "genre", "bundle": "run_dir"}
ALIASES = {"sample": SINGING, "app": SINGING, "evaluate": {"bundle": "run_dir"}, "fit": {"bundle": "init_from"}}
IN_A_RESOLVER = "UserError raised while resolving interpolation: "
NOISE = ("To append", "full_key", "object_type", "Set the env", "reference_", "Config search path", "provider=")


class Kind(NamedTuple):
    """What may stand where a value of some type stood, and how to say it."""

    types: tuple[type, ...]
    words: str


KINDS = {
    bool: Kind((bool,), "true or false"),
    int: Kind((int, list), "a whole number"),
    float: Kind((int, float, list), "a number"),
}


def run(main: Callable[[DictConfig], Mapping[str, Any] | None], name: str, argv: list[str] | None = None) -> None:
    """Composes the config and calls `main`, whose result is what json=true prints.

    A UserError is one line and exit code 2, Ctrl-C one line and 130; a reader that has gone, as `head` goes, ends the
    command with 141, as it would end others.
    """
    words = sys.argv[1:] if argv is None else argv
    output = Output(json="json=true" in words)
    warnings.formatwarning = format_warning
    try:
        if help.is_asked(name, words):
            print(help.help_text(name, words), flush=True)
            return
        if name == "fit" and set(multirun.FLAGS) & set(words):
            multirun.multirun(name, [word for word in words if word not in multirun.FLAGS])
            return
        output, words = output_of(words)
        config = compose_config(name, as_typed(name, [word for word in words if word != PRINT]))
        if PRINT in words:
            print(yaml.safe_dump(resolved(config), sort_keys=False, allow_unicode=True), end="", flush=True)
            return
        with output.directed():
            result = main(config)
        if result is not None:
            output.tell(name, result)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write(f"{STOPPED}\n")
        output.tell(name, {"error": STOPPED})
        raise SystemExit(INTERRUPTED) from None
    except SystemExit as ended:  # SIGTERM, which was told already
        if ended.code:
            output.tell(name, {"error": f"ended with exit code {ended.code}; {STOPPED}"})
        raise
    except BrokenPipeError:
        if not reader_is_gone():
            raise
        raise SystemExit(UNHEARD) from None
    except Exception as error:
        if (mistake := mistake_in(error)) is None:
            output.tell(name, {"error": f"{type(error).__name__}: {errors.one_line(str(error))}"})
            raise
        if len(mistake) > LONGEST_LINE:  # it quotes what was given, which may have any length
            mistake = f"{mistake[: LONGEST_LINE // 2]} ... {mistake[-LONGEST_LINE // 2 :]}"
        sys.stderr.write(f"error: {mistake}\n")
        output.tell(name, {"error": mistake})
        raise SystemExit(MISTAKE) from None


def mistake_in(error: BaseException) -> str | None:
    """What to tell a user of an error, if it is theirs: of everybody's, and of those of Hydra and OmegaConf."""
    if mistake := errors.mistake_in(error):
        return mistake
    if isinstance(error, OmegaConfBaseException):
        return explain(str(error), ())
    return mistake_in(error.__cause__) if error.__cause__ else None


def compose_config(name: str, words: list[str]) -> DictConfig:
    """The config `name`.yaml under the `words`.

    Raises UserError naming what is wrong and what comes near, also where a word stands for a number, or a number for a
    switch.
    """
    recipes = recipes_folder()
    words = [part for word in words for part in spelt_out(word)]
    choices = [word for word in words if word.startswith("hydra.") or (recipes / word.partition("=")[0]).is_dir()]
    usual: dict[str, Any] = {}
    with initialize_config_dir(str(recipes), version_base="1.3"):
        try:
            usual = settings(compose(name, choices))
            config = compose(name, [literal(with_usual(current_name(word, usual), usual)) for word in words])
            given = settings(config)
        except (HydraException, OmegaConfBaseException) as error:
            group = re.search(r"Could not find '(\w+)/", str(error))  # a choice is misspelt, else the name of a setting
            files = recipes.glob(f"{group[1]}/*.yaml") if group else ()
            known = {file.stem for file in files} or usual or settings(compose(name))
            raise UserError(explain(str(error), known)) from None
    for setting, value in given.items():
        kind = KINDS.get(type(usual.get(setting)))
        is_decided_later = "${" in str(value) or (setting.endswith(BATCH) and str(value).startswith(AUTO))
        if kind and value is not None and not isinstance(value, kind.types) and not is_decided_later:
            raise UserError(f"{setting}={value}: expected {kind.words}, such as {usual[setting]}")
    return config


def spelt_out(word: str) -> list[str]:
    """`recogniser=FOLDER` as the choice and its path, where there is such a folder."""
    name, _, value = word.partition("=")
    if name in OF_A_FOLDER and value and Path(value).is_dir():
        return [f"{name}={OF_A_FOLDER[name]}", f"{name}.path={value}"]
    return [word]


def current_name(word: str, known: Container[str]) -> str:
    """`name=value` under the name that the setting has today, where that is `known` and the old one is not; without a `+`
    before what is there already.
    """
    name, equals, value = word.partition("=")
    if name.lstrip("+") in known:
        return word.lstrip("+")
    folder, _, last = name.rpartition(".")
    renamed = f"{folder}.{ARGUMENTS.get(last, last)}"
    is_old = name.startswith("size.") and name not in known and renamed in known
    return f"{renamed}{equals}{value}" if is_old else word


def with_usual(word: str, usual: Mapping[str, Any]) -> str:
    """`batch_size=auto` as `auto:NUMBER`, with what would stand there."""
    name, _, value = word.partition("=")
    return f"{word}:{usual[name]}" if value == AUTO and name.endswith(BATCH) and name in usual else word


def as_typed(command: str, words: list[str]) -> list[str]:
    """Every word as `name=value` under its usual name, `~` before the first `/` of a value as the user's folder.

    Raises UserError, with what was probably meant, for a word that is none: `--name`, `name = value`, a bare path, the
    second word of a value that was not quoted.
    """
    checked: list[str] = []
    for place, word in enumerate(words):
        name, given, value = word.partition("=")
        following = [*takewhile(lambda later: "=" not in later, words[place + 1 :])]
        if word.startswith("-"):
            meant = f"{name.lstrip('-').replace('-', '_')}={value if given else ' '.join(following) or 'VALUE'}"
            raise UserError(f"{word}: settings are name=value, without dashes: {shlex.quote(meant)}")
        if given and not value and following:
            raise UserError(f"{word} {following[0]}: no blank behind =, such as {shlex.quote(word + ' '.join(following))}")
        if not given and not re.fullmatch(r"~[^/]+", word):  # which takes a setting away
            raise UserError(f"{word!r} is no name=value: {meant_by(words, place, following)}")
        if re.match(r"~(/|\Z)", value):
            value = str(Path(value).expanduser())
        checked.append(f"{ALIASES.get(command, {}).get(name, name)}{given}{value}")
    return checked


def meant_by(words: list[str], place: int, following: list[str]) -> str:
    """What to write instead of a word without `=`."""
    word, after = words[place], words[place + 1 :]
    if after and after[0].startswith("="):  # catalog = songs, catalog =songs
        return f"no blanks around =, such as {shlex.quote(word + ''.join(after[:2] if after[0] == '=' else after[:1]))}"
    if place and "/" not in word and not Path(word).exists():
        return f"quote a value that has blanks, such as {shlex.quote(' '.join([words[place - 1], word, *following]))}"
    return f"say what it is, such as {shlex.quote(f'NAME={word}')} with one of the names in --help"


def literal(word: str) -> str:
    """`name=value` as Hydra takes it: quoted where it is no value but a text, with its commas, brackets and line ends."""
    name, given, value = word.partition("=")
    if given and name.rpartition(".")[2] in TEXTS:
        is_text, value = True, value.replace("${", r"\${")
    else:
        try:
            is_text = OverridesParser.create().parse_override(word).is_sweep_override()
        except (HydraException, ValueError):  # the latter for numbers of thousands of digits
            is_text = bool(given)
    if not is_text:
        return word
    return f"{name}={quoted(value)}"


def settings(config: object, prefix: str = "") -> dict[str, Any]:
    """All dotted names in a config or a tree of plain dicts, and what is written there."""
    tree = OmegaConf.to_container(config, resolve=False) if isinstance(config, DictConfig) else config
    found: dict[str, Any] = {}
    if isinstance(tree, dict):
        for key, value in tree.items():
            found |= {f"{prefix}{key}": value, **settings(value, f"{prefix}{key}.")}
    return found


def resolved(config: Any) -> Any:
    """A config as plain dicts and lists; an interpolation that cannot be resolved yet, as of a catalog, stays as written."""
    if not isinstance(config, DictConfig | ListConfig):
        return config
    written: Any = OmegaConf.to_container(config, resolve=False)
    is_dict = isinstance(config, DictConfig)
    made = dict(written) if is_dict else list(written)
    for key in written if is_dict else range(len(written)):
        with suppress(OmegaConfBaseException):  # also of what is missing: ??? stays
            made[key] = resolved(config[key])
    return made


def explain(message: str, known: Iterable[str]) -> str:
    """One line out of Hydra's several, with the nearest names for a misspelt one."""
    lines = [line.strip() for line in message.rpartition(IN_A_RESOLVER)[-1].splitlines() if line.strip()]
    wrong = re.search(r"(?:Could not override|Key|find) '(?:[^'/]*/)?([^']+)'", message)
    near = difflib.get_close_matches(wrong[1], [name for name in known if name != wrong[1]], n=3) if wrong else []
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    kept = [line for line in lines if not line.startswith(NOISE)]
    return " ".join(kept) + hint


def format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """One line; of other libraries also where it happened."""
    ours = Path(filename).is_relative_to(Path(__file__).parents[1])
    return f"warning: {message}\n" if ours else f"{Path(filename).name}:{lineno}: {category.__name__}: {message}\n"
