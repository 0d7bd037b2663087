"""The JSON Schema of every file that is written: `python -m tests.schemas` writes docs/schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from jukebox_pl.catalog.doctor.report import ReportRecord
from jukebox_pl.catalog.reading import PreparedRecord
from jukebox_pl.catalog.records import CatalogRecord
from jukebox_pl.checkpoints.records import AdapterRecord, BundleRecord, LabellerConfig, ModelRecord, NetworkConfig
from jukebox_pl.pipeline.stage_folder import StageResult
from jukebox_pl.report.runs import PlanRecord
from jukebox_pl.sessions.nodes import Node, SessionRecord
from jukebox_pl.training.loggers.resuming import DashboardRun
from jukebox_pl.types import Song

FOLDER = Path(__file__).parents[1] / "docs/schemas"
# Files by the records in them. Those of a catalog, a song and a node have `schema` besides, which counts versions.
RECORDS: dict[str, Any] = {
    "catalog.json": CatalogRecord,
    "song.json": Song,
    "prepared_song.json": PreparedRecord,
    "doctor.json": ReportRecord,
    "result.json": StageResult,
    "plan.json": PlanRecord,
    "bundle.json": BundleRecord,
    "adapter.json": AdapterRecord,  # the metadata of adapter.safetensors
    "config.json": ModelRecord,
    "network.json": NetworkConfig,  # `model` of a config
    "labeller.json": LabellerConfig,  # `labeller` of a config
    "node.json": Node,
    "session.json": SessionRecord,
    "dashboard.json": DashboardRun,  # of a run: wandb.json, trackio.json, tensorboard.json
}


def to_schema(record: Any) -> str:
    return json.dumps(msgspec.json.schema(record), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, record in RECORDS.items():
        (FOLDER / name).write_text(to_schema(record), encoding="utf-8")
