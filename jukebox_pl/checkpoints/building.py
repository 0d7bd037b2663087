"""From a config to a network: mappings with `_target_` become modules, and nothing else is ever run."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jukebox_pl.errors import UserError
from jukebox_pl.utils.earlier_versions import ARGUMENTS

TARGET = "_target_"
TRUSTED = ("jukebox_pl.nn.", "jukebox_pl.models.")
# What half precision holds: the dense layers of transformers. Norms, embeddings, convolutions and outputs stay whole.
DENSE = re.compile(r"transformer\.blocks\.\d+\.(attention|mlp)\.")


def build(config: Any, trusted: Sequence[str] = TRUSTED) -> Any:
    """Builds the network a config describes: mappings with `_target_` become modules, innermost first.

    Raises UserError when a target is not a class of torch modules from a trusted package.
    """
    if isinstance(config, Mapping):
        parts = {key: build(value, trusted) for key, value in config.items() if key != TARGET}
        if TARGET not in config:
            return parts
        network = network_class(config[TARGET], trusted)
        if network.__module__.startswith(TRUSTED):  # ours: a config may be of an earlier version
            parts = {ARGUMENTS.get(name, name): part for name, part in parts.items()}
        return network(**parts)
    if isinstance(config, list | tuple):
        return [build(item, trusted) for item in config]
    return config


def network_class(target: str, trusted: Sequence[str] = TRUSTED) -> type[nn.Module]:
    module, _, name = target.rpartition(".")
    if not any(f"{module}.".startswith(prefix) for prefix in trusted):
        raise UserError(
            f"the config names {target!r}; only networks from {', '.join(trusted)} are built, or trust its package"
        )
    found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module) and found.__module__ == module):
        raise UserError(f"the config names {target!r}, which is not a network defined in {module}")
    return found


def on_meta(config: Any, trusted: Sequence[str] = TRUSTED) -> Any:
    """The network a config describes, without memory for its weights."""
    with torch.device("meta"):
        return build(config, trusted)


def assemble(
    config: Any, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32, trusted: Sequence[str] = TRUSTED
) -> nn.Module:
    """The network a config describes around the tensors of `state`, in eval mode; its transformers compute in `dtype`.

    Raises RuntimeError when a tensor is missing, left over or of another shape.
    """
    model = on_meta(config, trusted)
    types = {name: dtype if DENSE.search(name) else torch.float32 for name in state}
    cast = {name: tensor.to(types[name]) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    model.load_state_dict(cast, assign=True)
    return model.eval()
