"""`python -m jukebox_pl.convert`: a bundle of OpenAI's released files, or of another bundle and adapters of it."""

from __future__ import annotations

if __name__ == "__main__":  # before anything heavy is imported
    from jukebox_pl.cli.help import answer

    answer("convert")


from typing import Any

from omegaconf import DictConfig, ListConfig

from jukebox_pl.checkpoints import save_merged
from jukebox_pl.cli.command import run
from jukebox_pl.cli.sample_arguments import adapters_of
from jukebox_pl.errors import UserError
from jukebox_pl.openai.convert import ReleasedFiles, convert
from jukebox_pl.utils.files import new_folder


def main(config: DictConfig) -> dict[str, Any]:
    """Of the released files, and of the lists of artists and genres, there is one path, several, or none.

    Raises UserError unless there are released files, or a bundle with an adapter, and a folder to write to.
    """
    merges = config.bundle is not None and config.adapter is not None
    if merges == (config.openai is not None) or config.out is None:
        raise UserError("give out=BUNDLE with openai=FOLDER, or with bundle=RUN adapter=FILE")
    if merges:
        with new_folder(config.out, "out") as beside:
            save_merged(beside, config.bundle, adapters_of(config))
        print(config.out)
        return {"bundle": str(config.out)}
    given = config.openai, config.labels.artists, config.labels.genres
    files, artists, genres = (
        [str(path) for path in paths] if isinstance(paths, ListConfig) else [str(paths)] if paths else [] for paths in given
    )
    bundle = convert(ReleasedFiles.find(files, artists, genres), config.out)
    print(bundle)
    return {"bundle": str(bundle)}


if __name__ == "__main__":
    run(main, "convert")
