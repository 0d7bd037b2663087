"""`python -m jukebox_pl.convert openai=DIR_OR_FILES out=BUNDLE`: from OpenAI's released files to a bundle that samples."""

from __future__ import annotations

if __name__ == "__main__":  # before anything heavy is imported
    from jukebox_pl.cli.help import answer

    answer("convert")


from typing import Any

from omegaconf import DictConfig, ListConfig

from jukebox_pl.cli.command import run
from jukebox_pl.openai.convert import ReleasedFiles, convert


def main(config: DictConfig) -> dict[str, Any]:
    """Of the released files, and of the lists of artists and genres, there is one path, several, or none."""
    given = config.openai, config.labels.artists, config.labels.genres
    files, artists, genres = (
        [str(path) for path in paths] if isinstance(paths, ListConfig) else [str(paths)] if paths else [] for paths in given
    )
    bundle = convert(ReleasedFiles.find(files, artists, genres), config.out)
    print(bundle)
    return {"bundle": str(bundle)}


if __name__ == "__main__":
    run(main, "convert")
