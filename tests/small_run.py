"""A run small enough to sing hundreds of songs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from jukebox_pl import checkpoints
from jukebox_pl.sessions.commands import MODES, SampleCommand, SessionContext
from jukebox_pl.sessions.operations import Overrides
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import SamplingParams, SongRequest
from jukebox_pl.utils.codes import Codes

RATE, HOPS, BINS, WIDTH, CTX, LYRICS = 80, (4, 8, 16), 16, 8, 4, 4
MODELS = "jukebox_pl.models"
VQVAE = {"_target_": f"{MODELS}.vqvae.VQVAE", "bins": BINS, "code_dim": 4, "width": 4, "depth": 1, "downs": [2, 1, 1]}
TRANSFORMER = {"_target_": "jukebox_pl.nn.transformer.Transformer", "width": WIDTH, "heads": 2, "block": 2, "ctx": CTX}
NAMES = {"_target_": f"{MODELS}.conditioners.LabelConditioner", "width": WIDTH, "artists": 3, "genres": 3}
TIMES = {"_target_": f"{MODELS}.conditioners.TimingConditioner", "width": WIDTH, "ctx": CTX, "bins": 8}
TIMES |= {"min_duration": 0, "max_duration": 10 * RATE}
UPPER = {"_target_": f"{MODELS}.conditioners.UpperCodesConditioner", "width": WIDTH, "bins": BINS, "downs": 1}
UPPER |= {"conv_width": 4, "depth": 1}
LABELLER = Labeller(Vocabulary(["Anna", "Ben"]), Vocabulary(["folk", "jazz"]), Characters("abc \n"), lyric_tokens=LYRICS)


def prior(**conditioners: Any) -> dict[str, Any]:
    transformer = TRANSFORMER | {"pattern": "RCP"}
    return {"_target_": f"{MODELS}.prior.Prior", "bins": BINS, "transformer": transformer, "conditioners": conditioners}


def save_random(folder: Path, config: dict[str, Any], seed: int) -> None:
    torch.manual_seed(seed)
    model = checkpoints.build(config)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, std=0.3)
    checkpoints.save_state(folder, model.state_dict(), config, LABELLER)


def with_lyrics(config: dict[str, Any]) -> dict[str, Any]:
    """A prior that reads lyrics, in its fourth layer."""
    encoder = TRANSFORMER | {"pattern": "RC", "ctx": LYRICS}
    lyrics = {"_target_": f"{MODELS}.conditioners.LyricsEncoder", "vocabulary": len(LABELLER.characters), "width": WIDTH}
    transformer = config["transformer"] | {"pattern": "RCPX"}
    return config | {"transformer": transformer, "lyrics": lyrics | {"transformer": encoder}}


def save_singing_run(folder: Path) -> Path:
    """Like `save_run`, and the top prior reads lyrics."""
    save_run(folder)
    save_random(folder / "prior_2", with_lyrics(prior(names=NAMES, place=TIMES)), seed=2)
    priors = {level: f"prior_{level}" for level in range(3)}
    checkpoints.save_bundle(folder, RATE, "vqvae", priors, checkpoints.LyricsHead(level=2, layer=3, head=1))
    return folder


def save_run(folder: Path, seed: int = 0) -> Path:
    """A bundle whose priors follow names and the codes above."""
    save_random(folder / "vqvae", VQVAE, seed)
    for level, conditioner in enumerate([UPPER, UPPER, TIMES]):
        save_random(folder / f"prior_{level}", prior(names=NAMES, place=conditioner), seed)
    checkpoints.save_bundle(folder, RATE, "vqvae", {level: f"prior_{level}" for level in range(3)})
    return folder


SECONDS = 1.6
USUAL = {"seconds": SECONDS, "seed": 1, "artist": "Anna"}
KINDS = {"request": vars(SongRequest()), "params": vars(SamplingParams()), "command": vars(SampleCommand())}


def sample(context: SessionContext, mode: str = "new", **words: Any) -> Codes:
    """Carries out a command, given as on the command line; returns the codes of the song `name`, seed_SEED by default."""
    others = (USUAL if mode == "new" else {}) | words
    kinds = {kind: {name: others.pop(name) for name in names if name in others} for kind, names in KINDS.items()}
    if prompt := kinds["command"].get("prompt"):
        others["prompt"] = prompt.fingerprint()
    seed, lowest = others.pop("seed", None), others.pop("lowest", None)
    overrides = Overrides(kinds["request"], kinds["params"], {}, others, lowest, seed)
    command = SampleCommand(overrides, **kinds["command"])
    MODES[mode](context, command)
    return context.session.codes(command.name or f"seed_{seed}")


def same(one: Codes, other: Codes) -> bool:
    return one.keys() == other.keys() and all((one[level] == other[level]).all() for level in one)
