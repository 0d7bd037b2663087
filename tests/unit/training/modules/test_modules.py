"""The LightningModules: what they log, that they learn, that a graft starts where the trained prior ends."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins.precision import MixedPrecision
from quiet import QUIET
from torch.amp import GradScaler

from datamodules.audio import AudioDataModule
from datamodules.codes import CodesDataModule
from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.training.modules.lyrics_prior import LyricsPriorModule
from jukebox_pl.training.modules.prior import PriorModule
from jukebox_pl.training.modules.upsampler import UpsamplerModule
from jukebox_pl.training.modules.vqvae import VQVAEModule
from jukebox_pl.training.optim import OptimConfig

FAST = OptimConfig(lr=1e-2, warmup=1)
WIDTH, CTX = 16, 64
TRANSFORMER = {
    "_target_": "jukebox_pl.nn.transformer.Transformer",
    "width": WIDTH,
    "heads": 2,
    "pattern": "RCP",
    "ctx": CTX,
    "block": 8,
}
CONDITIONERS = "jukebox_pl.models.conditioners"
LABELS = {"_target_": f"{CONDITIONERS}.LabelConditioner", "width": WIDTH, "artists": 5, "genres": 4}
UPPER = {"_target_": f"{CONDITIONERS}.UpperCodesConditioner", "width": WIDTH, "bins": 16, "conv_width": 8, "depth": 1}
PRIOR = {
    "_target_": "jukebox_pl.models.prior.Prior",
    "bins": 16,
    "transformer": TRANSFORMER,
    "conditioners": {"labels": LABELS},
}


def lyrics_config(characters):
    encoder = TRANSFORMER | {"ctx": 16, "pattern": "RC"}
    reader = {"_target_": f"{CONDITIONERS}.LyricsEncoder", "vocabulary": characters, "width": WIDTH, "transformer": encoder}
    return PRIOR | {"transformer": TRANSFORMER | {"pattern": "RCPX"}, "lyrics": reader}


def codes(path, level, **options):
    return CodesDataModule(str(path), level=level, ctx=CTX, batch_size=4, held_out_crops=8, **options)


def fit(module, data, steps, tmp_path, log_every=1, validate_every=None):
    logged, validate_every = CSVLogger(tmp_path), validate_every or steps
    options = {"val_check_interval": validate_every, "log_every_n_steps": log_every, "logger": logged}
    trainer = pl.Trainer(max_steps=steps, **options, **QUIET)
    before = trainer.validate(module, data, verbose=False)[0]
    trainer.fit(module, data)
    names = set().union(*logged.experiment.metrics) | set(logged.experiment.metrics_keys)
    return before, trainer.validate(module, data, verbose=False)[0], names


def test_the_vqvae_learns_and_logs_every_level(demo_shards, tmp_path):
    torch.manual_seed(0)
    module = VQVAEModule(VQVAE(bins=16, code_dim=8, width=4, depth=1, multipliers=(1, 1, 1)), FAST)
    data = AudioDataModule(str(demo_shards), clip=4096, batch_size=2, held_out_crops=4)
    before, after, logged = fit(module, data, 20, tmp_path)
    assert after["val/loss"] < before["val/loss"]
    assert module.bandwidth.gt(0).all()
    for level in range(3):
        assert {f"val/level_{level}/{name}" for name in ("recons", "multispectral", "commit")} <= after.keys()
        assert f"val/level_{level}/spectral_convergence_db" in after
        assert f"train/level_{level}/codebook_perplexity" in logged
    assert "train/grad_norm" in logged


@pytest.mark.parametrize(("level", "kind"), [(2, PriorModule), (1, UpsamplerModule), (0, UpsamplerModule)])
def test_priors_learn_predictable_codes(code_shards, level, kind, tmp_path):
    torch.manual_seed(0)
    config = PRIOR if level == 2 else PRIOR | {"conditioners": {"labels": LABELS, "upper": UPPER}}
    before, after, _ = fit(kind(checkpoints.build(config), FAST), codes(code_shards, level), 30, tmp_path)
    assert before["val/bpd"] == pytest.approx(4.0, abs=0.1)
    assert after["val/bpd"] < 2.0


def test_a_lyrics_prior_starts_as_the_trained_prior_and_learns_lyrics(code_shards, tmp_path):
    torch.manual_seed(0)
    data = codes(code_shards, 2, lyric_tokens=16)
    trained = PriorModule(checkpoints.build(PRIOR), FAST)
    _, after, _ = fit(trained, data, 10, tmp_path)
    checkpoints.save_state(tmp_path / "model", trained.model.state_dict(), PRIOR, data.labeller)
    config = lyrics_config(len(data.labeller.characters))
    module = LyricsPriorModule(checkpoints.build(config), str(tmp_path / "model"), FAST)
    grafted, learned, _ = fit(module, data, 20, tmp_path)
    assert grafted["val/bpd"] == pytest.approx(after["val/bpd"], abs=1e-5)
    assert learned["val/lyrics_bpd"] < grafted["val/lyrics_bpd"]


def test_a_graft_that_does_not_fit_is_named(code_shards, tmp_path):
    data = codes(code_shards, 2)
    checkpoints.save_state(tmp_path, checkpoints.build(PRIOR).state_dict(), PRIOR, data.labeller)
    config = lyrics_config(5)
    config["transformer"] = config["transformer"] | {"pattern": "RCXR"}
    with pytest.raises(UserError, match="without X the new pattern is RCR, the trained one is RCP"):
        LyricsPriorModule(checkpoints.build(config), str(tmp_path))


def test_an_upsampler_refuses_top_codes(code_shards, tmp_path):
    with pytest.raises(UserError, match="an upsampler needs the codes above"):
        fit(UpsamplerModule(checkpoints.build(PRIOR)), codes(code_shards, 2), 1, tmp_path)


def test_a_gradient_that_is_not_finite_stops_the_stage(code_shards, tmp_path):
    model = checkpoints.build(PRIOR)
    torch.nn.init.constant_(model.positions, torch.nan)
    with pytest.raises(UserError, match="gradient at step 0 is nan; run it again with a lower learning rate"):
        fit(PriorModule(model), codes(code_shards, 2), 1, tmp_path)


@pytest.mark.parametrize(("validate_every", "found_at"), [(20, 9), (2, 1)])
def test_a_gradient_is_looked_at_when_it_is_logged_and_before_a_checkpoint(code_shards, tmp_path, validate_every, found_at):
    model = checkpoints.build(PRIOR)
    torch.nn.init.constant_(model.positions, torch.nan)
    with pytest.raises(UserError, match=f"gradient at step {found_at} is nan"):
        fit(PriorModule(model), codes(code_shards, 2), 20, tmp_path, log_every=10, validate_every=validate_every)


def test_gradients_are_clipped_at_their_own_size_whatever_the_loss_is_scaled_by(code_shards, tmp_path):
    def norm(**options):
        torch.manual_seed(0)
        module = PriorModule(checkpoints.build(PRIOR), OptimConfig(clip=1e-3))
        pl.Trainer(max_steps=1, logger=False, **QUIET, **options).fit(module, codes(code_shards, 2))
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        return module._grad_norm.item(), torch.nn.utils.get_total_norm(gradients).item()

    scaled = MixedPrecision("16-mixed", "cpu", GradScaler("cpu", init_scale=1024.0))
    assert norm(plugins=[scaled]) == pytest.approx(norm(), rel=0.05)


def test_a_loss_scaler_may_meet_gradients_that_are_not_finite():
    module = PriorModule(checkpoints.build(PRIOR))
    module._grad_norm = torch.tensor(torch.inf)
    module._trainer = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=object()), default_root_dir="main")
    module._require_finite(3)
    module._trainer.precision_plugin.scaler = None
    with pytest.raises(UserError, match="gradient at step 3 is inf"):
        module._require_finite(3)
