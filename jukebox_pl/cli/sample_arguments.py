"""The settings of sample.yaml as records. Raises UserError for what cannot be meant."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, ListConfig

from jukebox_pl import audio
from jukebox_pl.errors import UserError
from jukebox_pl.sessions.models import Computing
from jukebox_pl.sessions.orders import Overrides, SampleCommand
from jukebox_pl.sessions.prompts import Prompt
from jukebox_pl.types import Blend, SamplingParams, Section, SongRequest

WRITTEN = {"genres": "genre"}  # where a setting has another name than the field of a request
SECTION = {"at", "artist", "genre", "lyrics"}


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


def order_of(config: DictConfig, given: Collection[str], name: str | None) -> SampleCommand:
    return SampleCommand(
        wish=wish_of(config, config if config.mode == "new" else given),
        node=None if config.node is None else str(config.node),
        name=name,
        prompt=prompt_of(config),
        candidates=whole(config, "candidates", least=1),
        formats=[require_format(name) for name in listed(config.formats)],
        stream=config.stream,
        **place_among_processes(),
    )


def place_among_processes() -> dict[str, int]:
    """What torchrun tells a process. Raises UserError when something else has told half of it."""
    given = {name: os.environ.get(name.upper()) for name in ("rank", "world_size")}
    try:
        rank, world = int(given["rank"] or 0), int(given["world_size"] or 1)
    except ValueError:
        rank, world = -1, 0
    if not 0 <= rank < world:
        raise UserError(
            f"RANK={given['rank']} WORLD_SIZE={given['world_size']} in the environment: unset them, or use torchrun"
        )
    return {"rank": rank, "world": world}


def wish_of(config: DictConfig, given: Collection[str]) -> Overrides:
    """What was said of the settings `given`."""
    request, params, computing = vars(request_of(config)), vars(params_of(config)), vars(computing_of(config))
    return Overrides(
        request={name: value for name, value in request.items() if WRITTEN.get(name, name) in given},
        params={name: value for name, value in params.items() if name in given},
        computing={name: value for name, value in computing.items() if name in given},
        arguments=dict(arguments_of(config)),
        lowest=whole(config, "levels") if "levels" in given else None,
        seed=whole(config, "seed") if "seed" in given else None,
    )


def arguments_of(config: DictConfig) -> Iterator[tuple[str, Any]]:
    """What only some modes are told."""
    for name in ("at", "from", "to"):
        if config[name] is not None:
            yield name, number(config, name, least=0.0 if name == "from" else 1e-3)
    if prompt := prompt_of(config):
        yield from (("prompt", prompt.fingerprint()), ("prompt_seconds", prompt.seconds))


def prompt_of(config: DictConfig) -> Prompt | None:
    if config.prompt is None:
        return None
    return Prompt(Path(config.prompt), None if config.prompt_seconds is None else number(config, "prompt_seconds"))


def request_of(config: DictConfig) -> SongRequest:
    return SongRequest(
        artist=artist_of(config.artist),
        genres=genres_of(config.genre),
        lyrics=read_lyrics(str(config.lyrics or "")),
        seconds=number(config, "seconds"),
        total_seconds=None if config.total_seconds is None else number(config, "total_seconds"),
        offset_seconds=number(config, "offset_seconds", least=0.0),
        schedule=tuple(section_of(record) for record in read_schedule(config.schedule)),
    )


def artist_of(value: Any) -> str | Blend:
    return blend_of(value) if isinstance(value, Mapping) else str(value or "")


def genres_of(value: Any) -> tuple[str, ...] | Blend:
    return blend_of(value) if isinstance(value, Mapping) else tuple(listed(value))


def blend_of(value: Mapping[Any, Any]) -> Blend:
    return {str(name): weight for name, weight in value.items()}


def read_schedule(value: Any) -> list[Any]:
    """The sections listed, or those in the YAML file of that name."""
    if isinstance(value, str):
        try:
            value = yaml.safe_load(Path(value).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"schedule={value} cannot be read: {error}") from None
    if not isinstance(value, list | ListConfig):
        raise UserError(f"schedule: expected a list of sections such as [{{at: 10, artist: NAME}}], found {value!r}")
    return list(value)


def section_of(record: Any) -> Section:
    if not isinstance(record, Mapping) or not {"at"} <= record.keys() <= SECTION:
        raise UserError(f"schedule: a section has at, and any of artist, genre and lyrics; found {record}")
    return Section(
        number(record, "at"),
        artist=artist_of(record["artist"]) if "artist" in record else None,
        genres=genres_of(record["genre"]) if "genre" in record else None,
        lyrics=read_lyrics(str(record["lyrics"])) if "lyrics" in record else None,
    )


def params_of(config: DictConfig) -> SamplingParams:
    """One value for all levels, or a list with one a level, bottom first."""
    names = SamplingParams.__dataclass_fields__
    values = {name: tuple(config[name]) if isinstance(config[name], ListConfig) else config[name] for name in names}
    return SamplingParams(**values)


def computing_of(config: DictConfig) -> Computing:
    return Computing(config.dtype or Computing.dtype, config.weights, bool(config.lyrics_as_codes))


def number(config: Mapping[Any, Any], name: str, least: float = 1e-3) -> float:
    value = config[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
        raise UserError(f"{name}={value}: expected a number of at least {least}")
    return float(value)


def whole(config: DictConfig, name: str, least: int = 0) -> int:
    value = config[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name}={value}: expected a whole number of at least {least}")
    return value


def listed(value: object) -> list[str]:
    """A list, one name, or names separated by `;`."""
    if isinstance(value, list | ListConfig):
        return [str(item) for item in value]
    return [part.strip() for part in str(value or "").split(";") if part.strip()]


def read_lyrics(text_or_path: str) -> str:
    """The contents of a file where there is one of that name, else the text itself with `\\n` for line ends."""
    try:
        if Path(text_or_path).is_file():
            return Path(text_or_path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        if text_or_path.endswith(".txt"):
            raise UserError(f"cannot read the lyrics in {text_or_path}: {error}") from None
    if text_or_path.endswith(".txt"):
        raise UserError(f"there is no file {text_or_path}; give the path of a text file in UTF-8, or the lyrics themselves")
    return text_or_path.replace("\\n", "\n")


def require_format(name: str) -> str:
    if name not in audio.FORMATS:
        raise UserError(f"format {name!r} cannot be written; known are {', '.join(audio.FORMATS)}")
    return name


def require_device(name: str | None) -> str:
    """`name`, or a GPU where there is one: the one of this process. Raises UserError when there is no such device."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={name} cannot be used: {str(error).splitlines()[0]}") from None
    return name
