"""`python -m jukebox_pl.prepare catalog=SONGS out=SHARDS`: from a folder or table of songs to shards to train on."""

from __future__ import annotations

if __name__ == "__main__":  # before anything heavy is imported
    from jukebox_pl.cli.help import answer

    answer("prepare")


from functools import partial
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from rich.console import Console

from jukebox_pl.catalog.growing import fingerprint
from jukebox_pl.catalog.prepare import changes_of, examine_all, prepare
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import CATALOG_FILE, SPLITS, Catalog
from jukebox_pl.cli.command import run
from jukebox_pl.errors import UserError
from jukebox_pl.report.terminal import print_catalog, showing_progress, tell_report

DOCTOR = ALSO, ONLY, NEVER = "also", "only", "never"
NOT_OF_THE_CATALOG = ("engine", "doctor")


def main(config: DictConfig) -> dict[str, Any]:
    if config.doctor not in DOCTOR:
        raise UserError(f"doctor={config.doctor}: expected {' or '.join(DOCTOR)}")
    console, settings, engine = Console(highlight=False), to_settings(config), instantiate(config.engine)

    if config.doctor == ONLY:
        with showing_progress(console) as show:
            report = examine_all(settings, show, engine)
        tell_report(console, settings.out, report, in_full=True)
        return {"out": str(settings.out), "songs": len(report.songs)}
    before = fingerprint(Catalog.load(settings.out)) if (settings.out / CATALOG_FILE).is_file() else None
    if before and any(changes := changes_of(settings)):
        console.out(f"{changes}; the others stay as they are in {settings.out}")
    on_report = partial(tell_report, console, settings.out) if config.doctor == ALSO else None
    with showing_progress(console) as show:
        catalog = prepare(settings, show, engine, on_report)
    if before == fingerprint(catalog):
        console.out(f"{settings.out} is complete, made from the same songs with the same settings: nothing to do")
    print_catalog(console, catalog)
    songs = sum(len(catalog.songs(split)) for split in SPLITS)
    return {"out": str(settings.out), "songs": songs, "skipped": len(catalog.skipped)}


def to_settings(config: DictConfig) -> PrepareSettings:
    """Raises UserError on a missing value, an unknown name or a value of the wrong kind."""
    try:
        given = OmegaConf.masked_copy(config, [str(name) for name in config if name not in NOT_OF_THE_CATALOG])
        merged = OmegaConf.merge(OmegaConf.structured(PrepareSettings), given)
        return PrepareSettings(**OmegaConf.to_container(merged, resolve=True, throw_on_missing=True))  # type: ignore[arg-type]
    except MissingMandatoryValue as error:
        raise UserError(
            f"{error.full_key}=... is missing: `python -m jukebox_pl.prepare catalog=SONGS out=SHARDS`"
        ) from error
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {str(error.msg).splitlines()[0]}") from error


if __name__ == "__main__":
    run(main, "prepare")
