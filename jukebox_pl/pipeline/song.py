"""The stage that lets a run be heard: a song, and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from jukebox_pl import audio, checkpoints
from jukebox_pl.evaluation.recognition import Errors, Recogniser, accustomed_to, error_rate
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.pipeline.stage_folder import Stage, StageResult
from jukebox_pl.report import plots
from jukebox_pl.sessions.again import command_again
from jukebox_pl.sessions.jobs import sample_song, write_song
from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.sessions.nodes import Node, Session
from jukebox_pl.training.loggers.media import Clip, Media, Picture
from jukebox_pl.types import SampledSong, SamplingParams, Song, SongRequest


class SongStage(Stage):
    """Sings `request` with the run's bundle into the stage's folder. The page says what a `recogniser`, a config, hears."""

    def __init__(
        self,
        request: Mapping[str, Any],
        params: Mapping[str, Any],
        seed: int,
        formats: Sequence[str] = (),
        recogniser: Mapping[str, Any] | None = None,
    ):
        self.seed, self.formats, self.recogniser = seed, formats, recogniser
        self.request = SongRequest(**{**request, "genres": tuple(request["genres"])})
        self.params = SamplingParams(**{k: tuple(v) if isinstance(v, Sequence) else v for k, v in params.items()})

    def media(self, folder: Path) -> tuple[Media, int]:
        """The song as its page has it."""
        sound, rate = audio.read(folder / "song.wav")
        request, seed = self.request, self.seed
        about: dict[str, Any] = {
            "song": folder.parent.name,
            "artist": request.artist,
            "lyrics": " ".join(request.lyrics.split()),
        }
        about |= {"genres": ", ".join(request.genres), "level": 0, "seed": seed}
        picture = Picture(plots.spectrogram(sound.mean(0), rate), "the song that this run sings")
        return Media("song", {"song": Clip(sound, about)}, {"song": picture}), rate

    def run(self, folder: Path) -> StageResult:
        run_dir = folder.parent
        bundle = checkpoints.load_bundle(run_dir)
        song = sample_song(bundle, self.request, self.params, self.seed)
        heard, notes = {}, {}
        if self.recogniser and self.request.lyrics:
            text, errors = listen(instantiate(self.recogniser), bundle.vqvae, song)
            heard = {"characters heard wrong": errors.rate}
            notes = {"a listener hears": text, "characters heard wrong": f"{errors.rate:.0%}"}
        models = ModelPool(run_dir).models
        node = Node("new", self.request, self.params, self.seed, lowest=0, models=models, computing=Computing())
        command = command_again(run_dir, Session(run_dir / "songs"), node.name, node)
        page = write_song(folder, song, bundle.vqvae, self.formats, notes=notes, command=command)
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
