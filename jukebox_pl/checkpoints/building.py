"""From a config to a network: mappings with `_target_` become modules, and nothing else is ever run."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from jukebox_pl.checkpoints.records import require_network
from jukebox_pl.errors import UserError
from jukebox_pl.utils.earlier_versions import ARGUMENTS

TARGET = "_target_"
TRUSTED = ("jukebox_pl.nn.", "jukebox_pl.models.")
# What half precision holds: the dense layers of transformers. Norms, embeddings, convolutions and outputs stay whole.
DENSE = re.compile(r"transformer\.blocks\.\d+\.(attention|mlp)\.")


def build(config: Any, trusted: Sequence[str] = TRUSTED) -> Any:
    """Builds the network a config describes: mappings with `_target_` become modules, innermost first.

    Raises UserError when a target is not a class of torch modules from a trusted package, or a size is out of all measure.
    """
    config = under_current_names(config)
    require_network(config)
    return _build(config, trusted)


def _build(config: Any, trusted: Sequence[str]) -> Any:
    if isinstance(config, Mapping):
        parts = {key: _build(value, trusted) for key, value in config.items() if key != TARGET}
        return network_class(config[TARGET], trusted)(**parts) if TARGET in config else parts
    if isinstance(config, list | tuple):
        return [_build(item, trusted) for item in config]
    return config


def under_current_names(config: Any) -> Any:
    """A config with the arguments of our own networks as they are called today."""
    if isinstance(config, Mapping):
        parts = {key: under_current_names(value) for key, value in config.items()}
        if str(parts.get(TARGET)).startswith(TRUSTED):
            parts = {ARGUMENTS.get(name, name): part for name, part in parts.items()}
        return parts
    return [under_current_names(item) for item in config] if isinstance(config, list | tuple) else config


def network_class(target: str, trusted: Sequence[str] = TRUSTED) -> type[nn.Module]:
    module, _, name = target.rpartition(".")
    if not any(f"{module}.".startswith(prefix) for prefix in trusted):
        raise UserError(
            f"the config names {target!r}; only networks from {', '.join(trusted)} are built, or trust its package"
        )
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        found = None
    if not (isinstance(found, type) and issubclass(found, nn.Module) and found.__module__ == module):
        raise UserError(f"the config names {target!r}, which is not a network defined in {module}")
    return found


class WithoutFilling(TorchFunctionMode):
    """Leaves tensors as they are where a network would fill or scale them: on the meta device each of that takes a
    millisecond, and the first one loads torch's compiler, which takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if getattr(func, "__name__", None) == "mul" and isinstance(args[1], int | float):
            return args[0]
        return (torch.empty if func is torch.randn else func)(*args, **(kwargs or {}))


def on_meta(config: Any, trusted: Sequence[str] = TRUSTED) -> Any:
    """The network a config describes, without memory for its weights.

    Raises UserError like `build`, and where the class does not take what the config says.
    """
    with torch.device("meta"), WithoutFilling():
        try:
            return build(config, trusted)
        except UserError:
            raise
        except Exception as error:  # a class may raise anything over arguments that it was not made for
            raise UserError(f"no network can be built of it ({type(error).__name__}: {error})") from None


def assemble(
    config: Any, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32, trusted: Sequence[str] = TRUSTED
) -> nn.Module:
    """The network a config describes around the tensors of `state`, in eval mode; its transformers compute in `dtype`.

    Raises RuntimeError when a tensor is missing, left over or of another shape.
    """
    return fill(on_meta(config, trusted), state, dtype)


def fill(outline: nn.Module, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network without weights around the tensors of `state`; see `assemble`."""
    types = {name: dtype if DENSE.search(name) else torch.float32 for name in state}
    cast = {name: tensor.to(types[name]) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    outline.load_state_dict(cast, assign=True)
    return outline.eval()
