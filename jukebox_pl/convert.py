"""`python -m jukebox_pl.convert openai=DIR_OR_FILES out=BUNDLE`: from OpenAI's released files to a bundle that samples."""

from __future__ import annotations

from omegaconf import DictConfig, ListConfig

from jukebox_pl.cli.command import run
from jukebox_pl.openai.convert import from_openai


def main(config: DictConfig) -> None:
    lists = config.labels
    print(from_openai(paths(config.openai), config.out, paths(lists.artists), paths(lists.genres)))


def paths(value: str | ListConfig | None) -> list[str]:
    """One path, several, or none."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


if __name__ == "__main__":
    run(main, "convert")
