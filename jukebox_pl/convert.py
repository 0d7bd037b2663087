"""`python -m jukebox_pl.convert openai=DIR_OR_FILES out=BUNDLE`: from OpenAI's released files to a bundle that samples."""

from __future__ import annotations

from omegaconf import DictConfig, ListConfig

from jukebox_pl.cli.command import run
from jukebox_pl.openai.convert import ReleasedFiles, convert


def main(config: DictConfig) -> None:
    lists = config.labels
    files = ReleasedFiles.find(paths(config.openai), paths(lists.artists), paths(lists.genres))
    print(convert(files, config.out))


def paths(value: str | ListConfig | None) -> list[str]:
    """One path, several, or none."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


if __name__ == "__main__":
    run(main, "convert")
