"""A bundle: the models of a hierarchy, listed in bundle.json as folders of networks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import torch

from jukebox_pl.checkpoints.adapters import AdapterUse, Overlay, with_tables_for
from jukebox_pl.checkpoints.agreement import require_agreement, require_head
from jukebox_pl.checkpoints.building import TRUSTED
from jukebox_pl.checkpoints.folders import fingerprint, load, load_labeller, outline_of, read_config, save_state
from jukebox_pl.checkpoints.records import BundleRecord
from jukebox_pl.errors import UserError
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.text.labels import Labeller
from jukebox_pl.utils.files import read_record, write_json

BUNDLE = "bundle.json"


class LyricsHead(NamedTuple):
    """The attention head by which a prior keeps its place in the lyrics."""

    level: int
    layer: int
    head: int


@dataclass(frozen=True)
class Bundle:
    """A whole hierarchy: the VQ-VAE, a prior and a labeller for every level, the rate of the sound.

    `lyrics_head` is None where no prior reads lyrics, and in bundles of before it was noted.
    """

    vqvae: VQVAE
    priors: Mapping[int, Prior]
    labellers: dict[int, Labeller]
    sample_rate: int
    lyrics_head: LyricsHead | None = None


class LazyPriors(Mapping[int, Prior]):
    """Priors on disk: whoever looks one up loads it, and nobody else holds it. See `load` for `dtype`.

    `lyrics_as_codes` lets them draw lyric symbols as codes, `overlays` lay adapters over some levels. Raises UserError at
    once where one could not be loaded.
    """

    def __init__(
        self,
        folders: Mapping[int, Path],
        trusted: Sequence[str],
        dtype: torch.dtype,
        lyrics_as_codes: bool = False,
        overlays: Mapping[int, Overlay] | None = None,
    ):
        self.folders, self.trusted, self.dtype, self.lyrics_as_codes = folders, trusted, dtype, lyrics_as_codes
        self.overlays = overlays or {}
        # Without memory for their weights: what is known of each before it is loaded.
        self.outlines = {level: cast(Prior, outline_of(folder, trusted)) for level, folder in folders.items()}
        self.outlines |= {level: overlay.outline for level, overlay in self.overlays.items()}

    def __getitem__(self, level: int) -> Prior:
        prior = cast(Prior, load(self.folders[level], self.trusted, self.dtype).model)
        if level in self.overlays:
            prior = self.overlays[level](prior, self.dtype)
        prior.lyrics_as_codes = self.lyrics_as_codes
        return prior

    def __contains__(self, level: object) -> bool:
        return level in self.folders

    def __iter__(self) -> Iterator[int]:
        return iter(self.folders)

    def __len__(self) -> int:
        return len(self.folders)


def save_bundle(
    folder: str | Path, sample_rate: int, vqvae: str, priors: Mapping[int, str], lyrics_head: LyricsHead | None = None
) -> None:
    """Lists the model folders (relative to `folder`) that make up a bundle, and the fingerprints they have now."""
    folder = Path(folder)
    record: dict[str, Any] = {
        "sample_rate": sample_rate,
        "vqvae": vqvae,
        "priors": {str(level): path for level, path in priors.items()},
        "fingerprints": {path: fingerprint(folder / path) for path in (vqvae, *priors.values())},
    }
    if lyrics_head:
        record["lyrics_head"] = lyrics_head._asdict()
    write_json(folder / BUNDLE, record)


def load_bundle(
    folder: str | Path,
    trusted: Sequence[str] = TRUSTED,
    dtype: torch.dtype = torch.float32,
    lyrics_as_codes: bool = False,
    at_once: bool = True,
    adapters: Sequence[AdapterUse] = (),
) -> Bundle:
    """Opens a run folder or a converted bundle, its transformers in `dtype`; `at_once`, or each prior when it is looked up.

    `adapters` are in the weights of its priors then. Raises UserError naming what is missing, and an adapter that is
    another bundle's.
    """
    folder = Path(folder)
    record = read_bundle(folder)
    for path, expected in record.fingerprints.items():
        if (now := fingerprint(inside(folder, path))) != expected:  # codes would not match
            raise UserError(
                f"{folder / path} was trained again since {folder / BUNDLE} was written ({expected} -> {now}); "
                f"finish recipe=hierarchy run_dir={folder}"
            )
    folders = {int(level): inside(folder, path) for level, path in record.priors.items()}
    outline = outline_of(inside(folder, record.vqvae), trusted)
    labellers = {level: found for level, place in folders.items() if (found := load_labeller(place))}
    overlays = overlays_of(adapters, folders, labellers)
    labellers |= {level: overlay.labeller for level, overlay in overlays.items()}
    priors = LazyPriors(folders, trusted, dtype, lyrics_as_codes, overlays)
    require_agreement(folder / BUNDLE, outline, priors.outlines, labellers)
    head = noted_head(record)
    if head:
        require_head(folder / BUNDLE, priors.outlines, *head)
    vqvae = cast(VQVAE, load(inside(folder, record.vqvae), trusted).model)
    return Bundle(vqvae, dict(priors) if at_once else priors, labellers, record.sample_rate, head)


def overlays_of(
    adapters: Sequence[AdapterUse], folders: Mapping[int, Path], labellers: Mapping[int, Labeller]
) -> dict[int, Overlay]:
    """What is laid over the prior of each level that an adapter is for. Raises UserError for a level that is not there."""
    levels = {int(level): use.adapter.path for use in adapters for level in use.adapter.record.levels}
    if unknown := sorted(levels.keys() - (folders.keys() & labellers.keys())):
        known = ", ".join(map(str, sorted(folders)))
        raise UserError(f"{levels[unknown[0]]} is for level {unknown[0]}; this bundle has levels {known} with a labeller")
    return {
        level: Overlay(adapters, level, fingerprint(folders[level]), read_config(folders[level]).model, labellers[level])
        for level in levels
    }


def save_merged(folder: str | Path, bundle: str | Path, adapters: Sequence[AdapterUse]) -> None:
    """Writes into `folder` a `bundle` with adapters in the weights of its priors, one prior after the other.

    Raises UserError like `load_bundle`.
    """
    folder, record = Path(folder), read_bundle(bundle)
    merged = load_bundle(bundle, at_once=False, adapters=adapters)
    shutil.copytree(inside(Path(bundle), record.vqvae), folder / "vqvae")
    names = {int(level): f"prior_{level}" for level in record.priors}
    for level, path in record.priors.items():
        labeller = merged.labellers[int(level)]
        config = with_tables_for(read_config(inside(Path(bundle), path)).model, labeller)
        save_state(folder / names[int(level)], merged.priors[int(level)].state_dict(), config, labeller)
    save_bundle(folder, record.sample_rate, "vqvae", names, merged.lyrics_head)


def read_bundle(folder: str | Path) -> BundleRecord:
    """The record of a run or a converted bundle. Raises UserError naming what is missing or wrong."""
    return read_record(Path(folder) / BUNDLE, BundleRecord, "a finished run (with a VQ-VAE and a prior for every level)")


def noted_head(record: BundleRecord) -> LyricsHead | None:
    return LyricsHead(*msgspec.structs.astuple(record.lyrics_head)) if record.lyrics_head else None


def inside(folder: Path, path: str) -> Path:
    """`path` within `folder`; raises UserError when it leads out."""
    try:
        within = (folder / path).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # too long, a circle of links, a null character
        raise UserError(f"{folder / BUNDLE} names {path!r:.300}, which is no folder: {error!s:.100}") from None
    if not within:
        raise UserError(f"{folder / BUNDLE} names {path!r:.300}, which lies outside the bundle")
    return folder / path
