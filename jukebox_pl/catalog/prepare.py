"""From a folder or table of songs to shards: discover, decode and align in parallel, pack."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from jukebox_pl.catalog.alignment import parts_of
from jukebox_pl.catalog.doctor import ExaminedSong, Report, Standards, diagnose
from jukebox_pl.catalog.engines import Engine, LocalEngine
from jukebox_pl.catalog.packing import pack, shorten, sort_out
from jukebox_pl.catalog.plan import plan
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import CATALOG_FILE, HELD_OUT, TRAIN, Catalog, Skipped
from jukebox_pl.catalog.sources import discover
from jukebox_pl.catalog.steps import ALIGN, CHECK, DECODE, Step
from jukebox_pl.catalog.work import WORK_FOLDER, Job, store_record
from jukebox_pl.errors import UserError

DOCTOR_FILE = "doctor.json"


class Progress(NamedTuple):
    """`done` of `total` songs are `step` (examined, decoded, aligned, packed); `path` is the latest, "" at the start."""

    step: str
    done: int
    total: int
    path: str = ""


OnProgress = Callable[[Progress], None]
OnReport = Callable[[Report], object]


def prepare(
    settings: PrepareSettings,
    on_progress: OnProgress = lambda progress: None,
    engine: Engine | None = None,
    on_report: OnReport | None = None,
) -> Catalog:
    """Makes the catalog in `settings.out`, or returns it when it is there already.

    A run that was interrupted continues; the shards' bytes depend on songs and settings alone, not on `engine`: by
    default `settings.workers` processes of this machine. Who gives `on_report` is told what the doctor says, before
    anything is aligned or packed. Raises UserError when there is nothing to prepare, when `out` was made otherwise, or
    when it cannot be written.
    """
    require_usable(settings)
    spelling, (jobs, refused) = settings.spelling(), list_jobs(settings)
    if (settings.out / CATALOG_FILE).is_file():
        catalog = Catalog.load(settings.out)
        require_same(catalog, settings, jobs)
    else:
        engine = engine or LocalEngine(settings.workers, settings.step_seconds)
        do_all(DECODE, jobs, engine, on_progress)
        if on_report:
            on_report(write_report(jobs, settings, refused))
        do_all(ALIGN, jobs, engine, on_progress)
        found = sort_out(jobs, refused, spelling)
        catalog = pack(jobs, settings, found, counting(on_progress, "packed", len(found.usable)))
        catalog = dataclasses.replace(catalog, prepared=describe(settings, jobs))
        catalog.save()
    shutil.rmtree(settings.out / WORK_FOLDER, ignore_errors=True)
    return catalog


def examine_all(
    settings: PrepareSettings, on_progress: OnProgress = lambda progress: None, engine: Engine | None = None
) -> Report:
    """The doctor alone: nothing is prepared. What was seen of songs is kept in `out`; later only others are looked at."""
    require_usable(settings)
    jobs, refused = list_jobs(settings)
    do_all(CHECK, jobs, engine or LocalEngine(settings.workers, settings.step_seconds), on_progress)
    return write_report(jobs, settings, refused)


def list_jobs(settings: PrepareSettings) -> tuple[list[Job], list[Skipped]]:
    """All songs, and the entries that cannot be one."""
    sources, refused = discover(settings.catalog)
    return [Job.of(source, settings) for source in sources], refused


def write_report(jobs: list[Job], settings: PrepareSettings, refused: list[Skipped]) -> Report:
    """What the doctor says of the songs that are decoded or checked, also in `doctor.json`."""
    skipped = list(refused)
    report = diagnose(patients(jobs, settings, skipped), Standards(settings.sample_rate, settings.channels), skipped)
    store_record(settings.out / DOCTOR_FILE, report.to_json())
    return report


def patients(jobs: list[Job], settings: PrepareSettings, skipped: list[Skipped]) -> Iterator[ExaminedSong]:
    """The usable songs, one by one; the others go to `skipped`."""
    planned = plan([job.source for job in jobs], settings.held_out, settings.songs_per_shard)
    held_out = set(chain(*planned[HELD_OUT]))
    for job in jobs:
        song, reason, warnings, checkup = job.checked()
        if song and checkup:
            yield ExaminedSong(song, job.source.path, checkup, warnings, HELD_OUT if song.id in held_out else TRAIN)
        else:
            skipped.append({"path": job.source.path, "reason": reason})


def require_usable(settings: PrepareSettings) -> None:
    """Raises UserError when `out` holds something else, or lies among the songs, whose number would then grow.

    Also when separator or aligner cannot be built, before hours go into decoding.
    """
    out = settings.out
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out} is a file: give a folder")
    if settings.catalog.is_dir() and out.resolve().is_relative_to(settings.catalog.resolve()):
        raise UserError(f"out={out} lies inside catalog={settings.catalog}: choose a folder elsewhere")
    ours = (out / CATALOG_FILE, out / WORK_FOLDER, out / DOCTOR_FILE)
    if out.is_dir() and any(out.iterdir()) and not any(path.exists() for path in ours):
        raise UserError(f"out={out} holds other files: choose a new or empty folder")
    if settings.aligner:
        parts_of(settings)


def require_same(catalog: Catalog, settings: PrepareSettings, jobs: list[Job]) -> None:
    """Raises UserError with the differences when `catalog` was made with other settings or from other songs."""
    now = describe(settings, jobs)
    was = catalog.prepared or {"settings": {}, "songs": {}}
    changes = [
        f"{name} {was['settings'].get(name)} -> {value}"
        for name, value in now["settings"].items()
        if was["settings"].get(name) != value
    ]
    changes += song_changes(was["songs"], now["songs"])
    if changes:
        way_out = "choose another out=, or delete it to prepare again"
        raise UserError(f"{settings.out} was prepared otherwise: {'; '.join(changes)}; {way_out}")


def describe(settings: PrepareSettings, jobs: list[Job]) -> dict[str, Any]:
    """What decides the shards: the settings, and every song with its fingerprint."""
    songs = {job.source.path: job.fingerprint for job in jobs}
    return {"settings": settings.of_the_catalog(), "songs": songs}


def song_changes(was: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    kinds = {
        "new": [path for path in now if path not in was],
        "gone": [path for path in was if path not in now],
        "changed": [path for path in now if path in was and was[path] != now[path]],
    }
    return (f"{kind} songs: {len(paths)} ({shorten(paths)})" for kind, paths in kinds.items() if paths)


def do_all(step: Step, jobs: list[Job], engine: Engine, on_progress: OnProgress) -> None:
    """Does a step with every job for which an earlier run has not."""
    todo = [job for job in jobs if not step.is_done(job)]
    done = counting(on_progress, step.name, len(jobs), len(jobs) - len(todo))
    for job, survived in engine.run_all(step.do, todo):
        if not survived:
            step.give_up(job)
        done(job.source.path, 1)


def counting(on_progress: OnProgress, step: str, total: int, done: int = 0) -> Callable[[str, int], None]:
    """What to call with (path, songs) as songs get done."""
    on_progress(Progress(step, done, total))

    def add(path: str, songs: int) -> None:
        nonlocal done
        done += songs
        on_progress(Progress(step, done, total, path))

    return add
