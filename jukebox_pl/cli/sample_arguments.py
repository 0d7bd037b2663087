"""The settings of sample.yaml as records. Raises UserError for what cannot be meant."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, ListConfig

from jukebox_pl import audio
from jukebox_pl.catalog.word_times.formats import read_timed
from jukebox_pl.checkpoints import STRONGEST, AdapterUse, read_adapter
from jukebox_pl.errors import UserError
from jukebox_pl.sampling.checks import MOST_SECONDS
from jukebox_pl.sessions.again import SETTINGS
from jukebox_pl.sessions.commands import SampleCommand
from jukebox_pl.sessions.models import Computing
from jukebox_pl.sessions.operations import Overrides
from jukebox_pl.sessions.prompts import Prompt
from jukebox_pl.text.files import NO_SUCH_FILE, read_text_file
from jukebox_pl.text.sections import SECTIONS, STRIP, sung_text
from jukebox_pl.types import SamplingParams, Section
from jukebox_pl.utils.files import read_bytes

# What is a path and not lyrics, whether there is such a file or not.
PATH_OF_LYRICS = re.compile(
    r"[^\n]{0,250}\.(?:txt|text|lyrics|lrc|srt|vtt|textgrid|eaf|json|csv|tsv|rtf|docx?|odt|pdf|md|html?)", re.I
)
SECTION = {"at", "artist", "genre", "genres", "lyrics"}
MOST_CANDIDATES, MOST_SCHEDULE_BYTES = 1000, 2**18
DEVICES = ("cpu", "cuda", "mps")


def place_of(config: DictConfig) -> tuple[Path, str | None]:
    """The session's folder, and the name of the song in it if one is given."""
    if config.out is None:
        if config.session is None and config.run_dir is None:
            raise UserError("run_dir is missing, as in run_dir=runs/demo: the folder of a finished run; or give session")
        return Path(config.session or Path(config.run_dir) / "songs"), None
    out = Path(config.out) if Path(config.out).name not in ("", "..") else Path(config.out).resolve()
    if config.session is not None and out.parent.resolve() != Path(config.session).resolve():
        raise UserError(f"out={config.out} is no folder of session={config.session}: give one of the two")
    return out.parent, out.name


def command_of(config: DictConfig, named: Collection[str], name: str | None) -> SampleCommand:
    """What is asked; `named` are the settings on the command line, `name` the song's if one is given."""
    prompt = None
    if config.prompt is not None:
        seconds = None if config.prompt_seconds is None else number(config, "prompt_seconds", most=MOST_SECONDS)
        prompt = Prompt(Path(config.prompt), seconds, number(config, "prompt_from", 0.0, MOST_SECONDS))
    rank, world = place_among_processes()
    return SampleCommand(
        overrides_of(config, config if config.mode == "new" else named, prompt),
        node=None if config.node is None else str(config.node),
        name=name,
        next_free_name=name is None and "seed" not in named,
        prompt=prompt,
        candidates=number(config, "candidates", least=1, most=MOST_CANDIDATES, whole=True),
        formats=formats_of(config),
        stream=config.stream,
        rank=rank,
        world=world,
    )


def overrides_of(config: DictConfig, named: Collection[str], prompt: Prompt | None) -> Overrides:
    """What was said of the settings `named`; of a prompt its contents count, not its place."""
    moments = [name for name in ("at", "from", "to") if config[name] is not None]
    arguments: dict[str, Any] = {
        name: number(config, name, 0.0 if name == "from" else 1e-3, MOST_SECONDS) for name in moments
    }
    if prompt:
        arguments |= {"prompt": prompt.fingerprint(), "prompt_seconds": prompt.seconds}
        arguments |= {"prompt_from": prompt.from_seconds} if prompt.from_seconds else {}  # nodes of version 0.1.0 have none
    request, params, computing = (
        {field: value for field, value in fields.items() if SETTINGS.get(field, field) in named}
        for fields in (request_fields(config), *params_and_computing(config))
    )
    lowest, seed = (number(config, name, 0, whole=True) if name in named else None for name in ("levels", "seed"))
    return Overrides(request, params, computing, arguments, lowest, seed)


def request_fields(config: DictConfig) -> dict[str, Any]:
    """Those of a `SongRequest`."""
    return {
        **artist_and_genres({"artist": config.artist, "genre": config.genre}),
        "lyrics": read_lyrics(str(config.lyrics or ""), config.sections),
        "seconds": number(config, "seconds", most=MOST_SECONDS),
        "total_seconds": None if config.total_seconds is None else number(config, "total_seconds", most=MOST_SECONDS),
        "offset_seconds": number(config, "offset_seconds", 0.0, MOST_SECONDS),
        "schedule": schedule_of(config.schedule, config.sections),
    }


def params_and_computing(config: DictConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of `SamplingParams`, one value for all levels or a tuple with one a level, and those of `Computing`."""
    params: dict[str, Any] = {}
    for name in SamplingParams.__dataclass_fields__:
        value = config[name]
        params[name] = tuple(value) if isinstance(value, ListConfig) else value
    dtype = config.dtype or Computing.dtype
    return params, {"dtype": dtype, "weights": config.weights, "lyrics_as_codes": bool(config.lyrics_as_codes)}


def adapters_of(config: DictConfig) -> list[AdapterUse]:
    """`adapter` is a file, several, or a mapping of files to strengths; `strength` is that of those that have none."""
    given = config.adapter
    if not isinstance(given, Mapping):
        given = dict.fromkeys(listed(given), config.strength)
    uses = []
    for path, strength in given.items():
        adapter = read_adapter(path)
        is_list = isinstance(strength, list | ListConfig)  # one a level, bottom first
        by_level = dict(enumerate(strength)) if is_list else dict.fromkeys(map(int, adapter.record.levels), strength)
        strengths = {
            level: number({"strength": value}, "strength", -STRONGEST, STRONGEST) for level, value in by_level.items()
        }
        uses.append(AdapterUse(adapter, strengths))
    return uses


def place_among_processes() -> tuple[int, int]:
    """Rank and number of processes, from torchrun. Raises UserError when something else has given half of it."""
    given = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE")}
    try:
        rank, world = int(given["RANK"] or 0), int(given["WORLD_SIZE"] or 1)
    except ValueError:
        rank, world = -1, 0
    if not 0 <= rank < world:
        said = " ".join(f"{name}={value}" for name, value in given.items())
        raise UserError(f"{said} in the environment: unset them, or use torchrun")
    return rank, world


def artist_and_genres(settings: Mapping[Any, Any]) -> dict[str, Any]:
    """Those fields of a request or a section that its `settings` have; a mapping of weights blends names."""
    fields: dict[str, Any] = {}
    for field, setting in (("artist", "artist"), ("genres", "genre"), ("genres", "genres")):
        if setting in settings:
            value = settings[setting]
            if isinstance(value, Mapping):
                fields[field] = {str(name): weight for name, weight in value.items()}
            else:
                fields[field] = str(value or "") if field == "artist" else tuple(listed(value))
    return fields


def schedule_of(value: Any, sections_rule: str = STRIP) -> tuple[Section, ...]:
    """The sections listed, or those in the YAML file of that name."""
    if isinstance(value, str):
        try:
            value = yaml.load(read_bytes(Path(value), MOST_SCHEDULE_BYTES).decode(), PlainLoader)  # a subclass of SafeLoader
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise UserError(f"schedule={value} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(value, list | ListConfig):
        found = shorten(repr(value), 100)
        raise UserError(f"schedule: expected a list of sections such as [{{at: 10, artist: NAME}}], found {found}")
    sections = []
    for record in value:
        if not isinstance(record, Mapping) or not {"at"} <= record.keys() <= SECTION:
            found = shorten(repr(record), 100)
            raise UserError(f"schedule: a section has at, and any of artist, genre and lyrics; found {found}")
        lyrics = read_lyrics(str(record["lyrics"]), sections_rule) if "lyrics" in record else None
        sections.append(Section(number(record, "at", most=MOST_SECONDS), lyrics=lyrics, **artist_and_genres(record)))
    return tuple(sections)


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a few lines of them stand for more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*NAME) stands in it: write out what it stands for")
        return super().compose_node(parent, index)


def number(
    config: Mapping[Any, Any], name: str, least: float = 1e-3, most: float = sys.float_info.max, whole: bool = False
) -> Any:
    """An int where a `whole` number is expected, else a float."""
    value = config[name]
    kind, words = (int, "a whole number") if whole else (int | float, "a number")
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
        limit = "" if most == sys.float_info.max else f" and at most {most:g}"
        raise UserError(f"{name}={shorten(str(value), 100)}: expected {words} of at least {least}{limit}")
    return value if whole else float(value)


def listed(value: object) -> list[str]:
    """A list, one name, or names separated by `;`."""
    if isinstance(value, list | ListConfig):
        return [str(item) for item in value]
    return [part.strip() for part in str(value or "").split(";") if part.strip()]


def read_lyrics(text_or_path: str, sections: str = STRIP) -> str:
    """What is sung of a file of lyrics where there is one of that name, else of the text itself, with `\\n` for line ends.

    Files are read as what they are, without their times; what was guessed or passed over in them is told.
    """
    if sections not in SECTIONS:
        raise UserError(f"sections={sections}: expected {' or '.join(SECTIONS)}")
    path, text = Path(text_or_path), text_or_path.replace("\\n", "\n")
    named = PATH_OF_LYRICS.fullmatch(text_or_path)
    try:
        if named or path.is_file():
            text, warning = read_text_file(path)
            found = read_timed(text, path.name)
            text = found.lyrics
            for note in [*([warning] if warning else []), *found.notes]:
                print(f"warning: {path} {note}", file=sys.stderr)
    except (UserError, OSError, ValueError) as error:  # a whole song is too long for a name, or has a null character
        if not named and not isinstance(error, UserError):
            return sung_text(text, sections).text
        if named and str(error) == NO_SUCH_FILE:
            way_out = "give the path of a file of lyrics, or the lyrics themselves"
            raise UserError(f"there is no file {text_or_path}; {way_out}") from None
        raise UserError(f"cannot read the lyrics in {text_or_path}: {error}") from None
    return sung_text(text, sections).text


def formats_of(config: DictConfig) -> list[str]:
    """Of the files beside song.wav."""
    formats = listed(config.formats)
    for name in formats:
        if name not in audio.FORMATS:
            raise UserError(f"format {name!r} cannot be written; known are {', '.join(audio.FORMATS)}")
    return formats


def require_device(name: str | None) -> str:
    """`name`, or a GPU where there is one: the one of this process. Raises UserError when there is no such device."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    name = str(name)
    try:
        if torch.device(name).type not in DEVICES:
            raise RuntimeError(f"expected one of {', '.join(DEVICES)}")
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={name} cannot be used: {str(error).splitlines()[0]}") from None
    return name
