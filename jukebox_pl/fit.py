"""`python -m jukebox_pl.fit recipe=NAME`: trains the stages of a recipe in order. Parse, build, call."""

from __future__ import annotations

import logging
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from jukebox_pl import cli
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.labels import Vocabulary
from jukebox_pl.text import Characters

CATALOG_FACTS = {
    "artists": lambda catalog: len(Vocabulary(catalog.artists)),
    "genres": lambda catalog: len(Vocabulary(catalog.genres)),
    "characters": lambda catalog: len(Characters(catalog.characters)),
    "has_lyrics": lambda catalog: bool(catalog.characters),
    "max_duration": lambda catalog: catalog.max_duration,
}


@cache
def catalog_fact(path: str, name: str) -> Any:
    """${catalog:PATH,NAME} in YAML: what a network has to know of the catalog it is trained on."""
    return CATALOG_FACTS[name](Catalog.load(path))


def first(*values: Any) -> Any:
    """${first:A,B} in YAML: the first that is not null."""
    return next((value for value in values if value is not None), None)


def main(config: DictConfig) -> None:
    from jukebox_pl.stages.run import walk  # imports Lightning: --help and mistakes answer at once without it

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchdata")
    walk(config.stages, Path(config.run_dir))


def cli_main() -> None:
    OmegaConf.register_new_resolver("catalog", catalog_fact, replace=True)
    OmegaConf.register_new_resolver("first", first, replace=True)
    cli.run(main, "fit")


if __name__ == "__main__":
    cli_main()
