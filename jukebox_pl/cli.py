"""The command line: `name=value` words over the YAML of recipes/, one line and exit code 2 for a user's mistake."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jukebox_pl.errors import UserError

MISTAKE = 2
NOISE = ("To append", "full_key", "object_type", "Set the env", "reference_")


def recipes_folder() -> Path:
    """The YAML files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return next(folder for folder in (package / "recipes", package.parent / "recipes") if folder.is_dir())


def compose_config(name: str, overrides: list[str]) -> DictConfig:
    """The config `name`.yaml under `overrides`. Raises UserError naming what is wrong and what comes near."""
    with initialize_config_dir(str(recipes_folder()), version_base="1.3"):
        try:
            return compose(name, overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(str(error), known_names(name))) from None


def known_names(name: str) -> set[str]:
    """What a user may have meant: dotted settings and the choices of every group."""
    choices = {file.stem for file in recipes_folder().glob("*/*.yaml")}
    return choices | set(key_names(OmegaConf.to_container(compose(name), resolve=False)))


def key_names(tree: object, prefix: str = "") -> Iterable[str]:
    """All dotted names in a config."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield f"{prefix}{key}"
            yield from key_names(value, f"{prefix}{key}.")


def explain(message: str, known: Iterable[str]) -> str:
    """One line out of Hydra's several, with the nearest names for a misspelt one."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    wrong = re.search(r"(?:Could not override|Key|find) '(?:[^'/]*/)?([^']+)'", message)
    near = difflib.get_close_matches(wrong[1], list(known), n=3) if wrong else []
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    kept = [line for line in lines if not line.startswith(NOISE)]
    return " ".join(kept) + hint


def run(main: Callable[[DictConfig], None], name: str, argv: list[str] | None = None) -> None:
    """Composes the config and calls `main`; prints a UserError as one line and exits with code 2."""
    words = sys.argv[1:] if argv is None else argv
    try:
        if {"-h", "--help"} & set(words):
            print(help_text(name))
            return
        main(compose_config(name, words))
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(MISTAKE) from None
    except OmegaConfBaseException as error:
        sys.stderr.write(f"error: {explain(str(error), ())}\n")
        raise SystemExit(MISTAKE) from None
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from here\n")
        raise SystemExit(130) from None


def help_text(name: str) -> str:
    """The comment at the head of the YAML, its groups and its settings."""
    folder = recipes_folder()
    text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    head = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    body = [line for line in text.splitlines() if line and not line.startswith("#")]
    choices = {group.name: sorted(file.stem for file in group.glob("*.yaml")) for group in sorted(folder.iterdir())}
    groups = [f"  {group}={'|'.join(names)}" for group, names in choices.items() if f" {group}:" in text]
    return "\n".join([*head, "", *groups, "", *body])
