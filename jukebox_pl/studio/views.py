"""What the page shows of jobs and songs, as HTML in which everything that was typed is escaped, or as a player's value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import soundfile
from markupsafe import Markup

from jukebox_pl.checkpoints import ADAPTER, Adapter
from jukebox_pl.errors import UserError
from jukebox_pl.report.song_page import PAGE, plain
from jukebox_pl.sessions.jobs import LRC, note_on_lyrics
from jukebox_pl.sessions.nodes import CODES, Node
from jukebox_pl.studio.line import Job, Line, State
from jukebox_pl.studio.studio import Listed, Studio
from jukebox_pl.utils.progress import clock

FASTEST = 20  # characters a second that can be sung; fast speech has 15
NOTHING = Markup("")
HEADING = Markup('<header class="heading"><h1>jukebox_pl</h1><p class="quiet">{}</p></header>')
LINE = Markup('<p class="{}" role="status">{}</p>')
TEXT = Markup('<p class="quiet">{}</p>')
LEVEL = Markup(
    '<div class="level"><span>level {0}</span>'
    '<progress value="{1}" max="{2}" aria-label="level {0}"></progress><span>{3}</span></div>'
)
JOB = Markup('<div class="job"><header><span>{}</span><button name="stop" value="{}">Stop</button></header>{}</div>')
OTHER = Markup('<div class="job other">{}</div>')
JOBS = Markup('<div class="jobs">{}</div>')
LEAF = Markup('<li><button name="choose" value="{}" aria-current="{}">{}{} <small>{}</small></button>{}</li>')
BRANCHES = Markup("<ul>{}</ul>")
TREE = Markup('<nav class="tree" aria-label="Songs">{}</nav>')
FACTS = Markup('<section class="facts" aria-label="Chosen song"><nav aria-label="Downloads">{}</nav><dl>{}</dl></section>')
LINK = Markup('<a href="songs/{}/{}"{}>{}</a>')
FACT = Markup("<dt>{}</dt><dd>{}</dd>")
MARKED = Markup('<pre class="marked">{}</pre>')
EMPTY = "No songs yet. Fill in the form and press Generate."
# What can be taken home of a finished song, and how a link to it says so.
DOWNLOADS = {"song.wav": "WAV", "song.flac": "FLAC", CODES: "Codes", LRC: "LRC", PAGE: "Page"}
MOST_MARKED = 2000  # characters of lyrics that are shown with marks


def jobs(line: Line, owner: str) -> str:
    """The line as one visitor sees it: their own songs with every level, of others that they are there."""
    shown = []
    for place, job in enumerate(line.jobs()):
        until = line.seconds_until_done(job)
        left = f", about {clock(until)} left" if until is not None else ""
        if job.owner == owner:
            if job.state is State.WAITING:
                heading = f"Waiting, number {place} in the line:"
            else:
                written = all(status.done == status.total for status in list(job.levels.values()))
                heading = "Writing the files of" if written else "Singing"
            title = f"{heading} {', '.join(job.names)}{left}"
            shown.append(JOB.format(title, job.names[0], levels(job)))
        else:
            doing = "is being sung" if job.state is State.SINGING else "waits"
            shown.append(OTHER.format(f"Another visitor's song {doing}{left}"))
    last = next((job for job in reversed(list(line.ended)) if job.owner == owner), None)
    if last and last.state is State.FAILED:
        shown.append(LINE.format("mistake", f"{', '.join(last.names)}: {last.mistake}"))
    return str(JOBS.format(NOTHING.join(shown))) if shown else ""


def levels(job: Job) -> Markup:
    """A bar for every level, the top one first, with its pace and its last window."""
    bars = []
    for task, status in list(job.levels.items()):
        note = ", ".join(filter(None, (status.pace, "" if status.done == status.total else status.note)))
        bars.append(LEVEL.format(task.removeprefix("level "), status.done, status.total, note))
    return NOTHING.join(bars)


def title(song: Listed) -> str:
    """What was done, in a musician's words."""
    node = song.node
    arguments = {name: f"{at:.2f}" if isinstance(at, float) else at for name, at in node.arguments.items()}
    seconds = plain(node.request.seconds)
    titles = {
        "extend": f"Continued to {seconds} s",
        "cut": f"Cut at {arguments.get('at')} s",
        "upsample": "Upsampled",
        "regenerate": f"{arguments.get('from')} to {arguments.get('to')} s anew",
    }
    return titles.get(node.operation, f"{seconds} s" + (" on from a clip" if "prompt" in arguments else ""))


def state(studio: Studio, song: Listed) -> str:
    """How far a song is, in one word or two; nothing where it is finished."""
    if job := studio.line.job(song.name):
        done, total = (sum(getattr(status, name) for status in list(job.levels.values())) for name in ("done", "total"))
        return f"singing, {100 * done // max(total, 1)} %" if job.state is State.SINGING else "waiting"
    return "" if song.node.finished else "stopped"


def names_of(blend: Any) -> str:
    """Names, with their shares where they differ."""
    if not isinstance(blend, Mapping):
        return plain(blend) if blend else ""
    total, even = sum(blend.values()), len(set(blend.values())) == 1
    return " + ".join(name if even else f"{100 * weight / total:.0f} % {name}" for name, weight in blend.items())


def details(studio: Studio, song: Listed) -> str:
    node = song.node
    names = ", ".join(filter(None, (names_of(node.request.artist), names_of(node.request.genres))))
    depth = "" if not node.lowest else "sketch" if node.lowest == node.models.top else f"to level {node.lowest}"
    return ", ".join(filter(None, (names, f"seed {node.seed}", depth, state(studio, song))))


def tree(studio: Studio, chosen: str) -> str:
    """Every song under the one that it is made of, the newest first."""
    songs = {song.name: song for song in studio.songs()}
    try:
        picked = studio.session.picked()
    except UserError:
        picked = None
    children: dict[str | None, list[Listed]] = defaultdict(list)
    for song in songs.values():
        children[song.node.parent if song.node.parent in songs else None].append(song)

    def branches(parent: str | None) -> Markup:
        leaves = []
        for song in children.pop(parent, ()):  # taken out: what goes in a circle ends
            star = "★ " if song.name == picked else ""
            current = "true" if song.name == chosen else "false"
            below = branches(song.name)
            leaves.append(LEAF.format(song.name, current, star, title(song), details(studio, song), below))
        return BRANCHES.format(NOTHING.join(leaves)) if leaves else NOTHING

    return str(TREE.format(branches(None))) if songs else str(TEXT.format(EMPTY))


def player(studio: Studio, takes: Sequence[Listed], chosen: str) -> dict[str, Any]:
    """The value of a `Player`: the takes of a song side by side, unfinished ones as far as they are sung."""
    songs = []
    for song in takes:
        src, note, seconds, peaks = "", state(studio, song), 0.0, list[int]()
        try:
            if song.node.finished:
                seconds, peaks = studio.waveform(song.name)
                src, note = f"songs/{quote(song.name, safe='')}/song.wav", f"{seconds:.2f} s"
            else:
                token, sung = studio.so_far(song)
                if token:
                    sound = studio.sounds[token]
                    seconds, peaks, src = sound.seconds, sound.peaks, f"sounds/{quote(token, safe='')}"
                    note = f"{note}: {sung}"
        except (UserError, OSError, KeyError, soundfile.LibsndfileError):
            note = "cannot be played: its files are damaged or gone"
        name = f"{title(song)}, seed {song.node.seed}"
        songs.append({"name": song.name, "title": name, "note": note, "src": src, "seconds": seconds, "peaks": peaks})
    return {"songs": songs, "chosen": chosen}


def facts(studio: Studio, song: Listed) -> str:
    """What was asked of a song, and what can be taken home of it."""
    node: Node = song.node
    request, params = node.request, node.params
    folder = studio.session.place(song.name)
    links = []
    for file, label in DOWNLOADS.items() if node.finished else ():
        there = "song.wav" if file == "song.flac" else file  # made when it is asked for
        if (folder / there).exists():
            how = Markup(' target="_blank"') if file == PAGE else Markup(" download")
            links.append(LINK.format(quote(song.name, safe=""), file, how, label))
    facts = {
        "name": song.name,
        "artist": names_of(request.artist),
        "genres": names_of(request.genres),
        "made from": node.parent,
        "part": f"{plain(request.offset_seconds)} to {plain(request.offset_seconds + request.seconds)} s"
        f" of {plain(request.total_seconds or request.offset_seconds + request.seconds)} s",
        "seed": node.seed,
        "temperature": params.temperature,
        "guidance": params.guidance,
        **strengths(studio, node),
        "lyrics": request.lyrics,
        **{f"from {plain(section.start_seconds)} s": section.lyrics for section in request.schedule if section.lyrics},
    }
    lines = [FACT.format(name, plain(value)) for name, value in facts.items() if value not in ("", None, ())]
    return str(FACTS.format(NOTHING.join(links), NOTHING.join(lines)))


def strengths(studio: Studio, node: Node) -> dict[str, float]:
    """Of each adapter in a song."""
    names = [f"strength of {adapter_name(use.adapter)}" for use in studio.adapters]
    return dict(zip(names, studio.strengths(node), strict=True))


def adapter_name(adapter: Adapter) -> str:
    """The name of its run, where its file is called as every run's."""
    return adapter.path.resolve().parent.name if adapter.path.name == ADAPTER else adapter.path.stem


def marked(text: str, unknown: set[str]) -> Markup:
    """The beginning of a text, with marks around the characters that are unknown."""
    parts = (Markup("<mark>{}</mark>").format(c) if c in unknown else Markup.escape(c) for c in text[:MOST_MARKED])
    return MARKED.format(NOTHING.join(parts))


def clip(token: str, studio: Studio, begin: float | None = None, end: float | None = None) -> dict[str, Any]:
    """The value of a `Player` for a clip of that token. Raises KeyError where it is gone."""
    sound = studio.sounds[token]
    song = {
        "name": token,
        "title": "Clip to go on from",
        "note": f"{sound.seconds:.2f} s; drag over the stretch to take, or take all of it",
        "src": f"sounds/{quote(token, safe='')}",
        "seconds": sound.seconds,
        "peaks": sound.peaks,
    }
    return {"songs": [song], "chosen": token, "begin": begin, "end": end}


def count(studio: Studio, lyrics: str, seconds: Any = None, total: Any = None, offset: Any = None) -> str:
    """How much of the lyrics the model sings, how that fits, and what it leaves out."""
    labeller, lyrics = studio.labeller, str(lyrics or "")
    try:
        note = note_on_lyrics(lyrics, labeller)
        sung, normal = len(labeller.characters.clean(lyrics)), labeller.characters.normalize(lyrics)
        unknown = set(labeller.characters.unknown(lyrics))
    except UserError as error:
        return str(LINE.format("mistake", error))
    long = max(total or 0, (offset or 0) + (seconds or 0)) if isinstance(seconds, int | float) else 0
    parts = [f"{sung:,} characters to sing"]
    if sung and labeller.lyric_tokens:
        parts.append(f"the model reads {labeller.lyric_tokens:,} at a time")
    if sung > FASTEST * long > 0:
        parts.append(f"about {round(FASTEST * long):,} can be sung in {long:g} s")
    if long > studio.longest_seconds:
        parts.append(f"the model has learned from songs of up to {studio.longest_seconds:.1f} s, not {long:g} s")
    line = LINE.format("quiet", "; ".join([*parts, *([note] if note else [])]))
    return str(line + marked(normal, unknown)) if unknown and labeller.lyric_tokens else str(line)
