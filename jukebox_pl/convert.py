"""`python -m jukebox_pl.convert openai=DIR_OR_FILES out=BUNDLE`: from OpenAI's released files to a bundle that sings."""

from __future__ import annotations

from omegaconf import DictConfig, ListConfig

from jukebox_pl.cli import run
from jukebox_pl.released.convert import ReleasedFiles, convert


def main(config: DictConfig) -> None:
    places, artists, genres = (paths(config[name]) for name in ("openai", "artists", "genres"))
    print(convert(ReleasedFiles.find(places, artists, genres), config.out))


def paths(value: str | ListConfig | None) -> list[str]:
    """One path, several, or none."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


if __name__ == "__main__":
    run(main, "convert")
