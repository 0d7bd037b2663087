"""Something to hear and see of a stage, made during validations and handed to every logger that keeps media.

Always of the same held-out song, from the same draws: what differs from one step to another is what has been learned.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn

from jukebox_pl import checkpoints
from jukebox_pl.evaluation.lyric_attention import LyricHeads
from jukebox_pl.evaluation.windows import evenly, song_windows
from jukebox_pl.models.lyric_attention import lyric_attention, lyric_layers
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.nn.codebook import Codebook
from jukebox_pl.report import plots
from jukebox_pl.sampling.decoding import sample_codes
from jukebox_pl.sampling.logits import uniforms
from jukebox_pl.training.loggers.media import Clip, Media, MediaLogger, Picture
from jukebox_pl.types import CodesBatch, SamplingParams, Song

SEED = 0
DEAD = 0.05  # of the even share of vectors; where a codebook restarts codes itself, by this share too


class MediaCallback(Callback):
    """Makes media at the end of a validation, at most every `every_steps`; the network is the averaged one then."""

    def __init__(self, every_steps: int):
        self.every_steps = self.next_step = every_steps

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = trainer.global_step
        if trainer.state.fn != TrainerFn.FITTING or step < self.next_step:
            return
        self.next_step = step + self.every_steps
        # On every rank: a network that is spread over devices is heard on all of them or none. The first one logs.
        with torch.inference_mode():
            media = self.make(trainer, pl_module)
        sample_rate = trainer.datamodule.catalog.sample_rate  # type: ignore[attr-defined]
        for logger in trainer.loggers:
            if isinstance(logger, MediaLogger) and any(media):
                logger.log_media(media, sample_rate, step)

    @abstractmethod
    def make(self, trainer: pl.Trainer, module: Any) -> Media:
        """Audio and images of the module as it is; an empty Media where there is nothing to show."""


class Reconstructions(MediaCallback):
    """A held-out clip and what each level makes of it, as sound and as pictures, and how its codebook is used."""

    def make(self, trainer: pl.Trainer, module: Any) -> Media:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        crop = next(data.held_out.spread(1))
        clip, about = data.collate([crop]).audio.to(module.device), labels_of(crop.sample.song)  # [1, 1, T]
        sounds = {"original": clip} | {f"level_{level}": recon for level, recon in enumerate(module(clip).recons)}
        audio = {name: sound[0].float().cpu().numpy() for name, sound in sounds.items()}
        compared = plots.compare_spectrograms({name: sound[0] for name, sound in audio.items()}, data.catalog.sample_rate)
        clips = {
            name: Clip(sound, about | ({} if name == "original" else {"level": name.removeprefix("level_")}))
            for name, sound in audio.items()
        }
        shares = codebook_shares(module.model)
        dead = {f"codebook/{name}_dead_codes": float((share < DEAD).sum()) for name, share in shares.items()}
        pictures = {"reconstructions": Picture(compared, "above: original, then what each level makes of it")}
        return Media("reconstructions", clips, pictures, dead, shares)


def codebook_shares(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Of every level, how many vectors fall on each of its codes [bins] in training, as multiples of the even share."""
    codebooks = [module for module in model.modules() if isinstance(module, Codebook)]
    counts = [book.counts.float().cpu().numpy() for book in codebooks]
    return {f"level_{level}": count / count.mean() for level, count in enumerate(counts) if count.any()}


class Samples(MediaCallback):
    """A window of codes sampled under the labels of a held-out window, decoded by the VQ-VAE in `vqvae`, and the window."""

    def __init__(self, every_steps: int, vqvae: str, level: int, codes: int = 256):
        super().__init__(every_steps)
        self.vqvae, self.level, self.codes = vqvae, level, codes

    def make(self, trainer: pl.Trainer, module: Any) -> Media:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        crop = next(data.held_out.spread(1))
        batch: CodesBatch = trainer.strategy.batch_to_device(data.collate([crop]), module.device)
        prior: Prior = module.model
        length = min(self.codes, prior.ctx)
        noise = uniforms(SEED, self.level, length).unsqueeze(0).to(module.device)
        cond = prior.condition(batch.labels, batch.upper)
        codes = sample_codes(prior, cond, batch.codes[:, :0], noise, SamplingParams().at(self.level))  # [1, length]
        decoder = checkpoints.load(self.vqvae).model
        assert isinstance(decoder, VQVAE)
        sounds = {
            name: decoder.decode(level.cpu(), self.level)[0].numpy()  # [1, T]
            for name, level in (("original", batch.codes[:, :length]), ("sample", codes))
        }
        about = {**labels_of(crop.sample.song), "level": self.level}
        clips = {"original": Clip(sounds["original"], about), "sample": Clip(sounds["sample"], about | {"seed": SEED})}
        compared = plots.compare_spectrograms({name: sound[0] for name, sound in sounds.items()}, data.catalog.sample_rate)
        return Media("samples", clips, {"sample": Picture(compared, "above: held out, below: sampled under its labels")})


class LyricAttention(MediaCallback):
    """Where the head that follows the lyrics best looks, in `songs` held-out songs, and how closely; of priors that read
    lyrics, other networks are passed over."""

    def __init__(self, every_steps: int, songs: int = 4):
        super().__init__(every_steps)
        self.songs = songs

    def make(self, trainer: pl.Trainer, module: Any) -> Media:
        prior, data = module.model, trainer.datamodule  # type: ignore[attr-defined]
        if not (isinstance(prior, Prior) and lyric_layers(prior)):
            return Media()
        hops = data.catalog.codes["hops"]
        heads, sung = LyricHeads(prior, data.labeller, hops[data.level], windows=1), None
        ids = evenly(list(data.held_out.last_start), self.songs)
        for sample in data.held_out.songs(ids):
            levels = [torch.from_numpy(codes.astype(np.int64)) for codes in sample.codes or ()]
            heads.add(sample.song, levels[data.level])
            sung = sung or ((sample.song, levels) if sample.song.lyrics else None)
        if sung is None or (best := heads.best()) is None:
            return Media()
        song, levels = sung
        windows = song_windows(song, [level[None] for level in levels], hops, data.level, prior.ctx, data.labeller, 1)
        window = next(windows).to(module.device)
        ((_, weights),) = lyric_attention(prior, window.codes, prior.condition(window.labels, window.upper), best[:1])
        looks = heads.looks()[best]
        score = f"{looks.share:.0%} within a character of what is sung, by chance {heads.chance:.0%}"
        said = score if np.isfinite(looks.share) else f"monotonicity {looks.monotonicity:.2f}"
        numbers = {f"lyrics/attention_{name}": value for name, value in looks._asdict().items() if np.isfinite(value)}
        seconds = prior.ctx * hops[data.level] / data.catalog.sample_rate
        png = plots.heat_map(weights[0, best[1]].float().cpu().numpy().T, seconds, "lyric token")
        picture = Picture(png, f"{song.artist} - {song.title or song.id}: layer {best[0]}, head {best[1]}, {said}")
        return Media("", {}, {"lyric_attention": picture}, numbers)


def labels_of(song: Song) -> dict[str, str]:
    return {
        "song": song.title or song.id,
        "artist": song.artist,
        "genres": ", ".join(song.genres),
        "lyrics": " ".join(song.lyrics.split()),
    }
