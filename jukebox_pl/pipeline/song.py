"""The stage that lets a run be heard: a song, and the page that shows it beside the codec and the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from jukebox_pl import audio, checkpoints
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog
from jukebox_pl.evaluation.codec import report_levels
from jukebox_pl.evaluation.recognition import Errors, Recogniser, accustomed_to, error_rate
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.pipeline.stage_folder import Stage, StageFolder, StageResult
from jukebox_pl.report import plots
from jukebox_pl.sessions.jobs import sample_song, write_song
from jukebox_pl.training.loggers.files import read_metrics
from jukebox_pl.training.loggers.media import Clip, Media, Picture
from jukebox_pl.types import SampledSong, SamplingParams, Song, SongRequest, is_number

SECONDS_TO_COMPARE = 6
COLUMNS = ("stage", "number", "before, or without", "after")
TRAIN_LOSS, HELD_OUT_LOSS = "train/loss", "val/loss"


class SongStage(Stage):
    """Sings `request` with the run's bundle into the stage's folder. The page says what a `recogniser`, a config, hears."""

    def __init__(
        self,
        path: str,
        request: Mapping[str, Any],
        params: Mapping[str, Any],
        seed: int,
        formats: Sequence[str] = (),
        recogniser: Mapping[str, Any] | None = None,
    ):
        self.path, self.seed, self.formats, self.recogniser = path, seed, formats, recogniser
        self.request = SongRequest(**{**request, "genres": tuple(request["genres"])})
        self.params = SamplingParams(**{k: tuple(v) if isinstance(v, Sequence) else v for k, v in params.items()})

    def media(self, folder: Path) -> tuple[Media, int]:
        """The song as its page has it."""
        sound, rate = audio.read(folder / "song.wav")
        request, seed = self.request, self.seed
        about = {"song": folder.parent.name, "artist": request.artist, "lyrics": " ".join(request.lyrics.split())}
        about |= {"genres": ", ".join(request.genres), "level": 0, "seed": seed}
        picture = Picture(plots.spectrogram(sound.mean(0), rate), "the song that this run sings")
        return Media("song", {"song": Clip(sound, about)}, {"song": picture}), rate

    def run(self, folder: Path) -> StageResult:
        run_dir = folder.parent
        bundle = checkpoints.load_bundle(run_dir)
        song = sample_song(bundle, self.request, self.params, self.seed)
        vqvae, heard = bundle.vqvae, {}
        shown = describe_run(run_dir, self.path, vqvae)
        if self.recogniser and self.request.lyrics:
            text, errors = listen(instantiate(self.recogniser), vqvae, song)
            row = "lyrics", "characters heard wrong", f"heard: {text}", f"{errors.rate:.0%}"
            shown["summary"].append(dict(zip(COLUMNS, row, strict=True)))
            heard = {"characters heard wrong": errors.rate}
        page = write_song(folder, song, vqvae.hops, self.formats, **shown)
        return StageResult(str(song.codes[0].sum().item()), {"page": str(page), **heard})


def listen(recogniser: Recogniser, vqvae: VQVAE, song: SampledSong) -> tuple[str, Errors]:
    """What one who is used to the lowest level hears of a song, and how far that is from its lyrics."""
    request, audio = song.request, song.audio[0]
    asked = Song(
        "sampled",
        len(audio),
        song.sample_rate,
        artist=request.artist if isinstance(request.artist, str) else "",
        genres=tuple(request.genres),
        lyrics=request.lyrics,
    )
    text = " ".join(accustomed_to(recogniser, vqvae, 0)(audio, song.sample_rate, asked).split())
    return text, error_rate(request.lyrics, text)


def describe_run(run_dir: Path, shards: str, vqvae: VQVAE) -> dict[str, Any]:
    """What the page shows besides the song: how each stage learned, and what the codes of each level keep of a song."""
    catalog, hop = Catalog.load(shards), vqvae.hops[-1]
    shard = [*catalog.shards(HELD_OUT), *catalog.shards(TRAIN)][0]  # of a training song where none is held out
    sound = next(catalog.read(shard)).sound(SECONDS_TO_COMPARE * catalog.sample_rate)
    clip = torch.from_numpy(audio.downmix(sound)).view(1, 1, -1)
    clip = clip[..., : clip.shape[-1] // hop * hop]
    sounds = {"original": clip[0].numpy()}
    with torch.inference_mode():
        for level, codes in enumerate(vqvae.encode(clip)):
            sounds[f"level {level}"] = vqvae.decode(codes, level)[0].numpy()
    return {
        "curves": dict(learning_curves(run_dir)),
        "held_out": bool(catalog.songs(HELD_OUT)),
        "references": {name: (sound, catalog.sample_rate) for name, sound in sounds.items()},
        "summary": [dict(zip(COLUMNS, row, strict=True)) for row in summary_rows(run_dir, vqvae, clip)],
        "command": f'python -m jukebox_pl.sample run_dir={run_dir} artist="…" genre="…" lyrics="…" seconds=10 seed=1',
    }


def summary_rows(run_dir: Path, vqvae: VQVAE, clip: torch.Tensor) -> Iterator[tuple[str, ...]]:
    """COLUMNS of the held-out number of every trained stage, and of a clip [1, 1, N] under the codes of every level."""
    for folder in sorted(run_dir.glob("*/before.json")):
        if (result := StageFolder(run_dir, folder.parent.name).result()) and len(result.summary) == 2:
            (name, before), (steps, after) = result.summary.items()
            numbers = [f"{number:.3f}" if is_number(number) else str(number) for number in (before, after)]
            yield folder.parent.name, name.removesuffix(" at step 0"), numbers[0], f"{numbers[1]} {steps}"
    for report in report_levels(vqvae, clip):
        baselines = f"shuffled codes {report.shuffled_codes:.1f} dB, silence {report.silence:.1f} dB"
        yield f"codes of level {report.level}", "spectral convergence", baselines, f"{report.reconstruction:.1f} dB"


def learning_curves(run_dir: Path) -> Iterator[tuple[str, list[tuple[float, float | None, float | None]]]]:
    """(step, train, held out) losses of every trained stage."""
    for path in sorted(run_dir.glob("*/metrics.csv")):
        rows = [(r["step"], r.get(TRAIN_LOSS), r.get(HELD_OUT_LOSS)) for r in read_metrics(path)[1]]
        points = [(float(s), float(t) if t else None, float(h) if h else None) for s, t, h in rows if t or h]
        if points:
            yield path.parent.name, points
