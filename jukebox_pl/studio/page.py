"""The page: a form, how far the song is, the song. What was typed is shown escaped; nothing is fetched from outside."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gradio as gr
from markupsafe import Markup

from jukebox_pl import audio
from jukebox_pl.errors import UserError, mistake_in
from jukebox_pl.report import plots, song_page
from jukebox_pl.sessions.jobs import note_on_lyrics
from jukebox_pl.studio.form import LEVEL_FIELDS, OFFSET, SECONDS, SEED, TOTAL, Field, params_of, request_of
from jukebox_pl.studio.jobs import BackgroundJob, Studio
from jukebox_pl.text.labels import UNKNOWN
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest

Updates = dict[Any, Any]

# Fonts that the visitor has: those of gradio's own themes may come from outside.
THEME = gr.themes.Default(primary_hue="orange", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
CSS = """
.gradio-container { width: 100%; max-width: 80rem !important; margin: 0 auto; }
.mistake, .quiet { margin: 0; }
.mistake { color: var(--color-red-500, #ef4444); font-weight: 600; }
.quiet, .level span { opacity: .75; font-variant-numeric: tabular-nums; }
.level { display: grid; grid-template-columns: 4rem 1fr 9rem; gap: .75rem; align-items: center; margin-top: .5rem; }
.level progress, .image, audio { width: 100%; }
.level progress { height: .6rem; border: 0; border-radius: .3rem; background: var(--border-color-primary); }
.level progress::-webkit-progress-bar { border-radius: .3rem; background: var(--border-color-primary); }
.level progress::-webkit-progress-value { border-radius: .3rem; background: var(--color-accent); }
.level progress::-moz-progress-bar { border-radius: .3rem; background: var(--color-accent); }
.low { align-self: end; }
/* gradio leaves the names open when Tab goes on to the next field */
.block:not(:focus-within) ul:has([role="option"]) { display: none; }
"""
HEADING = Markup("<h1>jukebox_pl</h1>")
LINE = Markup('<p class="{}" role="status">{}</p>')
LEVEL = Markup('<div class="level"><span>level {}</span><progress value="{}" max="{}"></progress><span>{}</span></div>')
AUDIO = Markup('<div class="level"><span>level {}</span><audio controls src="{}"></audio></div>')
IMAGE = Markup('<img class="image" src="{}" alt="{}">')
LISTED = 200  # artists; a browser cannot show thousands
STOPPED = "Stopped. Sing goes on from here, as long as nothing is changed."
NOT_YET = "Nothing can be heard yet: the first stretch is still being sung."
BROKEN = "Something broke that should not; the terminal says what."


class Page:
    """What a visitor sees of `studio`; the form starts with `request`, `params` and `seed`.

    Raises UserError when the models do not know the names in `request`.
    """

    def __init__(self, studio: Studio, request: SongRequest, params: SamplingParams, seed: int):
        self.studio, self.params, self.levels = studio, params, range(len(studio.models.hops))
        labeller, rate = studio.labeller, studio.models.sample_rate
        self.artists, self.genres = (
            [name for name in vocabulary.names if name != UNKNOWN] for vocabulary in (labeller.artists, labeller.genres)
        )
        known = f"{len(self.artists):,} artists and {len(self.genres):,} genres"
        with gr.Blocks(title="jukebox_pl", analytics_enabled=False, fill_width=True) as self.blocks:
            gr.HTML(HEADING + LINE.format("quiet", f"A model of {known}, at {rate:,} Hz"))
            with gr.Row():
                with gr.Column():
                    self.form = [*self._ask_request(request, seed), *self._ask_levels(params)]
                with gr.Column():
                    self._show_answer()
            self._wire()

    def launch(self, host: str, port: int | None, open_browser: bool) -> str:
        """Serves the page until the process ends or `blocks.close()`; returns its address. Raises OSError."""
        _, address, _ = self.blocks.launch(
            server_name=host,
            server_port=port,
            inbrowser=open_browser,
            theme=THEME,
            css=CSS,
            allowed_paths=[],
            footer_links=[],
            share=False,
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
        )
        return address

    def _ask_request(self, request: SongRequest, seed: int) -> list[gr.components.Component]:
        """The fields of `request_of` and the seed. An artist may be typed, as thousands are known; genres are chosen."""
        artists, genres = self.studio.labeller.artists, self.studio.labeller.genres
        artist, given = str(request.artist), list(request.genres)
        artists.require(artist, "artist")
        listed = dict.fromkeys([*self.genres, *(genres.require(genre, "genre") for genre in given)])
        self.artist = gr.Dropdown(self.artists[:LISTED], value=artist or None, label="Artist", allow_custom_value=True)
        genre = gr.Dropdown(list(listed), value=given, label="Genres", multiselect=True)
        self.lyrics = gr.Textbox(request.lyrics, label="Lyrics", lines=8, max_lines=20)
        self.note = gr.HTML(self.count(request.lyrics))
        with gr.Row():
            times = [box(SECONDS, request.seconds), box(TOTAL, request.total_seconds), box(OFFSET, request.offset_seconds)]
        with gr.Row():
            self.seed = box(SEED, seed)
            self.another_seed = gr.Button("Another seed", elem_classes="low")
        return [self.artist, genre, self.lyrics, *times, self.seed]

    def _ask_levels(self, params: SamplingParams) -> list[gr.Number]:
        """The fields of every level, the bottom one first as in `params_of`, the top one first on the page."""
        rows: list[gr.Number] = []
        with gr.Accordion("Sampling of each level", open=False):
            for level in reversed(self.levels):
                gr.HTML(LINE.format("quiet", f"Level {level}"))
                with gr.Row():
                    at = params.at(level)._asdict()
                    rows[:0] = [box(field, at[name]) for name, field in LEVEL_FIELDS.items()]
        return rows

    def _show_answer(self) -> None:
        """What there is of the song: buttons, how far it is, and once it is finished the song."""
        self.job = gr.State()
        with gr.Row():
            self.sing_button = gr.Button("Sing", variant="primary")
            self.hear_button = gr.Button("Hear it so far", interactive=False)
            self.stop_button = gr.Button("Stop", variant="stop", interactive=False)
        self.status, self.heard = gr.HTML(), gr.HTML()
        with gr.Column(visible=False) as self.result:
            self.song = gr.Audio(label="Song", interactive=False, buttons=["download"])
            self.images = gr.HTML()
            self.files = gr.File(label="Files", file_count="multiple", interactive=False)

    def _wire(self) -> None:
        """What happens when something is pressed or typed. Where `queue` is False it does not wait for songs."""
        quietly: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        shown = [self.job, self.sing_button, self.hear_button, self.stop_button, self.status, self.heard]
        result = [self.result, self.song, self.images, self.files]
        self.sing_button.click(
            self.sing, self.form, [*shown, *result], api_name="sing", show_progress="hidden", concurrency_limit=None
        )
        self.stop_button.click(lambda job: job and job.stop(), self.job, queue=False, **quietly)
        self.hear_button.click(self.hear, self.job, self.heard, **quietly)
        self.another_seed.click(lambda: random.randrange(2**31), outputs=self.seed, queue=False, **quietly)
        self.artist.key_up(self.narrow, outputs=self.artist, queue=False, trigger_mode="always_last", **quietly)
        self.lyrics.input(self.count, self.lyrics, self.note, queue=False, trigger_mode="always_last", **quietly)

    def sing(self, *form: object) -> Iterator[Updates]:
        """From the values of the form to updates of the page: progress, then the song or why there is none."""
        try:
            job = self.studio.job(request_of(*form[:6]), params_of(form[7:], self.params), SEED.read(form[6]))
            yield {
                self.job: job,
                self.status: self.progress(job),
                self.heard: "",
                self.sing_button: gr.update(interactive=False),
                self.hear_button: gr.update(interactive=True),
                self.stop_button: gr.update(interactive=True),
            }
            with closing(job.run(self.studio.thread)) as updates:
                for _ in updates:
                    yield {self.status: self.progress(job)}
            yield self.finish(job, job.song) if job.song else self.end(STOPPED)
        except Exception as error:
            mistake = mistake_in(error)
            yield self.end(mistake or BROKEN, "mistake") | {self.hear_button: gr.update(interactive=False)}
            if mistake is None:
                raise

    def progress(self, job: BackgroundJob) -> str:
        """A line and a bar for every level, the top one first."""
        bars = []
        for level in reversed(self.levels):
            status = job.levels.get(f"level {level}")
            bars.append(LEVEL.format(level, *((status.done, status.total, status.pace) if status else (0, 1, ""))))
        return LINE.format("quiet", "Singing" if job.levels else "Waiting for its turn") + Markup("").join(bars)

    def finish(self, job: BackgroundJob, song: SampledSong) -> Updates:
        files = job.files()  # song.wav is the first
        gr.set_static_paths(files)  # served from where they lie, and nothing beside them
        codes = {level: tensor.numpy() for level, tensor in song.codes.items()}
        spectrogram = plots.spectrogram(audio.to_channels(song.audio.float().numpy(), 1)[0], song.sample_rate)
        strips = plots.codes_image(codes, self.studio.models.hops, song.sample_rate)
        return self.end(f"Sung into {files[0].parent}") | {
            self.heard: "",
            self.hear_button: gr.update(interactive=False),
            self.result: gr.update(visible=True),
            self.song: str(files[0]),
            self.images: IMAGE.format(song_page.data_uri(spectrogram), "Mel spectrogram of the song")
            + IMAGE.format(song_page.data_uri(strips), "Codes of each level over time"),
            self.files: [str(path) for path in files],
        }

    def end(self, line: str, kind: str = "quiet") -> Updates:
        return {
            self.status: LINE.format(kind, line),
            self.sing_button: gr.update(interactive=True),
            self.stop_button: gr.update(interactive=False),
        }

    def hear(self, job: BackgroundJob | None) -> str:
        """What there is of every level, as far as it is finished."""
        decoded = job.so_far() if job else {}
        rate = self.studio.models.sample_rate
        players = [AUDIO.format(level, song_page.data_uri((sound, rate))) for level, sound in decoded.items()]
        return Markup("").join(players) or LINE.format("quiet", NOT_YET)

    def narrow(self, typed: gr.KeyUpData) -> Any:
        """Lists the artists whose names hold what was typed."""
        artists = self.studio.labeller.artists
        (key,) = artists.keys(typed.input_value)
        found = [name for name in artists.names if name != UNKNOWN and key in artists.keys(name)[0]]
        return gr.update(choices=found[:LISTED])

    def count(self, lyrics: str) -> str:
        """How much of the lyrics the model sings, and what it leaves out."""
        labeller = self.studio.labeller
        try:
            note = note_on_lyrics(lyrics, labeller)
            sung = len(labeller.characters.clean(lyrics))
        except UserError as error:
            return LINE.format("mistake", error)
        return LINE.format("quiet", f"{sung:,} characters to sing" + (f"; {note}" if note else ""))


def box(field: Field, value: float | None) -> gr.Number:
    return gr.Number(value, label=field.label, info=field.hint, precision=0 if field.whole else None, min_width=110)
