"""The command line: `name=value` words over the YAML of recipes/, one line and exit code 2 for a user's mistake."""

from __future__ import annotations

import difflib
import errno
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jukebox_pl.errors import UserError

MISTAKE, INTERRUPTED = 2, 130
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR, errno.EEXIST)
TEXTS = ("lyrics",)  # whatever Hydra would read in them: [Verse] is no list
FROM_A_WORKER = f"{UserError.__module__}.{UserError.__name__}: "  # what stands before its message in a traceback
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


def recipes_folder() -> Path:
    """The YAML files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(folder for folder in (package / "recipes", package.parent / "recipes") if folder.is_dir())


def compose_config(name: str, words: list[str]) -> DictConfig:
    """The config `name`.yaml under the `words`. Raises UserError naming what is wrong and what comes near."""
    choices = [word for word in words if word.startswith("hydra.") or (recipes_folder() / word.partition("=")[0]).is_dir()]
    with initialize_config_dir(str(recipes_folder()), version_base="1.3"):
        try:
            config = compose(name, [literal(word) for word in words])
            require_kinds(settings(compose(name, choices)), settings(config))
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(str(error), known_names(name))) from None
    return config


def literal(word: str) -> str:
    """`name=value` as Hydra takes it: quoted where it is no value but a text, with its commas, brackets and line ends."""
    name, given, value = word.partition("=")
    if given and name.rpartition(".")[2] in TEXTS:
        return f"{name}=" + quoted(value.replace("${", r"\${"))
    try:
        is_text = OverridesParser.create().parse_override(word).is_sweep_override()
    except HydraException:
        is_text = bool(given)
    return f"{name}={quoted(value)}" if is_text else word


def quoted(text: str) -> str:
    """As Hydra reads it: backslashes count only before a quote, and at the end."""
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), text) + "'"


def settings(config: DictConfig) -> dict[str, Any]:
    """Dotted names and values, as written."""
    return dict(flat(OmegaConf.to_container(config, resolve=False)))


def require_kinds(usual: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raises UserError where a word stands for a number, or a number for a switch."""
    for name, value in given.items():
        was = usual.get(name)
        kind = KINDS.get(type(was))
        if kind and value is not None and not isinstance(value, kind.types) and "${" not in str(value):
            raise UserError(f"{name}={value}: expected {kind.words}, such as {was}")


def known_names(name: str) -> set[str]:
    """What a user may have meant: dotted settings and the choices of every group."""
    choices = {file.stem for file in recipes_folder().glob("*/*.yaml")}
    return choices | set(settings(compose(name)))


def flat(tree: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All dotted names in a config, and what stands there."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield f"{prefix}{key}", value
            yield from flat(value, f"{prefix}{key}.")


def explain(message: str, known: Iterable[str]) -> str:
    """One line out of Hydra's several, with the nearest names for a misspelt one."""
    lines = [line.strip() for line in message.rpartition(IN_A_RESOLVER)[-1].splitlines() if line.strip()]
    wrong = re.search(r"(?:Could not override|Key|find) '(?:[^'/]*/)?([^']+)'", message)
    near = difflib.get_close_matches(wrong[1], list(known), n=3) if wrong else []
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    kept = [line for line in lines if not line.startswith(NOISE)]
    return " ".join(kept) + hint


def run(main: Callable[[DictConfig], None], name: str, argv: list[str] | None = None) -> None:
    """Composes the config and calls `main`; prints a UserError as one line and exits with code 2."""
    words = sys.argv[1:] if argv is None else argv
    warnings.formatwarning = format_warning
    try:
        if {"-h", "--help"} & set(words):
            print(help_text(name))
            return
        main(compose_config(name, words))
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from here\n")
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        if (mistake := mistake_in(error)) is None:
            raise
        sys.stderr.write(f"error: {mistake}\n")
        raise SystemExit(MISTAKE) from None


def format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """One line; of other libraries also where it happened."""
    ours = Path(filename).is_relative_to(Path(__file__).parents[1])
    return f"warning: {message}\n" if ours else f"{Path(filename).name}:{lineno}: {category.__name__}: {message}\n"


def mistake_in(error: BaseException) -> str | None:
    """What to tell a user of an error, if it is theirs: also where another library has wrapped it in one of its own."""
    if isinstance(error, UserError):
        return " ".join(str(error).rpartition(FROM_A_WORKER)[-1].split("\n"))
    if error.__cause__ and (cause := mistake_in(error.__cause__)):
        return cause
    if isinstance(error, OmegaConfBaseException):
        return explain(str(error), ())
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"{error.filename or 'the disk'}: {error.strerror}; make room or choose another folder, and run it again"
    return None


def help_text(name: str) -> str:
    """The comment at the head of the YAML, its groups and its settings."""
    folder = recipes_folder()
    text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    head = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    body = [line for line in text.splitlines() if line and not line.startswith("#")]
    choices = {group.name: sorted(file.stem for file in group.glob("*.yaml")) for group in sorted(folder.iterdir())}
    groups = [f"  {group}={'|'.join(names)}" for group, names in choices.items() if f" {group}:" in text]
    return "\n".join([*head, "", *groups, "", *body])
