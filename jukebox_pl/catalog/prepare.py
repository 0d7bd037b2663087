"""From a folder or table of songs to shards: discover, decode and align in parallel, pack."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from jukebox_pl.catalog.alignment import WordFinder
from jukebox_pl.catalog.doctor import ExaminedSong, Report, Standards, diagnose
from jukebox_pl.catalog.engines import Engine, LocalEngine
from jukebox_pl.catalog.growing import GROWN_FROM, Changes, changes_since, grow
from jukebox_pl.catalog.growing import fingerprint as catalog_fingerprint
from jukebox_pl.catalog.packing import held_out_ids, pack
from jukebox_pl.catalog.settings import OF_THE_CATALOG, PrepareSettings
from jukebox_pl.catalog.shards import CATALOG_FILE, HELD_OUT, SPLITS, TRAIN, Catalog, store
from jukebox_pl.catalog.sources import Found, discover
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
from jukebox_pl.text.sections import STRIP
from jukebox_pl.utils.locks import LOCK_FILE, locked, sweep

__all__ = ["OnProgress", "OnReport", "Progress", "changes_of", "examine_all", "prepare"]

DOCTOR_FILE = "doctor.json"

OnReport = Callable[[Report], object]
UNSAID = {"sections": STRIP}  # settings that catalogs of version 0.1.0 do not tell of, and so do not differ in


def prepare(
    settings: PrepareSettings,
    on_progress: OnProgress = lambda progress: None,
    engine: Engine | None = None,
    on_report: OnReport | None = None,
) -> Catalog:
    """Makes the catalog in `settings.out`, or returns it when it is there already; of songs that are new, changed or gone
    since only the new and changed ones are prepared, see `growing`.

    A run that was interrupted continues; the bytes of shards that are made at once depend on songs and settings alone, not
    on `engine`: by default `settings.workers` processes of this machine. `on_report` is called with what the doctor says
    of the songs that are prepared, before anything is aligned or packed. Raises UserError when there is nothing to
    prepare, when `out` was made with other settings or from other songs altogether, is in use by another process, or
    cannot be written.
    """
    jobs, found = list_jobs(settings)
    characters = settings.spelling()
    # What decides the shards: the settings, and every song with its fingerprint.
    songs = {job.source.path: job.fingerprint for job in jobs}
    made_from: dict[str, Any] = {"settings": settings.only(OF_THE_CATALOG), "songs": songs}
    with locked(settings.out, "out") as was_killed:
        if was_killed:
            sweep(settings.out)
        old = Catalog.load(settings.out) if (settings.out / CATALOG_FILE).is_file() else None
        unchanged = require_grown(old, made_from) if old else set()
        if old and unchanged == songs.keys() == songs_of(old).keys():
            catalog = old
        else:
            engine = engine or LocalEngine(settings.workers, settings.step_seconds)
            todo = [job for job in jobs if job.source.path not in unchanged]
            run_step(DECODE, todo, engine, on_progress)
            if on_report and todo:
                on_report(write_report(todo, settings, found))
            run_step(ALIGN, todo, engine, on_progress)
            if old:
                made_from[GROWN_FROM] = [*old.prepared.get(GROWN_FROM, []), catalog_fingerprint(old)]
                catalog = grow(old, todo, unchanged, found.skipped, settings, on_progress)
            else:
                catalog = pack(todo, found.skipped, characters, settings, on_progress)
            catalog = replace(catalog, prepared=made_from, passed_over=found.passed_over, notes=found.notes)
            catalog.save()
            remove_unlisted(catalog)
        shutil.rmtree(settings.out / WORK_FOLDER, ignore_errors=True)
    return catalog


def examine_all(
    settings: PrepareSettings, on_progress: OnProgress = lambda progress: None, engine: Engine | None = None
) -> Report:
    """The doctor alone: nothing is prepared. What was seen of songs is kept in `out`; later only others are looked at."""
    jobs, found = list_jobs(settings)
    with locked(settings.out, "out"):
        run_step(EXAMINE, jobs, engine or LocalEngine(settings.workers, settings.step_seconds), on_progress)
        return write_report(jobs, settings, found)


def list_jobs(settings: PrepareSettings) -> tuple[list[Job], Found]:
    """All songs, and what else is in the catalog.

    Raises UserError when there is no song, and when `out` holds something else or lies among the songs, whose number would
    then grow. Also when separator or aligner cannot be built, before hours go into decoding.
    """
    out = settings.out
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out} is a file: give a folder")
    if settings.catalog.is_dir() and out.resolve().is_relative_to(settings.catalog.resolve()):
        raise UserError(f"out={out} lies inside catalog={settings.catalog}: choose a folder elsewhere")
    ours = (out / name for name in (CATALOG_FILE, WORK_FOLDER, DOCTOR_FILE, LOCK_FILE))
    if out.is_dir() and any(out.iterdir()) and not any(path.exists() for path in ours):
        raise UserError(f"out={out} holds other files: choose a new or empty folder")
    if settings.aligner:
        WordFinder.of(settings)
    found = discover(settings.catalog, settings.trusted_roots or ())
    return [Job(source, settings, fingerprint(source)) for source in found.sources], found


def run_step(step: Step, jobs: list[Job], engine: Engine, on_progress: OnProgress) -> None:
    """Does a step with every job for which an earlier run has not."""
    todo = [job for job in jobs if not step.is_done(job)]
    before = len(jobs) - len(todo)
    on_progress(Progress(step.name, before, len(jobs)))
    for done, (job, survived) in enumerate(engine.run_all(step.do, todo), start=before + 1):
        if not survived:
            step.give_up(job)
        on_progress(Progress(step.name, done, len(jobs), job.source.path))


def write_report(jobs: list[Job], settings: PrepareSettings, found: Found) -> Report:
    """What the doctor says of the songs that are decoded or examined, also in `doctor.json`."""
    held_out = held_out_ids({job.source.id: job.source.has_lyrics for job in jobs}, settings.held_out)
    skipped = list(found.skipped)

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
    report = replace(report, passed_over=tuple(found.passed_over), notes=tuple(found.notes))
    store(settings.out / DOCTOR_FILE, json.dumps(report.to_json()).encode())
    return report


def changes_of(settings: PrepareSettings) -> Changes:
    """How the songs differ from those that the catalog in `settings.out` was made from. Raises UserError without songs."""
    now = {job.source.path: job.fingerprint for job in list_jobs(settings)[0]}
    return changes_since(songs_of(Catalog.load(settings.out)) or now, now)  # or it does not tell


def remove_unlisted(catalog: Catalog) -> None:
    """Shards of before that `catalog`, which is saved, holds no longer."""
    for split in SPLITS:
        for path in {*(Path(str(catalog.folder)) / split).glob("*.tar")} - {*catalog.shards(split)}:
            path.unlink()


def songs_of(catalog: Catalog) -> dict[str, str]:
    """The songs that a catalog was made from, fingerprints by path."""
    return catalog.prepared.get("songs", {})


def require_grown(catalog: Catalog, now: dict[str, Any]) -> set[str]:
    """The paths of songs that are in `catalog` as they are now.

    Raises UserError with the differences when it was made with other settings, or none of its songs is left.
    """
    was = catalog.prepared.get("settings", {})
    changes = [
        f"{name} {was.get(name)} -> {value}"
        for name, value in now["settings"].items()
        if was.get(name, UNSAID.get(name)) != value
    ]
    unchanged = {path for path, fingerprint in songs_of(catalog).items() if now["songs"].get(path) == fingerprint}
    if not unchanged:
        changes.append(str(changes_since(songs_of(catalog), now["songs"])))
    if changes:
        way_out = f"choose another out=, or delete {catalog.folder} to prepare again"
        raise UserError(f"{catalog.folder} was prepared otherwise: {'; '.join(changes)}; {way_out}")
    return unchanged
