"""Which settings of a stage decide what comes out of it: they are noted in its folder, and compared when a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Settings that may change when a run is continued, because they say how a stage runs and not what comes out of it: for how
# long, at what rate, on how many devices, read by how many processes, shown how. Songs, shards and the bundle begun from
# are known by what is in them, wherever they lie. Everything else is compared, precision and accumulation among it.
MAY_CHANGE = {
    "songs",
    "grow",
    "init_from",
    "module.optim.lr",
    "tune.optim.lr",
    "module.optim.skip",
    "max_steps",
    "every_steps",
    "seeds",
    "device",
    "callbacks",
    "media",
    "logger",
    "formats",
    "path",
    "workers",
    "data.path",
    "old_data",
    "data.workers",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.log_every_n_steps",
    "trainer.num_sanity_val_steps",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.use_distributed_sampler",
}


def decisive(settings: Any, run_dir: Path, name: str = "") -> Any:
    """The settings that decide what comes out of a stage. A run may be moved, so paths into it are noted from there."""
    if isinstance(settings, dict):
        kept = {}
        for key, value in settings.items():
            place = f"{name}.{key}" if name else str(key)
            if place not in MAY_CHANGE:
                kept[str(key)] = decisive(value, run_dir, place)  # JSON has no other keys
        return kept
    if isinstance(settings, list):
        return [decisive(value, run_dir, name) for value in settings]
    return settings.removeprefix(f"{run_dir}/") if isinstance(settings, str) else settings
