"""A session as `sample` leaves it, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from jukebox_pl import audio
from jukebox_pl.sessions.models import Computing, Models
from jukebox_pl.sessions.nodes import REQUEST, Node, Session
from jukebox_pl.types import SamplingParams, SongRequest

RATE, HOPS, BINS = 11025, (8, 32, 128), 16


def add_take(
    session: Session, name: str, request: SongRequest, command: str = "sample", seed: int = 0, **others: Any
) -> Path:
    """A finished song: a node, its codes, a sound, the command."""
    models = Models({"vqvae": "x"}, RATE, HOPS, BINS)
    asked = {"request": request, "params": SamplingParams(), "seed": seed, "lowest": 2}
    node = Node(**{"operation": "new", "models": models, "computing": Computing()} | asked | others)
    folder = session.place(name)
    session.begin(name, node, {})
    codes = {2: np.zeros(node.top_codes, np.int64)}
    session.save(name, codes)
    audio.write(folder / "song.wav", np.zeros((1, round(request.seconds * RATE)), np.float32), RATE)
    (folder / "index.html").write_text("<title>a song</title>")
    (folder / REQUEST).write_text(json.dumps({"command": command}))
    session.finish(name, node, codes)
    return folder
