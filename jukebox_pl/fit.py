"""`python -m jukebox_pl.fit recipe=NAME`: trains the stages of a recipe in order. Parse, build, call."""

from __future__ import annotations

if __name__ == "__main__":  # before anything heavy is imported
    from jukebox_pl.cli.help import answer

    answer("fit")


import copy
import logging
import math
import os
import shlex
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.checkpoints import ADAPTER, BUNDLE
from jukebox_pl.cli import command
from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import alphabet
from jukebox_pl.text.labels import Vocabulary, characters_from
from jukebox_pl.utils.files import read_json, write_atomic
from jukebox_pl.utils.locks import locked
from jukebox_pl.utils.stopping import STOP, Stopped

CATALOG_FACTS = {
    "artists": lambda catalog: len(Vocabulary(catalog.artists)),
    "genres": lambda catalog: len(Vocabulary(catalog.genres)),
    "characters": lambda catalog: len(characters_from(catalog.characters)),
    "alphabet": lambda catalog: alphabet(require_letters(catalog)),
    "sample_rate": lambda catalog: catalog.sample_rate,
    "has_lyrics": lambda catalog: len(characters_from(catalog.characters)) > 1,
    "max_duration": lambda catalog: catalog.max_duration,
}


# Of a catalog that is not made yet: a plan needs some.
ASSUMED: dict[str, Any] = {"artists": 100, "genres": 20, "characters": 80, "alphabet": ascii_lowercase, "has_lyrics": True}
ASSUMED |= {"sample_rate": 44100, "max_duration": 600 * 44100}
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
MOST_MINUTES = 60 * 24 * 365
BUNDLE_WANTED = "a finished run or a converted bundle"


def first_rank() -> bool:
    """Of all machines; as launchers tell it, before Lightning is imported."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def require_letters(catalog: Catalog) -> str:
    if isinstance(catalog.characters, str):
        return catalog.characters
    raise UserError(
        f"{catalog.folder} spells its lyrics in phonemes, an aligner hears letters: prepare it with phonemes=null"
    )


def changed(settings: Any, changes: Any) -> dict[str, Any]:
    """Settings with those of `changes` in their place; null takes one away."""
    parts: list[Any] = [OmegaConf.to_container(OmegaConf.create(part), resolve=True) for part in (settings, changes)]
    return {name: value for name, value in (parts[0] | parts[1]).items() if name not in parts[1] or value is not None}


# What YAML may compute.
RESOLVERS: dict[str, Callable[..., Any]] = {
    # ${catalog:PATH,NAME}: what a network has to know of the catalog it is trained on.
    "catalog": cache(lambda path, name: CATALOG_FACTS[name](Catalog.load(path))),
    # ${bundle:PATH,NAME}: what bundle.json says of the models that are fine-tuned.
    "bundle": lambda path, name: read_json(Path(path) / BUNDLE, BUNDLE_WANTED)[name],
    # ${first:A,B}: the first that is not null.
    "first": lambda *values: next((value for value in values if value is not None), None),
    # ${product:A,B}: of whole numbers.
    "product": lambda *values: math.prod(values),
    # ${below:LEVEL,TOP}: whether a level lies below the top.
    "below": lambda level, top: level < top,
    # ${with:A,B}: A with what B says otherwise; null takes a setting of A away.
    "with": changed,
    # ${grafted:WHETHER,PRIOR}: what a prior needs to read lyrics, of the lyrics prior of a size.
    "grafted": lambda whether, prior: {name: prior[name] for name in ("pattern", "encoder")} if whether else None,
    # ${priors:TOP,STAGES}: the stages that a bundle takes the prior of every level from.
    "priors": lambda top, stages: {top: stages} | {level: [f"upsampler_{level}"] for level in reversed(range(top))},
}


def main(config: DictConfig) -> dict[str, Any] | None:
    # Lightning comes with these: --help and mistakes answer at once without it.
    from jukebox_pl.pipeline.run import run_recipe, say
    from jukebox_pl.pipeline.slurm import requeued
    from jukebox_pl.report.run_page import is_outdated, write_run_page
    from jukebox_pl.report.runs import SETTINGS

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.distributed")
    warnings.filterwarnings("ignore", message="torch.cuda.amp.GradScaler is enabled")  # without a GPU, which is refused
    require_usable(config)
    require_sample_rate(config)
    run_dir = Path(config.run_dir)
    if config.plan.only:
        preflight(config)
        return None
    lock = locked(run_dir, "run_dir") if first_rank() else nullcontext()
    try:
        with lock, STOP.listening(config.max_minutes, quiet=not first_rank()):
            is_planned = not first_rank() or preflight(config)
            if first_rank():
                write_atomic(run_dir / SETTINGS, yaml.safe_dump(command.resolved(config), sort_keys=False).encode())
            results = run_recipe(config.stages, run_dir, config.logger, lambda: is_planned or preflight(config))
            if first_rank() and is_outdated(run_dir):
                say(f"the run: {write_run_page(run_dir)}")
    except Stopped as stopped:
        if first_rank() and requeued(stopped.request.signum):
            raise SystemExit(0) from None
        raise
    for line in what_to_do_next(config, [result.summary for result in results.values()]):
        say(line)
    stages = {name: {"steps": result.steps, **result.summary} for name, result in results.items()}
    bundle = str(run_dir) if (run_dir / BUNDLE).exists() else None
    return {"run_dir": str(run_dir), "bundle": bundle, "stages": stages} if first_rank() else None


def what_to_do_next(config: DictConfig, summaries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Lines for whoever has trained: the pages that stages have left, and the command that sings."""
    run_dir = Path(config.run_dir)
    yield from (f"to see and hear: {summary['page']}" for summary in summaries if summary.get("page"))
    if (run_dir / BUNDLE).exists():
        yield f"to sing: {sample_command(run_dir, Catalog.load(config.data.path))}"
    elif (run_dir / ADAPTER).exists():
        words = f"adapter={run_dir / ADAPTER}", "strength=1.0"
        yield f"to sing: {sample_command(config.init_from, Catalog.load(config.data.path), *words)}"


def preflight(config: DictConfig) -> bool:
    """Says what the recipe will cost; whether all of it, or what can be known before there is a catalog.

    Raises UserError where the machine is too small for it.
    """
    from jukebox_pl.pipeline import plan
    from jukebox_pl.pipeline.batches import choose_batches
    from jukebox_pl.pipeline.stage_folder import say
    from jukebox_pl.report.runs import add_promises

    try:
        catalog = Catalog.load(config.data.path)
    except UserError:  # which stage catalog says, where it does not make one
        catalog = None
    if catalog is None:
        OmegaConf.register_new_resolver("catalog", lambda path, name: ASSUMED[name], replace=True)
        config = copy.deepcopy(config)  # the batches are chosen again by the true numbers
    try:
        for line in choose_batches(config):
            if catalog or config.plan.only:
                say(line)
        plans = plan.plan_recipe(config, catalog, timed=config.plan.only)
        plan.tell(plans, config, catalog)
        if config.plan.refuse:
            plan.require_room(plans, config, sizes)
        if not config.plan.only:
            add_promises(Path(config.run_dir), plan.promises(plans))
    finally:
        OmegaConf.register_new_resolver("catalog", RESOLVERS["catalog"], replace=True)
    return catalog is not None


def sizes() -> dict[str, DictConfig]:
    names = [path.stem for path in command.recipes_folder().glob("size/*.yaml")]
    return {name: command.compose_config("fit", [f"size={name}"]).size for name in names}


def require_usable(config: DictConfig) -> None:
    """Raises UserError when there are no songs, or no steps, to train with. Spells `run_dir` as paths into it will be."""
    missing = [name for name in ("path", "songs") if OmegaConf.is_missing(config.data, name)]
    if config.plan.only:  # which needs none
        config.data.update(dict.fromkeys(missing, "SHARDS" if config.data.get("songs") is None else "SONGS"))
    elif missing:
        raise UserError("no songs to train on: give data=demo, data=folder data.songs=SONGS or data=shards data.path=SHARDS")
    if config.max_steps is not None and not (isinstance(config.max_steps, int) and config.max_steps > 0):
        raise UserError(f"max_steps={config.max_steps}: expected a whole number above zero, or null for what the size says")
    minutes = config.max_minutes
    if minutes is not None and not (isinstance(minutes, int | float) and 0 < minutes < MOST_MINUTES):
        raise UserError(f"max_minutes={minutes}: expected a number above zero, or null for as long as it takes")
    config.run_dir = str(Path(config.run_dir))


def require_sample_rate(config: DictConfig) -> None:
    """Raises UserError, before a song is decoded, when a bundle was trained on another rate than songs will have. Says,
    once, that a size was made for another one: it trains all the same.
    """
    is_made_here = config.data.songs is not None or config.data.source is not None
    try:
        found = config.stages.catalog.sample_rate if is_made_here else Catalog.load(config.data.path).sample_rate
    except UserError:  # no catalog, which stage catalog says
        return
    if isinstance(found, bool) or not isinstance(found, int):
        raise UserError(f"data.sample_rate={found}: expected a whole number of samples a second, such as 44100")
    way_out = "leave data.sample_rate out" if is_made_here else "prepare the songs again with sample_rate="
    if "bundle_rate" in config:
        if found != (expected := config.bundle_rate):
            what = f"{config.init_from} was trained on {expected} samples a second, {config.data.path} has {found}"
            raise UserError(f"{what}: {way_out}{'' if is_made_here else expected}")
        return
    expected = config.size.sample_rate
    if expected is not None and found != expected and first_rank():
        line = f"size={config.size.name} is made for {expected} Hz, {config.data.path} has {found}"
        warnings.warn(line, stacklevel=2)


def sample_command(run_dir: Path | str, catalog: Catalog, *others: str) -> str:
    """What a shell takes: a song of this run, under names that it knows, with `others` of its settings."""
    names = [f"artist={name}" for name in catalog.artists[:1]] + [f"genre={name}" for name in catalog.genres[:1]]
    words = [f"run_dir={run_dir}", *others, *names, "seconds=10", "seed=1"]
    return shlex.join(["python", "-m", "jukebox_pl.sample", *words])


def cli_main(argv: list[str] | None = None) -> None:
    for name, resolver in RESOLVERS.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)
    command.run(main, "fit", argv)


if __name__ == "__main__":
    cli_main()
