"""Compiled blocks are the same blocks."""

import copy

import torch

from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Block, Transformer
from jukebox_pl.training.callbacks.compiling import CompileBlocks
from jukebox_pl.training.modules.prior import PriorModule


def test_blocks_run_compiled_with_their_weights_and_names():
    torch.manual_seed(0)
    module = PriorModule(Prior(7, Transformer(8, 2, "RCP", ctx=8, block=4)))
    plain, callback, codes = copy.deepcopy(module.model), CompileBlocks(backend="eager"), torch.randint(7, (2, 8))
    callback.setup(None, module, "fit")
    compiled = [block._compiled_call_impl for block in module.modules() if isinstance(block, Block)]
    callback.setup(None, module, "validate")
    assert len(compiled) == 3
    assert compiled == [block._compiled_call_impl for block in module.modules() if isinstance(block, Block)]
    assert module.model.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(module.model.losses(codes, module.model.condition()), plain.losses(codes, plain.condition()))
