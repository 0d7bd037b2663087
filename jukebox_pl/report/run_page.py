"""A run on one page: its stages in order, curves, what was heard along the steps, verdicts; or two runs side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from markupsafe import Markup

from jukebox_pl import audio
from jukebox_pl.catalog.shards import CATALOG_FILE, HELD_OUT, SPLITS, Catalog
from jukebox_pl.report.page import PAGE, clock, data_uri, write_page
from jukebox_pl.report.runs import MONITOR, PACE, PEAK, RESULT, SETTINGS, Points, StageRun, read_run
from jukebox_pl.report.song_page import write_sample_page
from jukebox_pl.utils.differences import differences

# What is drawn of a stage, a panel each: its title, and the columns of metrics.csv in it. A group names the curve.
PANELS = {
    "loss": r"(train|val)/loss",
    "bits per dim": r"(train|val)/bpd",
    "bits per character of the lyrics": r"(train|val)/lyrics_bpd",
    "spectral convergence, dB": r"val/(level_\d+)/spectral_convergence_db",
    "learning rate": r"lr-(.*)",
    "gradient norm": r"(train)/grad_norm",
    "codebook use": r"train/(level_\d+)/codebook_usage",
    "codebook perplexity": r"train/(level_\d+)/codebook_perplexity",
}
MOST_STEPS = 6  # at which media are shown: the first, the last and some between, and beside them the best
MOST_MEDIA_SECONDS = 30  # of a sound on the page
PAGE_OF_ITS_OWN = "page"  # in what a stage says of itself
PACKAGES = ("jukebox_pl", "torch", "pytorch-lightning")
DIFFERENCES_SHOWN = 60


class Panel(NamedTuple):
    title: str
    svg: Markup


class Moment(NamedTuple):
    """What was heard of a stage at a step: data URIs by name."""

    label: str
    sounds: Mapping[str, str]
    is_best: bool


class StageView(NamedTuple):
    """What the page shows of a stage; `verdicts` are rows, `pictures` data URIs by caption."""

    name: str
    panels: Sequence[Panel]
    moments: Sequence[Moment]
    pictures: Mapping[str, str]
    verdicts: Sequence[Sequence[str]]
    config: str
    is_going_on: bool


def write_run_page(
    run_dir: str | Path, compare: str | Path | None = None, path: Path | None = None, refresh: int = 0
) -> Path:
    """Writes `path`, by default `index.html` in `run_dir`, whole or not at all, and returns it; where that is the place, the
    sample of the best step of every stage gets a page in the stage's folder, too.

    `compare`: another run, drawn dashed beside it. `refresh`: seconds after which the page loads itself again, as long as
    nothing is heard. Raises UserError where a folder holds no run.
    """
    run_dir = Path(run_dir)
    runs = {name_of(run_dir): read_run(run_dir)}
    if compare is not None:
        other = name_of(Path(compare))
        runs[other if other not in runs else str(compare)] = read_run(compare)
    for stage in runs[name_of(run_dir)] if path is None else ():
        write_best_sample(run_dir / stage.name, stage)
    names = list(dict.fromkeys(stage.name for stages in runs.values() for stage in stages))
    by_name = {run: {stage.name: stage for stage in stages} for run, stages in runs.items()}
    views = [view(name, {run: stages.get(name) for run, stages in by_name.items()}) for name in names]
    return write_page(
        path or run_dir / PAGE,
        "run.html",
        heading=" and ".join(runs),
        refresh=refresh,
        status=[(f"{run}: " if compare else "") + status(stages) for run, stages in runs.items()],
        columns=("stage", "state", *(["run"] if compare else []), "steps", "before", "after", "took"),
        stages=[row for name in names for row in stage_rows(name, by_name)],
        views=[view for view in views if view.panels or view.moments or view.verdicts],
        promised=[row for name in names for row in promise_rows(name, by_name)],
        pages=dict(pages_of(run_dir, runs[name_of(run_dir)], (path or run_dir / PAGE).parent)),
        catalog=catalog_facts(run_dir),
        changes=changes(*runs.values()) if compare else [],
        versions={package: metadata.version(package) for package in PACKAGES},
        is_comparison=compare is not None,
    )


def is_outdated(run_dir: Path) -> bool:
    """Whether a stage was finished since the page of a run was written."""
    page = run_dir / PAGE
    written = page.stat().st_mtime_ns if page.exists() else -1
    return any(result.stat().st_mtime_ns > written for result in run_dir.glob(f"*/{RESULT}"))


def name_of(run_dir: Path) -> str:
    return run_dir.resolve().name


def status(stages: Sequence[StageRun]) -> str:
    """How far a run has come, in a line."""
    going_on = [stage for stage in stages if not stage.result]
    if not going_on:
        seconds = sum(stage.seconds or 0 for stage in stages)
        return f"Finished: {len(stages)} stages" + (f" in {clock(seconds)}." if seconds >= 1 else ".")
    steps = {stage.name: f"{stage.steps} of {stage.promise.steps}" if stage.promise else stage.steps for stage in going_on}
    at = "; ".join(f"{name}, step {step}" for name, step in steps.items())
    return f"Going on, or interrupted: {at}. {len(stages) - len(going_on)} of {len(stages)} stages are finished."


def stage_rows(name: str, runs: Mapping[str, Mapping[str, StageRun]]) -> Iterator[list[Any]]:
    """A row for the stage of each run that has it: state, steps, the number it is judged by before and after, time."""
    for run, stages in runs.items():
        if (stage := stages.get(name)) is None:
            continue
        summary = list((stage.result or {}).get("summary", {}).items())
        is_trained = MONITOR in stage.metrics and len(summary) == 2
        numbers = ["", ""]
        if is_trained:  # val/bpd at step 0: 9.0, at step 100: 3.5
            (what, before), (_, after) = summary
            numbers = [f"{what.removesuffix(' at step 0')} {number(before)}", number(after)]
        state = "finished" if stage.result else "going on, or interrupted"
        took = clock(stage.seconds) if stage.seconds and stage.seconds >= 1 else ""
        yield [name, state, *([run] if len(runs) > 1 else []), stage.steps or "", *numbers, took]


def promise_rows(name: str, runs: Mapping[str, Mapping[str, StageRun]]) -> Iterator[list[Any]]:
    """What the stage of each run was to take, and what it took: steps, tokens, memory of a device, time."""
    for run, stages in runs.items():
        stage = stages.get(name)
        if stage is None or (promise := stage.promise) is None:
            continue
        at, peaks = [name, *([run] if len(runs) > 1 else [])], stage.metrics.get(PEAK, [])
        paces = [pace for _, pace in stage.metrics.get(PACE, []) if pace > 0]
        seconds = promise.steps * promise.step_tokens / paces[0] if paces else None
        tokens = [f"{steps * promise.step_tokens:,} {promise.unit}" for steps in (promise.steps, stage.steps)]
        memory, time = gigabytes(promise.memory / 1e9), clock(seconds) if seconds else ""
        yield [*at, "promised", promise.steps, tokens[0], memory, time]
        peak = gigabytes(max(peak for _, peak in peaks)) if peaks else ""
        took = clock(stage.seconds) if stage.seconds and stage.seconds >= 1 else ""
        yield [*at, "took" if stage.result else "has taken", stage.steps, tokens[1], peak, took]


def gigabytes(value: float) -> str:
    return f"{value:.3g} GB" if value >= 1 else f"{1000 * value:.3g} MB"


def number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def view(name: str, runs: Mapping[str, StageRun | None]) -> StageView:
    from jukebox_pl.report import plots

    there = {run: stage for run, stage in runs.items() if stage}
    panels = []
    for title, pattern in PANELS.items():
        curves = dict(curves_of(pattern, there))
        if any(len(points) > 1 for points in curves.values()):
            panels.append(Panel(title, Markup(plots.curves_svg(curves, f"{title} of {name} over its steps"))))
    moments, pictures = [], {}
    for run, stage in there.items():
        prefix = f"{run}, " if len(there) > 1 else ""
        steps = {*evenly(list(stage.media)), stage.best_step}
        moments += [moment(prefix, stage, step) for step in stage.media if step in steps]
        if (best := stage.best_step) is not None:
            for (picture, kind), path in stage.media[best].items():
                if kind == "png":
                    pictures[f"{prefix}{picture.replace('_', ' ')} at step {best}"] = data_uri(path.read_bytes())
    verdicts = [row for run, stage in there.items() for row in verdict_rows(run if len(there) > 1 else "", stage)]
    first = next(iter(there.values()))
    config = yaml.safe_dump(dict(first.config), sort_keys=False, allow_unicode=True)
    is_going_on = any(not stage.result for stage in there.values())
    return StageView(name, panels, [part for part in moments if part.sounds], pictures, verdicts, config, is_going_on)


def curves_of(pattern: str, runs: Mapping[str, StageRun]) -> Iterator[tuple[str, Points]]:
    """Points by what each curve is called: train, val, level_0, with the name of the run where there are several."""
    for run, stage in runs.items():
        for column, points in sorted(stage.metrics.items()):
            if match := re.fullmatch(pattern, column):
                label = match[1].replace("_", " ").replace("val", "held out")
                yield f"{label}, {run}" if len(runs) > 1 else label, points


def evenly(steps: list[int]) -> list[int]:
    """At most MOST_STEPS of them, with the first and the last."""
    if len(steps) <= MOST_STEPS:
        return steps
    return [steps[round(place * (len(steps) - 1) / (MOST_STEPS - 1))] for place in range(MOST_STEPS)]


def moment(prefix: str, stage: StageRun, step: int) -> Moment:
    label = f"{prefix}step {step}{', the best' if step == stage.best_step and len(stage.media) > 1 else ''}"
    sounds = {}
    for (name, kind), path in stage.media[step].items():
        if kind == "wav":
            sound, rate = audio.read(path)
            sounds[name.replace("_", " ")] = data_uri((sound[:, : MOST_MEDIA_SECONDS * rate], rate))
    return Moment(label, sounds, step == stage.best_step)


def write_best_sample(folder: Path, stage: StageRun) -> None:
    """A page of its own for what was heard when the loss on held-out songs was the lowest; a song's page stays."""
    if (stage.result or {}).get("summary", {}).get(PAGE_OF_ITS_OWN):
        return
    best = stage.best_step
    media = {} if best is None else stage.media[best]
    sounds = {name: audio.read(path) for (name, kind), path in media.items() if kind == "wav"}
    if not sounds:
        return
    lengths, rates = zip(*((sound.shape[1], rate) for sound, rate in sounds.values()), strict=True)
    names = sorted(sounds, key=lambda name: (name == "original", name))  # the sample, or the levels; then the recording
    length = min(min(lengths), MOST_MEDIA_SECONDS * rates[0])
    heard = {name.replace("_", " "): audio.downmix(sounds[name][0])[:length] for name in names}
    losses = {column: value for column, points in stage.metrics.items() for step, value in points if step == best}
    facts = {"stage": stage.name, "step": best, **{name: value for name, value in losses.items() if name.startswith("val/")}}
    write_sample_page(folder, f"{stage.name} at its best, step {best}", heard, rates[0], facts)


def verdict_rows(run: str, stage: StageRun) -> Iterator[list[str]]:
    """What a wrong one of each thing that a prior is told costs it."""
    for name, found in stage.conditioning.get("conditioning", {}).items():
        bits, interval = found.get("wrong_costs_bits"), found.get("interval")  # None where too few songs can tell
        cost = "" if bits is None else f"{bits:+.4f}" + (" [{:+.4f}, {:+.4f}]".format(*interval) if interval else "")
        verdict = str(found.get("verdict", "")).replace("_", " ")
        yield [*([run] if run else []), name, verdict, cost, str(found.get("songs", ""))]


def pages_of(run_dir: Path, stages: Sequence[StageRun], home: Path) -> Iterator[tuple[str, str]]:
    """What else there is to see of a run: titles and links from a page in `home`."""
    places = {stage.name: run_dir / stage.name / PAGE for stage in stages}
    places |= {"evaluation": run_dir / "evaluation" / PAGE, "the doctor's report": run_dir / "shards" / "doctor.html"}
    for title, path in places.items():
        if path.exists() and path.is_relative_to(home):
            yield title, str(path.relative_to(home))


def catalog_facts(run_dir: Path) -> dict[str, Any]:
    """Of the songs that it was trained on, where they are known."""
    place = run_dir / "shards"
    if (run_dir / SETTINGS).exists():
        settings = yaml.safe_load((run_dir / SETTINGS).read_text(encoding="utf-8")) or {}
        place = Path((settings.get("data") or {}).get("path") or place)
    if not (place / CATALOG_FILE).is_file():
        return {}
    catalog = Catalog.load(place)
    songs = [song for split in SPLITS for song in catalog.songs(split)]
    return {
        "songs": f"{len(songs)}, of which {len(catalog.songs(HELD_OUT)) or 'none'} held out",
        "hours": round(sum(song["samples"] for song in songs) / catalog.sample_rate / 3600, 2),
        "sound": f"{catalog.sample_rate} Hz, {'mono' if catalog.channels == 1 else 'stereo'}",
        "artists": len(catalog.artists),
        "genres": len(catalog.genres),
        "with lyrics": sum(song["lyrics"] > 0 for song in songs),
        "with word times": sum(song["words"] > 0 for song in songs),
        "skipped": len(catalog.skipped),
    }


def changes(one: Sequence[StageRun], other: Sequence[StageRun]) -> list[str]:
    """What differs between the settings of two runs, but for what each was made from."""
    before, after = ({stage.name: {**stage.config, "needs": None} for stage in run} for run in (one, other))
    found = list(differences(before, after))
    more = len(found) - DIFFERENCES_SHOWN
    return found[:DIFFERENCES_SHOWN] + ([f"and {more} more"] if more > 0 else [])
