"""Parts of the page that gradio does not have: songs with waveforms, HTML of ours that can be pressed; and its looks."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import gradio as gr

ASSETS = files("jukebox_pl.studio") / "assets"
STYLE = (ASSETS / "style.css").read_text()
# Where several can be chosen gradio leaves the field without a name.
NAME_FIELDS = """() => document.querySelectorAll("#artists, #genres").forEach((field) => {
  const name = field.querySelector("span").innerText;
  field.querySelectorAll("input").forEach((input) => input.setAttribute("aria-label", name));
})"""
# On a phone the songs lie below the form: there, who is not told anything else sees theirs begin.
SHOW_SONGS = """(message) => {
  if (!message && innerWidth < 700) document.querySelector("#songs").scrollIntoView();
}"""
# Fonts that the visitor has: those of gradio's own themes may come from outside.
THEME = gr.themes.Default(
    primary_hue="orange", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    button_primary_background_fill="#c2410c",  # white on the theme's own orange is too faint to read for some
    button_primary_background_fill_dark="#c2410c",
    button_primary_background_fill_hover="#9a3412",
    button_primary_background_fill_hover_dark="#9a3412",
)

# A button says with its name what to do, and with its value to which song.
PRESS = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[name]");
  if (button) trigger(button.name === "stop" ? "stop" : "choose", { name: button.value });
});
"""
PLAYER = """
<div class="takes"></div>
<div class="stretch" role="group" aria-label="Selected stretch" hidden>
  <label>From <input type="number" min="0" step="0.01"></label>
  <label>to <input type="number" min="0" step="0.01"></label> s
  <button type="button">Select nothing</button>
</div>
"""


# No classes: gradio writes a file beside the source of every subclass of its components.


def pressable(value: str = "") -> gr.HTML:
    """HTML that the server has escaped. `choose` and `stop` come with the name of a song."""
    return gr.HTML(value, js_on_load=PRESS)


def player(elem_id: str) -> gr.HTML:
    """Songs side by side. Its value is {songs, chosen} from here and {at, begin, end}, in seconds, from the page.

    A song is {name, title, note, src, seconds, peaks}; everything in it is shown as text. `choose` comes with the name of
    a song, `stretched` when another stretch is selected.
    """
    script = (ASSETS / "player.js").read_text()
    value: Any = {"songs": [], "chosen": None}
    return gr.HTML(value, html_template=PLAYER, js_on_load=script, elem_id=elem_id)
