"""`python -m jukebox_pl.sample run_dir=RUN artist=… lyrics=…`: a song by a run's models. Parse, build, call."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig, ListConfig

from jukebox_pl import audio, cli, weights
from jukebox_pl.errors import UserError
from jukebox_pl.types import SamplingParams, SongRequest

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def main(config: DictConfig) -> None:
    from jukebox_pl.singing import sing, write_song  # imports matplotlib: --help and mistakes answer at once without it

    if config.run_dir is None:
        raise UserError("run_dir is missing, as in run_dir=runs/demo: the folder of a finished run")
    formats = [require_format(name) for name in listed(config.formats)]
    request, params, device = request_of(config), params_of(config), require_device(config.device)
    bundle = weights.load_bundle(config.run_dir, dtype=require_dtype(config.dtype or "float32"))
    for prior in bundle.priors.values():
        prior.lyrics_as_codes = bool(config.lyrics_as_codes)
    song = sing(bundle, request, params, config.seed, device)
    folder = Path(config.out or Path(config.run_dir) / "songs" / f"seed_{config.seed}")
    command = "python -m jukebox_pl.sample run_dir=… artist=… genre=… lyrics=FILE_OR_TEXT seconds=10 seed=1"
    print(write_song(folder, song, bundle, formats, {"command": command}))


def request_of(config: DictConfig) -> SongRequest:
    return SongRequest(
        artist=str(config.artist or ""),
        genres=tuple(str(genre) for genre in listed(config.genre)),
        lyrics=read_lyrics(str(config.lyrics or "")),
        seconds=number(config, "seconds"),
        total_seconds=None if config.total_seconds is None else number(config, "total_seconds"),
        offset_seconds=number(config, "offset_seconds", least=0.0),
    )


def number(config: DictConfig, name: str, least: float = 1e-3) -> float:
    value = config[name]
    if not isinstance(value, int | float) or not least <= value < float("inf"):
        raise UserError(f"{name}={value}: expected a number of at least {least}")
    return float(value)


def params_of(config: DictConfig) -> SamplingParams:
    """One value for all levels, or a list with one a level, bottom first."""
    names = ("temperature", "top_k", "top_p", "hop_fraction")
    values = {name: tuple(config[name]) if isinstance(config[name], ListConfig) else config[name] for name in names}
    return SamplingParams(**values)


def listed(value: object) -> list[str]:
    """A list, one name, or names separated by `;`."""
    if isinstance(value, ListConfig):
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


def require_dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise UserError(f"dtype {name!r} is not supported; known are {', '.join(DTYPES)}")
    return DTYPES[name]


def require_device(name: str | None) -> str:
    """`name`, or a GPU where there is one. Raises UserError when there is no such device."""
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={name} cannot be used: {str(error).splitlines()[0]}") from None
    return name


if __name__ == "__main__":
    cli.run(main, "sample")
