"""The released files (`vqvae.pth.tar`, `prior_level_{0,1,2}.pth.tar`; pickles of torch 1.4, no archives) as networks."""

from __future__ import annotations

import math
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.nn.codebook import Codebook
from jukebox_pl.openai.configs import Config, complete, prior_config, vqvae_config
from jukebox_pl.openai.hparams import KINDS, PRIORS, VQVAES, Hparams
from jukebox_pl.openai.keys import EMBEDDING, TIED_OUTPUT, Shapes, expected_shapes, sources

State = dict[str, Tensor]

VQVAE_FILE = "vqvae.pth.tar"
PRIOR_FILE = re.compile(r"prior_level_(\d)\.pth\.tar")
FOREIGN = {b"": "nothing", b"<": "a web page", b"{": "JSON", b"v": "text (a Git LFS pointer?)", b"\x1f": "an archive"}
# The original's own training pickles its hyper-parameters as this class of it, a dict.
AS_DICT = (dict, "jukebox.hparams.Hyperparams")
ROWS_SHOWN = 12


@dataclass
class Released:
    """A released file, read: its hyper-parameters, the config of its network and the network's state."""

    hps: Hparams
    config: Config
    state: State


def load_released(path: str | Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network of a released file, in eval mode, its transformers in `dtype`. Raises UserError like `read_released`."""
    released = read_released(path)
    return checkpoints.assemble(released.config, released.state, dtype)


def read_released(path: str | Path) -> Released:
    """Reads a file whose name says which it is. Half weights stay half.

    A file without hyper-parameters is taken for the released model it comes nearest to. Raises UserError when the file
    is broken, is not of the level its name says, or when a single key is missing, left over or of another shape.
    """
    path = Path(path)
    level = level_of(path)
    state, hps = read_checkpoint(path)
    if hps is not None and not isinstance(hps, dict):
        raise UserError(f"{describe(path)}: expected hyper-parameters by name, found {type(hps).__name__}; save it whole")
    for name, value in (hps or {}).items():
        try:
            msgspec.convert(value, KINDS.get(name, Any))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{describe(path)}: its hyper-parameter {name!s:.60}: {error}; download it again") from None
    hps = complete(hps or nearest(state, level))
    if level not in (None, hps["level"]):
        raise UserError(
            f"{describe(path)}: expected the prior of level {level}, found that of level {hps['level']}; swap them"
        )
    try:
        config = vqvae_config(hps) if level is None else prior_config(hps)
        checkpoints.on_meta(config)
    except KeyError as error:
        raise UserError(
            f"{describe(path)}: expected its hyper-parameters to say {error}, found none; save it whole"
        ) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{describe(path)}: no network follows from its hyper-parameters ({error})") from None
    try:
        return Released(hps, config, translate(path, state, config, hps))
    except UserError:
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{describe(path)}: its hyper-parameters do not fit its weights ({error})") from None


def level_of(path: Path) -> int | None:
    """The level that a file's name says, None for the VQ-VAE."""
    if path.name == VQVAE_FILE:
        return None
    if match := PRIOR_FILE.fullmatch(path.name):
        return int(match[1])
    raise UserError(f"{path} is called neither {VQVAE_FILE} nor prior_level_0, 1 or 2.pth.tar: give it its released name")


def describe(path: Path) -> str:
    return f"{path} ({path.stat().st_size:,} bytes)"


def read_checkpoint(path: Path) -> tuple[State, Hparams | None]:
    """The state, without the `module.` that parallel training puts before its keys, and the hyper-parameters if there."""
    if not path.is_file():
        raise UserError(f"{path} is no regular file: give the released file itself")
    try:
        require_plain_archive(path)
        with torch.serialization.safe_globals([AS_DICT]):
            record = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # the bytes of a damaged pickle lead to any kind of error
        expected = "expected a checkpoint that holds tensors and nothing else"
        raise UserError(f"{describe(path)}: {expected}, found {what_is_wrong(path, error)}; download it again") from None
    model = record.get("model") if isinstance(record, dict) else None
    if not isinstance(model, dict) or not all(map(is_plain, model, model.values())):
        raise UserError(f"{describe(path)}: expected a mapping with `model`, found {type(record).__name__} without it")
    return {key.removeprefix("module."): tensor for key, tensor in model.items()}, record.get("hps")


def require_plain_archive(path: Path) -> None:
    """Raises ValueError for an archive that says it holds more than the file has bytes: torch packs without compressing."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            said = sum(part.file_size for part in archive.infolist())
        if said > path.stat().st_size:
            raise ValueError(f"its parts are {said:,} bytes unpacked, more than the file has")


def is_plain(name: object, tensor: object) -> bool:
    """Whether an entry of a state is a named tensor with numbers of its own in memory."""
    if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
        return False
    return (
        tensor.is_floating_point()
        and tensor.device.type == "cpu"
        and tensor.numel() <= tensor.untyped_storage().nbytes() // tensor.itemsize
    )


def what_is_wrong(path: Path, error: Exception) -> str:
    """Why torch could not read a file."""
    with open(path, "rb") as file:
        first = file.read(1)
    if first in FOREIGN:
        return FOREIGN[first]
    if code := re.search(r"GLOBAL (\S+)", str(error)):
        return f"a pickle that would run {code[1]} (refused)"
    reason = next(iter(str(error).splitlines()), "")
    return f"part of a file or another kind of file ({type(error).__name__}: {reason})"


def nearest(state: State, level: int | None) -> Hparams:
    """The hyper-parameters of the released model whose keys and shapes differ least; a tie goes to `level`."""
    table, config_of = (VQVAES, vqvae_config) if level is None else (PRIORS, prior_config)
    distances = {}
    for name, hps in table.items():
        expected = expected_shapes(checkpoints.on_meta(config_of(hps)))
        distances[name] = differences(state, expected).total(), hps.get("level") != level
    return table[min(distances, key=distances.__getitem__)]


def differences(state: State, expected: Shapes) -> Counter[tuple[str, str, str]]:
    """(key with its indices as *, expected shape, found shape) of everything that differs, counted; `-` is not there."""
    found = {key: tuple(tensor.shape) for key, tensor in state.items()}
    differing = [key for key in expected | found if found.get(key) != expected.get(key)]
    return Counter(
        (re.sub(r"\b\d+\b", "*", key), str(expected.get(key, "-")), str(found.get(key, "-"))) for key in differing
    )


def translate(path: Path, state: State, config: Config, hps: Hparams) -> State:
    """A released state under our names. Takes the tensors out of `state`, so that few are there twice at a time."""
    model = checkpoints.on_meta(config)
    expected = expected_shapes(model)
    if rows := differences(state, expected):
        lines = [f"  {times} x {key}: expected {wanted}, found {there}" for (key, wanted, there), times in rows.items()]
        more = [f"  and {len(lines) - ROWS_SHOWN} more kinds"] if len(lines) > ROWS_SHOWN else []
        head = f"{describe(path)}: expected the {len(expected)} keys of its model, {rows.total()} differ; download it again"
        raise UserError("\n".join([head, *lines[:ROWS_SHOWN], *more]))
    places = sources(model)
    if "out.weight" not in places and TIED_OUTPUT in state and not state.pop(TIED_OUTPUT).equal(state[EMBEDDING]):
        raise UserError(
            f"{describe(path)}: expected {TIED_OUTPUT} to be {EMBEDDING}, found other numbers; download it again"
        )
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    translated: State = {}
    for name, source in places.items():
        tensor = state.pop(source.key)
        translated[name] = (tensor.t() if source.transposed else tensor).reshape(shapes[name]).contiguous()
    return translated | codebook_states(translated, hps)


def codebook_states(state: State, hps: Hparams) -> State:
    """The running sums that released files lack, as the original resumes: every code at the even share of one clip."""
    states: State = {}
    factors = [stride**down for stride, down in zip(hps["strides_t"], hps["downs_t"], strict=True)]  # of each level
    for name in [name for name in state if name.endswith("codebook.codes")]:
        level = int(name.split(".")[1])
        codebook = Codebook(*state[name].shape)
        codebook.codes.copy_(state[name])
        codebook.restore(hps["sample_length"] // math.prod(factors[: level + 1]) or codebook.bins)
        states |= {f"levels.{level}.codebook.{key}": tensor for key, tensor in codebook.state_dict().items()}
    return states
