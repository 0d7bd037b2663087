"""Training on from a bundle: its VQ-VAE as it is, its priors with tables for the names of this catalog."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from jukebox_pl import audio, checkpoints
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog
from jukebox_pl.checkpoints import ADAPTER, MODEL
from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.codec import report_levels
from jukebox_pl.evaluation.fidelity import SHORTEST
from jukebox_pl.evaluation.windows import evenly
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.surgery import graft_lyrics, grown_state
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.pipeline.bundle import BundleStage
from jukebox_pl.pipeline.stage_folder import Stage, StageResult
from jukebox_pl.pipeline.train import TrainStage
from jukebox_pl.text.labels import Labeller
from jukebox_pl.training.tuning import Base, Tuning, WholePrior

LYRICS_ENCODER = "jukebox_pl.models.conditioners.LyricsEncoder"
CLIPS, CLIP_SECONDS = 4, 6  # to hear of what the codec makes of new songs


class CopyStage(Stage):
    """The VQ-VAE of the bundle `init_from`, as it is, for the catalog at `path`."""

    makes = "model"

    def __init__(self, init_from: str, path: str):
        self.init_from, self.path = Path(init_from), path

    def output(self, folder: Path) -> str:
        return str(folder / MODEL)

    def complete(self, result: StageResult) -> bool:
        """Raises UserError when the bundle, where it is still there, is not the one that the run began from."""
        if (self.init_from / checkpoints.BUNDLE).exists():
            bundle = checkpoints.read_bundle(self.init_from)
            now = checkpoints.fingerprint(checkpoints.inside(self.init_from, bundle.vqvae))
            if now != result.fingerprint:
                raise UserError(
                    f"init_from={self.init_from} is another bundle than this run began from: choose another run_dir"
                )
        return True

    def run(self, folder: Path) -> StageResult:
        """Raises UserError when the catalog has another sample rate."""
        bundle, catalog = checkpoints.read_bundle(self.init_from), Catalog.load(self.path)
        if catalog.sample_rate != bundle.sample_rate:
            raise UserError(
                f"{self.path} has {catalog.sample_rate} samples a second, {self.init_from} was trained on "
                f"{bundle.sample_rate}; prepare the songs again with sample_rate={bundle.sample_rate}"
            )
        shutil.copytree(checkpoints.inside(self.init_from, bundle.vqvae), folder / MODEL, dirs_exist_ok=True)
        vqvae = cast(VQVAE, checkpoints.load(folder / MODEL).model)
        return StageResult(checkpoints.fingerprint(folder / MODEL), codec_figures(vqvae, catalog))


def codec_figures(vqvae: VQVAE, catalog: Catalog) -> dict[str, Any]:
    """What the codes of each level keep of a few songs, in dB: near 0, what silence has, no prior can learn them."""
    hop, clips = vqvae.hops[-1], []
    ids = [song["id"] for song in evenly([*catalog.songs(HELD_OUT), *catalog.songs(TRAIN)], CLIPS)]
    for sample in catalog.samples(catalog.shard_of(HELD_OUT) | catalog.shard_of(TRAIN), ids):
        sound = torch.from_numpy(audio.downmix(sample.sound())).view(1, 1, -1)
        length = min(CLIP_SECONDS * catalog.sample_rate, sound.shape[-1]) // hop * hop
        start = (sound.shape[-1] - length) // 2
        clips.append(sound[..., start : start + length])
    reports = [report_levels(vqvae, clip) for clip in clips if clip.shape[-1] >= SHORTEST]
    return {
        f"level {level[0].level}": f"{sum(report.reconstruction for report in level) / len(level):.1f} dB"
        for level in zip(*reports, strict=True)
    }


class FinetuneStage(TrainStage):
    """A TrainStage that goes on from the prior of the bundle `init_from` at the level of `data`.

    The network is the bundle's and so are the windows it reads; the names and characters of this catalog are added to its
    tables. What of it is trained, and what comes out, is for `tune`, a Tuning, to say. With `graft`, the `pattern` of a
    prior with X layers and the config of its lyrics `encoder`, a prior that reads no lyrics learns to.
    """

    def __init__(self, init_from: str, tune: DictConfig, graft: DictConfig | None = None, **training: Any):
        super().__init__(**training)
        self.init_from, self.level, self.graft = Path(init_from), int(self.data["level"]), graft
        try:
            self.tune: Tuning = instantiate(tune, _convert_="all")
        except HydraException as error:  # what a record refuses
            raise UserError(f"tune: {' '.join(str(error.__cause__ or error).split())}") from None

    def run(self, folder: Path) -> StageResult:
        """Raises UserError when the bundle has no prior of this level."""
        priors = checkpoints.read_bundle(self.init_from).priors
        if (level := str(self.level)) not in priors:
            raise UserError(f"{self.init_from} has no prior of level {level}, only of {', '.join(sorted(priors))}")
        place = checkpoints.inside(self.init_from, priors[level])
        if not self.tune.trains(self.level):
            self.tune.keep(folder, place)
            return StageResult(checkpoints.fingerprint(place), max_steps=self.max_steps)
        trained = checkpoints.load(place, dtype=self.tune.dtype)
        self.network_before, self.labeller_before = cast(Prior, trained.model), cast(Labeller, trained.labeller)
        self.config_before = checkpoints.read_config(place).model
        self.base = Base(self.init_from.resolve().name, self.level, trained.fingerprint)
        if self.graft:
            self._learn_lyrics(self.graft)
        windows = {"ctx": self.network_before.ctx, "lyric_tokens": self.labeller_before.lyric_tokens}
        self.data = cast(DictConfig, OmegaConf.merge(self.data, windows))
        given = {name: value for name, value in self.tune.optim.items() if value is not None}
        self.module = cast(DictConfig, OmegaConf.merge(self.module, {"optim": given}))
        return super().run(folder)

    def _learn_lyrics(self, graft: DictConfig) -> None:
        """Raises UserError when the prior reads lyrics already, or would not be saved whole."""
        if self.labeller_before.lyric_tokens:
            raise UserError(f"{self.init_from} reads lyrics already: leave graft_lyrics out")
        if not isinstance(self.tune, WholePrior):
            raise UserError("graft_lyrics makes new layers, which an adapter does not hold: take tune=all")
        given: Any = OmegaConf.to_container(graft, resolve=True)
        self.labeller_before.lyric_tokens = given["encoder"]["ctx"]
        try:
            grafted = with_lyrics(self.network_before, self.config_before, self.labeller_before, **given)
        except ValueError as error:
            raise UserError(f"{self.init_from}: {error}; choose the size whose patterns are those of the bundle") from None
        self.network_before, self.config_before = grafted

    def network(self, data: Any) -> tuple[nn.Module, Any]:
        """The bundle's prior with its tables grown by what only the labeller of this catalog knows."""
        data.labeller = self.labeller_before.extended(data.labeller)
        config = checkpoints.with_tables_for(self.config_before, data.labeller)
        state = grown_state(self.network_before, self.labeller_before, data.labeller)
        model = cast(Prior, checkpoints.assemble(config, state, self.tune.dtype)).train()
        self.tune.prepare(model)
        if any(not parameter.requires_grad for parameter in model.parameters()):
            self.ema = None  # an average would be a second copy of all that is frozen
        return model, config

    def save(self, folder: Path, state: Mapping[str, Any], config: Any, labeller: Labeller | None) -> None:
        self.tune.save(folder, self.base, state, config, cast(Labeller, labeller))

    def fingerprint(self, folder: Path) -> str:
        return self.tune.fingerprint(folder)


def with_lyrics(
    prior: Prior, config: Mapping[str, Any], labeller: Labeller, pattern: str, encoder: Mapping[str, Any]
) -> tuple[Prior, dict[str, Any]]:
    """A larger prior that computes the same, and its config: with the X layers of `pattern`, and a lyrics `encoder`.

    Raises ValueError when `pattern` without its X's is another one than the prior has.
    """
    width, characters = prior.transformer.width, len(labeller.characters)
    lyrics = {"_target_": LYRICS_ENCODER, "vocabulary": characters, "width": width, "transformer": dict(encoder)}
    larger = {**config, "transformer": {**config["transformer"], "pattern": pattern}, "lyrics": lyrics}
    grafted = cast(Prior, checkpoints.build(larger))
    graft_lyrics(prior, grafted)
    return grafted, larger


class FinetunedBundleStage(BundleStage):
    """A BundleStage; of stages that have left adapters it makes one file for all levels, in the run's folder."""

    def run(self, folder: Path) -> StageResult:
        run_dir = folder.parent
        files = [run_dir / stage / ADAPTER for stages in self.priors.values() for stage in stages]
        adapters = [checkpoints.read_adapter(path) for path in files if path.exists()]
        if not adapters:
            return super().run(folder)
        levels = {
            int(level): checkpoints.TrainedLevel(record, adapter.state(int(level)))
            for adapter in adapters
            for level, record in adapter.record.levels.items()
        }
        checkpoints.save_adapter(run_dir / ADAPTER, adapters[0].record.base, levels)
        size = (run_dir / ADAPTER).stat().st_size / 1e6
        return StageResult(checkpoints.read_adapter(run_dir / ADAPTER).fingerprint, {"adapter, MB": size})
