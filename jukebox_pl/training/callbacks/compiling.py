"""Blocks of transformers, each compiled by itself: one graph for all that are alike."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from jukebox_pl.nn.transformer import Block


class CompileBlocks(Callback):
    """+callbacks.compile._target_=jukebox_pl.training.callbacks.compiling.CompileBlocks: for a GPU, where many small
    kernels of a block become few. The names of the weights stay; the last bits of a loss do not.
    """

    def __init__(self, backend: str = "inductor"):
        self.backend = backend

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Before the blocks are spread over devices, which wraps what is compiled."""
        for block in pl_module.modules():
            if isinstance(block, Block) and block._compiled_call_impl is None:
                block.compile(backend=self.backend)
