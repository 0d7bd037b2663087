"""Teaching a trained top prior to follow lyrics."""

from __future__ import annotations

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.surgery import graft_lyrics
from jukebox_pl.training.modules.prior import PriorModule
from jukebox_pl.training.optim import OptimConfig


class LyricsPriorModule(PriorModule):
    """A PriorModule that starts as the trained prior in the folder `graft_from`.

    The graft happens here, at construction, because callbacks copy the weights before any hook of the module runs.
    """

    def __init__(self, model: Prior, graft_from: str, optim: OptimConfig | None = None, lyrics_fraction: float = 0.4):
        super().__init__(model, optim, lyrics_fraction)
        trained = checkpoints.load(graft_from).model
        if not isinstance(trained, Prior):
            raise UserError(f"{graft_from} holds a {type(trained).__name__}, lyrics are grafted on a Prior")
        try:
            graft_lyrics(trained, model)
        except ValueError as error:
            raise UserError(f"{graft_from}: {error}; give size.lyrics_prior the widths of size.top_prior") from None
