"""From OpenAI's files to a bundle: one file in memory at a time, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.openai.configs import complete
from jukebox_pl.openai.files import PRIOR_FILE, VQVAE_FILE, describe, level_of, read_released
from jukebox_pl.openai.hparams import PRIORS, Hparams
from jukebox_pl.openai.labels import IdFile, released_labeller
from jukebox_pl.utils.files import new_folder

# What the parts of one hierarchy agree on.
SHARED = ("sr", "levels", "downs_t", "strides_t", "l_bins")
# What tells a released prior from another one.
SHAPE = ("level", "n_ctx", "n_tokens", "prior_width", "prior_depth", "heads", "attn_order", "single_enc_dec")


@dataclass(frozen=True)
class ReleasedFiles:
    """The files of one hierarchy, and the lists of artists and genres its labels are looked up in."""

    vqvae: Path
    priors: dict[int, Path]
    artists: Sequence[IdFile] = ()
    genres: Sequence[IdFile] = ()

    @classmethod
    def find(
        cls, places: Iterable[str | Path], artists: Iterable[str | Path], genres: Iterable[str | Path]
    ) -> ReleasedFiles:
        """`places` are the files, or folders that hold them. Raises UserError when a part is there twice or not at all."""
        found: list[Path] = []
        for place in map(Path, places):
            if not place.exists():
                raise UserError(f"there is no {place}: openai=... names the released files or their folder")
            inside = sorted(place.iterdir()) if place.is_dir() else []
            named = [path for path in inside if path.name == VQVAE_FILE or PRIOR_FILE.fullmatch(path.name)]
            found += named if place.is_dir() else [place]
        parts: dict[int | None, Path] = {}
        for path in found:
            level = level_of(path)
            if level in parts:
                raise UserError(f"{parts[level]} and {path} are the same part: name the files, openai=[FILE,FILE,...]")
            parts[level] = path
        vqvae = parts.pop(None, None)
        if vqvae is None:
            raise UserError(f"no {VQVAE_FILE} in {', '.join(map(str, places))}: name it too, openai=[FILE,FILE,...]")
        priors = {level: path for level, path in parts.items() if level is not None}
        return cls(vqvae, priors, [*map(IdFile.read, artists)], [*map(IdFile.read, genres)])


def convert(files: ReleasedFiles, out: str | Path, note: Callable[[str], None] = print) -> Path:
    """Writes the bundle `out`. Half weights stay half.

    Raises UserError naming a file that is not what it should be, what was expected and what was found.
    """
    with new_folder(out, "out") as beside:
        write_bundle(files, beside, note)
    return Path(out)


def write_bundle(files: ReleasedFiles, folder: Path, note: Callable[[str], None]) -> None:
    hps = write_part(files.vqvae, folder / "vqvae", files, note)
    if missing := sorted(set(range(hps["levels"])) - set(files.priors)):
        names = " and ".join(f"prior_level_{level}.pth.tar" for level in missing)
        raise UserError(f"no {names} among the files: every level has a prior, name them all, openai=[FILE,FILE,...]")
    folders = {level: f"prior_{level}" for level in sorted(files.priors)}
    lyrics_head = None
    for level, name in folders.items():
        path = files.priors[level]
        found = write_part(path, folder / name, files, note)
        for key in SHARED:
            # A tuple of a table and a list of a file are the same.
            wanted, there = (list(value) if isinstance(value, tuple) else value for value in (hps[key], found[key]))
            if there != wanted:
                raise UserError(
                    f"{describe(path)}: expected {key} {hps[key]} as in {files.vqvae}, found {found[key]}; "
                    "give the files of one hierarchy"
                )
        lyrics_head = released_lyrics_head(found) or lyrics_head
    checkpoints.save_bundle(folder, hps["sr"], "vqvae", folders, lyrics_head)


def released_lyrics_head(hps: Hparams) -> checkpoints.LyricsHead | None:
    """The head that follows the lyrics, as the file says, or as is known of a released model of its shape."""
    known = [prior for prior in PRIORS.values() if all(complete(prior)[key] == hps.get(key) for key in SHAPE)]
    for source in (hps, *known):
        if source.get("alignment_layer") is not None:
            return checkpoints.LyricsHead(hps["level"], source["alignment_layer"], source["alignment_head"])
    return None


def write_part(path: Path, folder: Path, files: ReleasedFiles, note: Callable[[str], None]) -> Hparams:
    """Converts one file and returns its hyper-parameters; nothing of its weights stays in memory."""
    released = read_released(path)
    labeller = None if path == files.vqvae else released_labeller(released.hps, files.artists, files.genres)
    checkpoints.save_state(folder, released.state, released.config, labeller)
    note(f"{path}: {sum(tensor.numel() for tensor in released.state.values()):,} numbers")
    return released.hps
