"""What stands on the page: the form, what is being sung, the songs and what can be done with them."""

from __future__ import annotations

import hashlib
from typing import Any

import gradio as gr

from jukebox_pl.studio import views, widgets
from jukebox_pl.studio.form import (
    LEVEL_FIELDS,
    MOST_BLENDED,
    OFFSET,
    SEED,
    STRENGTH,
    TOTAL,
    WEIGHT,
    Field,
    weights_of,
)
from jukebox_pl.studio.studio import Studio
from jukebox_pl.text.labels import UNKNOWN
from jukebox_pl.types import SamplingParams, SongRequest

LISTED = 200  # artists; a browser cannot show thousands
LONGEST_LYRICS = 100_000
MOST_STRENGTH = 1.5  # on a slider
KEY = "jukebox_pl"  # of what a browser keeps; not for secrets, which there are none of
KEEP_SECONDS = 86_400  # uploads, by gradio
SKETCH, WHOLE = "Sketch: top level", "All levels"


class Layout:
    """The components of the page of `studio`; the form starts with `request`, `params`, `seed`, `candidates` and `lowest`.

    Raises UserError when the models do not know the names in `request`.
    """

    def __init__(
        self, studio: Studio, request: SongRequest, params: SamplingParams, seed: int, candidates: int = 1, lowest: int = 0
    ):
        self.studio, self.params, self.levels = studio, params, range(len(studio.models.hops))
        labeller, rate = studio.labeller, studio.models.sample_rate
        self.artists, self.genres = (
            [name for name in vocabulary.names if name != UNKNOWN] for vocabulary in (labeller.artists, labeller.genres)
        )
        known = f"{len(self.artists):,} artists and {len(self.genres):,} genres"
        models = hashlib.sha256(repr(studio.models).encode()).hexdigest()[:12]
        with gr.Blocks(
            title="jukebox_pl", analytics_enabled=False, fill_width=True, delete_cache=(3600, KEEP_SECONDS)
        ) as self.blocks:
            self.visitor = gr.BrowserState("", storage_key=f"{KEY}.visitor", secret=KEY)
            self.chosen = gr.BrowserState("", storage_key=f"{KEY}.{models}.chosen", secret=KEY)
            self.kept = gr.BrowserState([], storage_key=f"{KEY}.{models}.form", secret=KEY)
            gr.HTML(views.HEADING.format(f"A model of {known}, at {rate:,} Hz"))
            with gr.Row():
                with gr.Column(scale=4, min_width=320):
                    self.form: list[Any] = [
                        *self._ask_words(request),
                        *self._ask_length(request, seed, candidates, lowest),
                        *self._ask_levels(params),
                        *self._ask_strengths(),
                    ]
                    self.clip = self._ask_clip()
                    with gr.Column(elem_id="generate"):
                        self.generate_button = gr.Button("Generate", variant="primary")
                        self.message = gr.HTML()
                with gr.Column(scale=6, min_width=320, elem_id="songs"):
                    self.jobs = widgets.pressable()
                    self.notice = gr.HTML()
                    self._show_songs()

    def _ask_words(self, request: SongRequest) -> list[gr.components.Component]:
        """Whom and what to sing. An artist may be typed, as thousands are known; genres are chosen."""
        vocabularies = {"artist": self.studio.labeller.artists, "genre": self.studio.labeller.genres}
        asked: list[gr.components.Component] = []
        for what, given in (("artist", request.artist), ("genre", request.genres)):
            blended, weights = weights_of(given)
            names = [vocabularies[what].require(name, what) for name in blended]
            listed = self.artists[:LISTED] if what == "artist" else self.genres
            dropdown = gr.Dropdown(
                list(dict.fromkeys([*listed, *names])),
                value=names,
                label="Artist" if what == "artist" else "Genres",
                info=f"several are blended, {MOST_BLENDED} at most"
                if what == "artist"
                else "all of them; a blend where their weights differ",
                multiselect=True,
                max_choices=MOST_BLENDED,
                allow_custom_value=what == "artist",
                elem_id=f"{what}s",
            )
            with gr.Row():
                sliders = [
                    gr.Slider(
                        WEIGHT.least,
                        WEIGHT.most,
                        weights[place],
                        step=1,
                        label=names[place] if place < len(names) else WEIGHT.label,
                        visible=place < len(names) > 1,
                        min_width=140,
                        interactive=True,
                    )
                    for place in range(MOST_BLENDED)
                ]
            dropdown.change(show_weights, dropdown, sliders, queue=False, show_progress="hidden", api_visibility="private")
            asked += [dropdown, *sliders]
            if what == "artist":
                self.artist = dropdown
        self.lyrics = gr.Textbox(request.lyrics, label="Lyrics", lines=4, max_lines=18, max_length=LONGEST_LYRICS)
        self.note = gr.HTML(
            views.count(self.studio, request.lyrics, request.seconds, request.total_seconds, request.offset_seconds)
        )
        return [*asked, self.lyrics]

    def _ask_length(self, request: SongRequest, seed: int, candidates: int, lowest: int) -> list[gr.components.Component]:
        with gr.Row():
            self.seconds = box(self.studio.limits.seconds_field, request.seconds)
            self.candidates = box(self.studio.limits.candidates_field, candidates)
            self.seed = box(SEED, seed)
        self.another_seed = gr.Button("Another seed", size="sm", elem_classes="small")
        deep = [(SKETCH, len(self.levels) - 1), (WHOLE, 0)] if len(self.levels) > 1 else [(WHOLE, 0)]
        deep[1:1] = [(f"To level {level}", level) for level in range(len(self.levels) - 2, 0, -1)]
        self.lowest = gr.Radio(
            deep, value=lowest, label="How far", info="a sketch is quick; what you like of it is upsampled later"
        )
        with gr.Accordion("A part of a longer song", open=False), gr.Row():
            self.total, self.offset = box(TOTAL, request.total_seconds), box(OFFSET, request.offset_seconds)
        return [self.seconds, self.total, self.offset, self.seed, self.candidates, self.lowest]

    def _ask_levels(self, params: SamplingParams) -> list[gr.components.Component]:
        """The fields of every level, the bottom one first as in `params_of`, the top one first on the page."""
        rows: list[gr.components.Component] = []
        with gr.Accordion("Sampling of each level", open=False):
            for level in reversed(self.levels):
                gr.HTML(views.TEXT.format(f"Level {level}"))
                with gr.Row():
                    at = params.at(level)._asdict()
                    rows[:0] = [box(field, at[name]) for name, field in LEVEL_FIELDS.items()]
        return rows

    def _ask_strengths(self) -> list[gr.components.Component]:
        """One for each adapter, if there are any."""
        return [
            gr.Slider(
                min(0.0, strength),
                max(MOST_STRENGTH, strength),
                strength,
                step=0.05,
                label=f"{STRENGTH.label} of {views.adapter_name(use.adapter)}",
                info=STRENGTH.hint,
                interactive=True,
            )
            for use in self.studio.adapters
            for strength in [max(use.strengths.values())]
        ]

    def _ask_clip(self) -> gr.HTML:
        """What to go on from: uploaded or recorded, then a stretch of it chosen on its waveform."""
        with gr.Accordion("Go on from a clip", open=False):
            self.upload = gr.Audio(
                sources=["upload", "microphone"], type="filepath", label="Upload or record", editable=False, buttons=[]
            )
            clip = widgets.player("clip")
            self.clip_note = gr.HTML()
            self.no_clip = gr.Button("Without the clip", visible=False, size="sm")
        return clip

    def _show_songs(self) -> None:
        self.player = widgets.player("player")
        with gr.Column(visible=False) as self.actions:
            with gr.Row(elem_classes="actions"):
                self.extend_button = gr.Button("Continue to", size="sm")
                self.until = gr.Number(20.0, label="Seconds in all", min_width=60, container=False, show_label=False)
                self.cut_button = gr.Button("Cut at the playhead", size="sm")
                self.regenerate_button = gr.Button("Sing the selection anew", size="sm")
                self.branch_button = gr.Button("Another take", size="sm")
                self.upsample_button = gr.Button("Upsample", size="sm")
                self.pick_button = gr.Button("★ Pick", size="sm")
            self.with_form = gr.Checkbox(
                False, label="With the artist, genres, lyrics and sampling of the form", container=False
            )
        self.resume_button = gr.Button("Go on with it", visible=False, elem_classes="small")
        self.facts = gr.HTML()
        self.use_button = gr.Button("Put its settings into the form", size="sm", visible=False, elem_classes="small")
        self.tree = widgets.pressable()


def show_weights(names: list[str] | None) -> list[Any]:
    """A weight for every name where there are several."""
    chosen = list(names or ())
    return [
        gr.update(visible=len(chosen) > 1 and place < len(chosen), label=chosen[place] if place < len(chosen) else "Weight")
        for place in range(MOST_BLENDED)
    ]


def box(field: Field, value: float | None) -> gr.Number:
    return gr.Number(value, label=field.label, info=field.hint, min_width=80)  # no precision: 1.5 would silently become 2
