"""`python -m jukebox_pl.prepare catalog=SONGS out=SHARDS`: from a folder or table of songs to shards to train on."""

from __future__ import annotations

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from rich.console import Console

from jukebox_pl.catalog.doctor import Report, advice, tables
from jukebox_pl.catalog.prepare import examine_all, prepare
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import CATALOG_FILE
from jukebox_pl.cli.command import run
from jukebox_pl.errors import UserError
from jukebox_pl.report.terminal import print_catalog, print_tables, showing_progress

DOCTOR = ALSO, ONLY, NEVER = "also", "only", "never"
NOT_OF_THE_CATALOG = ("engine", "doctor")


def main(config: DictConfig) -> None:
    if config.doctor not in DOCTOR:
        raise UserError(f"doctor={config.doctor}: expected {' or '.join(DOCTOR)}")
    console, settings, engine = Console(highlight=False), to_settings(config), instantiate(config.engine)

    def show_report(report: Report) -> None:
        """All that the doctor says where it is asked alone, else its findings; the page has everything."""
        from jukebox_pl.report.catalog_page import write_doctor_page  # imports matplotlib: mistakes answer without it

        is_alone = config.doctor == ONLY
        print_tables(console, (table for table in tables(report) if is_alone or table.title == "findings"))
        for line in advice(report) if is_alone else ():
            console.out(line)
        console.out(f"the doctor's report: {write_doctor_page(settings.out, report)}")

    if config.doctor == ONLY:
        with showing_progress(console) as show:
            report = examine_all(settings, show, engine)
        show_report(report)
        return
    was_complete = (settings.out / CATALOG_FILE).is_file()
    with showing_progress(console) as show:
        catalog = prepare(settings, show, engine, show_report if config.doctor == ALSO else None)
    if was_complete:
        console.out(f"{settings.out} is complete, made from the same songs with the same settings: nothing to do")
    print_catalog(console, catalog)


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
