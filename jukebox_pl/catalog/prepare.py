"""From a folder or table of songs to shards: discover, decode and align in parallel, pack."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from jukebox_pl.catalog.alignment import WordFinder
from jukebox_pl.catalog.doctor import ExaminedSong, Report, Standards, diagnose
from jukebox_pl.catalog.engines import Engine, LocalEngine
from jukebox_pl.catalog.packing import held_out_ids, pack, shorten
from jukebox_pl.catalog.records import Skipped
from jukebox_pl.catalog.settings import OF_THE_CATALOG, PrepareSettings
from jukebox_pl.catalog.shards import CATALOG_FILE, HELD_OUT, TRAIN, Catalog, store
from jukebox_pl.catalog.sources import discover
from jukebox_pl.catalog.steps import (
    ALIGN,
    DECODE,
    EXAMINE,
    WORK_FOLDER,
    Job,
    OnProgress,
    Progress,
    Step,
    fingerprint,
)
from jukebox_pl.errors import UserError

__all__ = ["OnProgress", "OnReport", "Progress", "examine_all", "prepare"]

DOCTOR_FILE = "doctor.json"

OnReport = Callable[[Report], object]


def prepare(
    settings: PrepareSettings,
    on_progress: OnProgress = lambda progress: None,
    engine: Engine | None = None,
    on_report: OnReport | None = None,
) -> Catalog:
    """Makes the catalog in `settings.out`, or returns it when it is there already.

    A run that was interrupted continues; the shards' bytes depend on songs and settings alone, not on `engine`: by
    default `settings.workers` processes of this machine. `on_report` is called with what the doctor says, before
    anything is aligned or packed. Raises UserError when there is nothing to prepare, when `out` was made otherwise, or
    when it cannot be written.
    """
    jobs, refused = list_jobs(settings)
    characters = settings.spelling()
    # What decides the shards: the settings, and every song with its fingerprint.
    made_from = {"settings": settings.only(OF_THE_CATALOG), "songs": {job.source.path: job.fingerprint for job in jobs}}
    if (settings.out / CATALOG_FILE).is_file():
        catalog = Catalog.load(settings.out)
        require_same(catalog, made_from)
    else:
        engine = engine or LocalEngine(settings.workers, settings.step_seconds)
        run_step(DECODE, jobs, engine, on_progress)
        if on_report:
            on_report(write_report(jobs, settings, refused))
        run_step(ALIGN, jobs, engine, on_progress)
        catalog = pack(jobs, refused, characters, settings, on_progress)
        catalog = replace(catalog, prepared=made_from)
        catalog.save()
    shutil.rmtree(settings.out / WORK_FOLDER, ignore_errors=True)
    return catalog


def examine_all(
    settings: PrepareSettings, on_progress: OnProgress = lambda progress: None, engine: Engine | None = None
) -> Report:
    """The doctor alone: nothing is prepared. What was seen of songs is kept in `out`; later only others are looked at."""
    jobs, refused = list_jobs(settings)
    run_step(EXAMINE, jobs, engine or LocalEngine(settings.workers, settings.step_seconds), on_progress)
    return write_report(jobs, settings, refused)


def list_jobs(settings: PrepareSettings) -> tuple[list[Job], list[Skipped]]:
    """All songs, and the entries that cannot be one.

    Raises UserError when there is no song, and when `out` holds something else or lies among the songs, whose number would
    then grow. Also when separator or aligner cannot be built, before hours go into decoding.
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
        WordFinder.of(settings)
    sources, refused = discover(settings.catalog)
    return [Job(source, settings, fingerprint(source)) for source in sources], refused


def run_step(step: Step, jobs: list[Job], engine: Engine, on_progress: OnProgress) -> None:
    """Does a step with every job for which an earlier run has not."""
    todo = [job for job in jobs if not step.is_done(job)]
    before = len(jobs) - len(todo)
    on_progress(Progress(step.name, before, len(jobs)))
    for done, (job, survived) in enumerate(engine.run_all(step.do, todo), start=before + 1):
        if not survived:
            step.give_up(job)
        on_progress(Progress(step.name, done, len(jobs), job.source.path))


def write_report(jobs: list[Job], settings: PrepareSettings, refused: list[Skipped]) -> Report:
    """What the doctor says of the songs that are decoded or examined, also in `doctor.json`."""
    held_out = held_out_ids({job.source.id: job.source.has_lyrics for job in jobs}, settings.held_out)
    skipped = list(refused)

    def examined() -> Iterator[ExaminedSong]:
        """The usable songs, one by one; the others go to `skipped`."""
        for job in jobs:
            song, reason, warnings, stats = job.examined()
            if song and stats:
                split = HELD_OUT if song.id in held_out else TRAIN
                yield ExaminedSong(song, job.source.path, stats, warnings, split)
            else:
                skipped.append({"path": job.source.path, "reason": reason})

    report = diagnose(examined(), Standards(settings.sample_rate, settings.channels), skipped)
    store(settings.out / DOCTOR_FILE, json.dumps(report.to_json()).encode())
    return report


def require_same(catalog: Catalog, now: dict[str, Any]) -> None:
    """Raises UserError with the differences when `catalog` was made with other settings or from other songs than `now`."""
    was = catalog.prepared or {"settings": {}, "songs": {}}
    changes = [
        f"{name} {was['settings'].get(name)} -> {value}"
        for name, value in now["settings"].items()
        if was["settings"].get(name) != value
    ]
    songs_now, songs_then = now["songs"], was["songs"]
    kinds = {
        "new": [path for path in songs_now if path not in songs_then],
        "gone": [path for path in songs_then if path not in songs_now],
        "changed": [path for path in songs_now if songs_then.get(path, songs_now[path]) != songs_now[path]],
    }
    changes += [f"{kind} songs: {len(paths)} ({shorten(paths)})" for kind, paths in kinds.items() if paths]
    if changes:
        way_out = "choose another out=, or delete it to prepare again"
        raise UserError(f"{catalog.folder} was prepared otherwise: {'; '.join(changes)}; {way_out}")
