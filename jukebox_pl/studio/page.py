"""The page: a form, how far the song is, the song. What was typed is shown escaped; nothing is fetched from outside."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import gradio as gr
from markupsafe import Markup

from jukebox_pl.cli import command
from jukebox_pl.errors import UserError
from jukebox_pl.report import plots, song_page
from jukebox_pl.sessions.song_files import note_on_lyrics
from jukebox_pl.studio.form import LEVEL_FIELDS, OFFSET, SECONDS, SEED, TOTAL, Field, params_of, request_of
from jukebox_pl.studio.takes import Step, Studio, Take
from jukebox_pl.text.labels import UNKNOWN, Vocabulary
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
.level progress, .picture, audio { width: 100%; }
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
SOUND = Markup('<div class="level"><span>level {}</span><audio controls src="{}"></audio></div>')
PICTURE = Markup('<img class="picture" src="{}" alt="{}">')
LISTED = 200
STOPPED = "Stopped. Sing goes on from here, as long as nothing is changed."
NOT_YET = "Nothing can be heard yet: the first stretch is still being sung."
BROKEN = "Something broke that should not; the terminal says what."


class Page:
    """What a visitor sees of `studio`; the form starts with `request`, `params` and `seed`.

    Raises UserError when the models do not know the names in `request`.
    """

    def __init__(self, studio: Studio, request: SongRequest, params: SamplingParams, seed: int):
        self.studio, self.params, self.levels = studio, params, range(len(studio.models.hops))
        with gr.Blocks(title="jukebox_pl", analytics_enabled=False, fill_width=True) as self.blocks:
            gr.HTML(self.heading())
            with gr.Row():
                with gr.Column():
                    self.form = [*self.ask(request), self.ask_seed(seed), *self.ask_levels(params)]
                with gr.Column():
                    self.answer()
            self.wire()

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

    def heading(self) -> str:
        labeller = self.studio.labeller
        known = f"{len(names(labeller.artists)):,} artists and {len(names(labeller.genres)):,} genres"
        return HEADING + LINE.format("quiet", f"A model of {known}, at {self.studio.models.sample_rate:,} Hz")

    def ask(self, request: SongRequest) -> list[gr.components.Component]:
        asked = self.ask_names(str(request.artist), list(request.genres))
        self.lyrics = gr.Textbox(request.lyrics, label="Lyrics", lines=8, max_lines=20)
        self.note = gr.HTML(self.count(request.lyrics))
        with gr.Row():
            times = [box(SECONDS, request.seconds), box(TOTAL, request.total_seconds), box(OFFSET, request.offset_seconds)]
        return [*asked, self.lyrics, *times]

    def ask_names(self, artist: str, given: list[str]) -> list[gr.components.Component]:
        """An artist may be typed, of whom thousands are known; genres are chosen."""
        artists, genres = self.studio.labeller.artists, self.studio.labeller.genres
        artists.require(artist, "artist")
        listed = dict.fromkeys([*names(genres), *(genres.require(genre, "genre") for genre in given)])
        self.artist = gr.Dropdown(names(artists)[:LISTED], value=artist or None, label="Artist", allow_custom_value=True)
        return [self.artist, gr.Dropdown(list(listed), value=given, label="Genres", multiselect=True)]

    def ask_seed(self, seed: int) -> gr.Number:
        with gr.Row():
            self.seed = box(SEED, seed)
            self.another_seed = gr.Button("Another seed", elem_classes="low")
        return self.seed

    def ask_levels(self, params: SamplingParams) -> list[gr.Number]:
        """The fields of every level, the bottom one first as in `params_of`, the top one first on the page."""
        rows: list[gr.Number] = []
        with gr.Accordion("Sampling of each level", open=False):
            for level in reversed(self.levels):
                gr.HTML(LINE.format("quiet", f"Level {level}"))
                with gr.Row():
                    at = params.at(level)._asdict()
                    rows[:0] = [box(field, at[name]) for name, field in LEVEL_FIELDS.items()]
        return rows

    def answer(self) -> None:
        self.take = gr.State()
        with gr.Row():
            self.sing_button = gr.Button("Sing", variant="primary")
            self.hear_button = gr.Button("Hear it so far", interactive=False)
            self.stop_button = gr.Button("Stop", variant="stop", interactive=False)
        self.status, self.heard = gr.HTML(), gr.HTML()
        with gr.Column(visible=False) as self.result:
            self.song = gr.Audio(label="Song", interactive=False, buttons=["download"])
            self.pictures = gr.HTML()
            self.files = gr.File(label="Files", file_count="multiple", interactive=False)

    def wire(self) -> None:
        quietly: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        shown = [self.take, self.sing_button, self.hear_button, self.stop_button, self.status, self.heard]
        result = [self.result, self.song, self.pictures, self.files]
        self.sing_button.click(
            self.sing, self.form, [*shown, *result], api_name="sing", show_progress="hidden", concurrency_limit=None
        )
        self.stop_button.click(stop, self.take, queue=False, **quietly)
        self.hear_button.click(self.hear, self.take, self.heard, **quietly)
        self.another_seed.click(lambda: random.randrange(2**31), outputs=self.seed, queue=False, **quietly)
        self.artist.key_up(self.narrow, outputs=self.artist, queue=False, trigger_mode="always_last", **quietly)
        self.lyrics.input(self.count, self.lyrics, self.note, queue=False, trigger_mode="always_last", **quietly)

    def sing(self, *form: object) -> Iterator[Updates]:
        """From the values of the form to updates of the page: progress, then the song or why there is none."""
        try:
            take = self.studio.take(request_of(*form[:6]), params_of(form[7:], self.params), SEED.read(form[6]))
            yield self.begin(take)
            with closing(take.sing(self.studio.thread)) as steps:
                for _ in steps:
                    yield {self.status: self.progress(take)}
            yield self.finish(take, take.song) if take.song else self.end(STOPPED)
        except Exception as error:
            mistake = command.mistake_in(error)
            yield self.end(mistake or BROKEN, "mistake") | {self.hear_button: gr.update(interactive=False)}
            if mistake is None:
                raise

    def begin(self, take: Take) -> Updates:
        return {
            self.take: take,
            self.status: self.progress(take),
            self.heard: "",
            self.sing_button: gr.update(interactive=False),
            self.hear_button: gr.update(interactive=True),
            self.stop_button: gr.update(interactive=True),
        }

    def end(self, line: str, kind: str = "quiet") -> Updates:
        return {
            self.status: LINE.format(kind, line),
            self.sing_button: gr.update(interactive=True),
            self.stop_button: gr.update(interactive=False),
        }

    def finish(self, take: Take, song: SampledSong) -> Updates:
        gr.set_static_paths(take.files())  # served from where they lie, and nothing beside them
        spectrogram = plots.spectrogram(song_page.mono(song_page.samples(song.audio)), song.sample_rate)
        codes = song_page.codes_of(song, dict(enumerate(self.studio.models.hops)))
        return self.end(f"Sung into {take.folder}") | {
            self.heard: "",
            self.hear_button: gr.update(interactive=False),
            self.result: gr.update(visible=True),
            self.song: str(take.folder / "song.wav"),
            self.pictures: PICTURE.format(song_page.png_uri(spectrogram), "Mel spectrogram of the song")
            + PICTURE.format(song_page.png_uri(codes), "Codes of each level over time"),
            self.files: [str(path) for path in take.files()],
        }

    def progress(self, take: Take) -> str:
        """A line and a bar for every level, the top one first."""
        bars = [bar(level, take.steps.get(level)) for level in reversed(self.levels)]
        return LINE.format("quiet", "Singing" if take.steps else "Waiting for its turn") + Markup("").join(bars)

    def hear(self, take: Take | None) -> str:
        """What there is of every level, as far as it is finished."""
        sounds = take.so_far() if take else {}
        rate = self.studio.models.sample_rate
        players = [SOUND.format(level, song_page.audio_uri(sound, rate)) for level, sound in sounds.items()]
        return Markup("").join(players) or LINE.format("quiet", NOT_YET)

    def narrow(self, typed: gr.KeyUpData) -> Any:
        """Lists the artists whose names hold what was typed: a browser cannot show thousands."""
        artists = self.studio.labeller.artists
        (key,) = artists.keys(typed.input_value)
        return gr.update(choices=[name for name in names(artists) if key in artists.keys(name)[0]][:LISTED])

    def count(self, lyrics: str) -> str:
        """How much of the lyrics the model sings, and what it leaves out."""
        labeller = self.studio.labeller
        try:
            note = note_on_lyrics(lyrics, labeller)
            sung = len(labeller.characters.clean(lyrics))
        except UserError as error:
            return LINE.format("mistake", error)
        return LINE.format("quiet", f"{sung:,} characters to sing" + (f"; {note}" if note else ""))


def stop(take: Take | None) -> None:
    if take:
        take.stop()


def names(vocabulary: Vocabulary) -> list[str]:
    return [name for name in vocabulary.names if name != UNKNOWN]


def box(field: Field, value: float | None) -> gr.Number:
    return gr.Number(value, label=field.label, info=field.hint, precision=0 if field.whole else None, min_width=110)


def bar(level: int, step: Step | None) -> Markup:
    return LEVEL.format(level, step.done, step.total, time_left(step)) if step else LEVEL.format(level, 0, 1, "")


def time_left(step: Step) -> str:
    if step.done == step.total:
        return "done"
    return "" if step.seconds_left is None else f"{timedelta(seconds=round(step.seconds_left))} to go"
