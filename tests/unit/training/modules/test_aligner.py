"""The aligner's module: what it logs, that it learns, that its measure is that of the alignment."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from quiet import QUIET

from datamodules.lyrics import LyricsDataModule
from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.text.characters import alphabet
from jukebox_pl.training.modules.aligner import AlignerModule, add_background, onset_errors
from jukebox_pl.training.optim import OptimConfig
from jukebox_pl.types import AlignedBatch


def network(characters, **size):
    torch.manual_seed(0)
    shape = {"bands": 20, "width": 32, "depth": 3} | size
    return checkpoints.build(
        {"_target_": "jukebox_pl.models.aligner.AcousticModel", "characters": characters, "sample_rate": 11025} | shape
    )


def test_it_learns_and_logs(demo_shards, tmp_path):
    letters = alphabet(Catalog.load(demo_shards).characters)
    data = LyricsDataModule(str(demo_shards), 2.0, letters, batch_size=8, held_out_crops=4)
    module = AlignerModule(network(letters), OptimConfig(lr=1e-2, warmup=1))
    logged = CSVLogger(tmp_path)
    trainer = pl.Trainer(max_steps=30, val_check_interval=30, log_every_n_steps=1, logger=logged, **QUIET)
    before = trainer.validate(module, data, verbose=False)[0]
    trainer.fit(module, data)
    after = trainer.validate(module, data, verbose=False)[0]
    assert after["val/loss"] < 0.8 * before["val/loss"]
    assert after["val/onset_error_seconds"] < before["val/onset_error_seconds"]


class Knows(torch.nn.Module):
    """Hears one letter from 0.5 s to 1 s of a clip and another from 1.5 s on; 10 frames a second."""

    frame_seconds, sample_rate = 0.1, 100

    def forward(self, sound):
        heard = torch.full((1, 20, 3), -9.0)
        for frames, token in ((slice(0, 5), 0), (slice(5, 10), 1), (slice(10, 15), 0), (slice(15, 20), 2)):
            heard[:, frames, token] = -0.1
        return heard

    def frames(self, spans):
        return (spans / 10).round().long()


@pytest.mark.parametrize(
    ("spans", "letters", "errors"),
    [
        ([[50.0, 100.0], [150.0, 200.0]], [[1], [2]], [0, 0]),
        ([[30.0, 100.0], [160.0, 200.0]], [[1], [2]], [0.2, 0.1]),
        ([[50.0, 100.0], [150.0, 200.0]], [[1], [0]], [0]),
        ([[50.0, 100.0]], [[0]], []),
        ([[50.0, 100.0]], [[1] * 30], []),
    ],
)
def test_errors_are_those_of_whole_words(spans, letters, errors):
    batch = AlignedBatch(torch.zeros(1, 1, 200), torch.tensor([spans]), torch.tensor([letters]))
    assert list(onset_errors(Knows(), batch)) == pytest.approx(errors, abs=1e-6)


def test_what_is_random_in_a_step_depends_on_the_step_alone():
    module = AlignerModule(network("ab"))
    batch = AlignedBatch(torch.randn(4, 1, 11025), torch.zeros(4, 0, 2), torch.zeros(4, 0, 0, dtype=torch.long))
    module.log = lambda *_, **__: None
    first, again = (module.training_step(batch, index) for index in (0, 5))
    assert torch.equal(first, again)


def test_every_clip_is_heard_with_another_in_its_background():
    clips = torch.stack([torch.full((1, 100), 1.0), torch.full((1, 100), 10.0)])
    mixed = add_background(clips, 0.5)
    assert ((mixed >= clips) & (mixed <= 1.5001 * clips)).all()
    assert (mixed > clips).any()


def test_a_run_that_was_stopped_is_the_run_that_was_not(demo_shards, fit, tmp_path):
    def run(name, *steps):
        small = ("stages.aligner.model.width=8", "stages.aligner.data.seconds=1", "stages.aligner.every_steps=2")
        for count in steps:
            fit("recipe=aligner", f"data.path={demo_shards}", f"run_dir={tmp_path / name}", f"max_steps={count}", *small)
        return (tmp_path / name / "aligner/model/model.safetensors").read_bytes()

    assert run("stopped", 2, 4) == run("whole", 4)
