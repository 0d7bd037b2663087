"""The loggers of a stage, built from the configs that YAML lists, and what they are told when it is complete."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger

from jukebox_pl.pipeline.stage_folder import Stage, StageResult
from jukebox_pl.training.loggers.media import MediaLogger, Output


def build_loggers(configs: Mapping[str, Any], folder: Path) -> list[Logger]:
    """The loggers of the stage in `folder`: the configs with a `_target_`; what else stands there is for them to share."""
    parts = [config for config in configs.values() if isinstance(config, Mapping | DictConfig) and "_target_" in config]
    return [instantiate(part, save_dir=str(folder), name=f"{folder.parent.name}/{folder.name}") for part in parts]


def log_result(
    configs: Mapping[str, Any], folder: Path, stage: Stage, result: StageResult, made_from: Mapping[str, str]
) -> None:
    """Tells loggers what a stage has made, and from the outputs of which others, by name and fingerprint."""
    media, sample_rate = stage.media(folder)
    output = Output(stage.makes, stage.output(folder), result.fingerprint, made_from, result.summary, result.steps)
    for logger in build_loggers(configs, folder):
        if isinstance(logger, MediaLogger):
            logger.log_output(output)
            if any(media):
                logger.log_media(media, sample_rate, 0)
