"""The page: a form, what is being sung, the songs. What was typed is shown escaped; nothing is fetched from outside."""

from __future__ import annotations

import random
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from jukebox_pl.errors import UserError, mistake_in
from jukebox_pl.sessions.operations import Overrides
from jukebox_pl.sessions.page import write_session_page
from jukebox_pl.sessions.prompts import Prompt
from jukebox_pl.studio import views, widgets
from jukebox_pl.studio.files import add_routes
from jukebox_pl.studio.form import (
    LEVEL_FIELDS,
    MOMENT,
    MOST_BLENDED,
    SEED,
    STRENGTH,
    Field,
    params_of,
    request_of,
    weights_of,
)
from jukebox_pl.studio.layout import LISTED, LONGEST_LYRICS, Layout
from jukebox_pl.studio.line import BROKEN
from jukebox_pl.text.labels import UNKNOWN
from jukebox_pl.types import SamplingParams, SongRequest

SECONDS_BETWEEN_LOOKS = 1.0
MOST_OWNER = 100  # characters of what a browser calls itself


class Ask(NamedTuple):
    """Who asks: the visitor, the song they have chosen, the one they have pressed, and what their player says."""

    owner: str
    chosen: str
    pressed: str
    player: Any

    def moment(self, name: str) -> float | None:
        """`at`, `begin` or `end` of the player, in seconds."""
        value = self.player.get(name) if isinstance(self.player, dict) else None
        return None if value is None else MOMENT.read(value)


class Answer(NamedTuple):
    """The song that is chosen now, and what to tell."""

    chosen: str
    line: str = ""


class Page(Layout):
    """What a visitor sees of a studio, and what happens when something is pressed or typed."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        with self.blocks:
            self._wire()

    def launch(
        self, host: str, port: int | None, open_browser: bool, accounts: Sequence[tuple[str, str]] | None = None
    ) -> str:
        """Serves the page until the process ends or `blocks.close()`; returns its address. Raises OSError.

        `accounts`: names and passwords of those who may enter, None: everybody.
        """
        app, address, _ = self.blocks.launch(
            server_name=host,
            server_port=port,
            inbrowser=open_browser,
            auth=list(accounts) if accounts else None,
            max_file_size=f"{self.studio.limits.upload_mb}mb",
            theme=widgets.THEME,
            css=widgets.STYLE,
            allowed_paths=[],
            footer_links=[],
            share=False,
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
        )
        add_routes(app, self.studio)
        return address

    def _wire(self) -> None:
        """Nothing waits for songs: the line does, in its own thread."""
        quietly: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        self.shown = [self.jobs, self.tree, self.player, self.facts]
        self.switched = [self.actions, self.resume_button, self.use_button, self.upsample_button]
        look = [self.visitor, self.chosen, *self.shown]
        outputs = [self.chosen, self.notice, *self.shown, *self.switched]

        def on(listen: Callable[..., Any], act: Callable[..., Answer], inputs: Sequence[Any] = ()) -> None:
            listen(self._handler(act), [*look, *inputs], outputs, **quietly)

        words = [self.chosen, self.message, *outputs[2:]]  # told where the button is
        asked = self.generate_button.click(self._handler(self.generate), [*look, self.clip, *self.form], words, **quietly)
        asked.then(None, self.message, js=widgets.SHOW_SONGS, **quietly)
        on(self.extend_button.click, self.extend, [self.until, self.with_form, *self.form])
        on(self.regenerate_button.click, self.regenerate, [self.with_form, *self.form])
        on(self.branch_button.click, self.branch, [self.with_form, *self.form])
        on(self.cut_button.click, self.cut)
        on(self.upsample_button.click, self.upsample)
        on(self.pick_button.click, self.pick)
        on(self.resume_button.click, self.resume)
        for pressable in (self.jobs, self.tree, self.player):
            on(pressable.choose, self.choose)
        on(self.jobs.stop, self.stop)
        timer = gr.Timer(SECONDS_BETWEEN_LOOKS)
        timer.tick(self.look, look, [*self.shown, *self.switched], **quietly)

        self.another_seed.click(lambda: random.randrange(2**31), outputs=self.seed, **quietly)
        self.artist.key_up(self.narrow, outputs=self.artist, trigger_mode="always_last", **quietly)
        counted: list[Any] = [self.lyrics, self.seconds, self.total, self.offset]
        gr.on(
            [each.change for each in counted],
            partial(views.count, self.studio),
            counted,
            self.note,
            trigger_mode="always_last",
            **quietly,
        )
        self.use_button.click(self.settings, [self.chosen], self.form, **quietly)

        clipped = [self.clip, self.clip_note, self.no_clip, self.upload]
        # The form and the clip live in the browser: what is there is kept at every change and put back when the page loads.
        everything = [self.clip, *self.form]
        changes = [each.change for each in self.form]
        keep = "(...values) => [values]"
        gr.on(changes, None, everything, self.kept, js=keep, **quietly)
        self.clip.stretched(None, everything, self.kept, js=keep, **quietly)
        uploaded = gr.on([self.upload.upload, self.upload.stop_recording], self.take_clip, self.upload, clipped, **quietly)
        for changed in (uploaded, self.no_clip.click(self.drop_clip, outputs=clipped, **quietly)):
            changed.then(None, everything, self.kept, js=keep, **quietly)
        put_back = "(kept, ...now) => Array.isArray(kept) && kept.length === now.length + 1 ? kept.slice(1) : now"
        self.blocks.load(None, [self.kept, *self.form], self.form, js=put_back, **quietly)
        self.blocks.load(None, js=widgets.NAME_FIELDS, **quietly)
        # Not behind one of these: gradio calls nothing after what runs in the browser alone.
        came_in = self.blocks.load(self.come_in, [self.visitor, self.kept], [self.visitor, *clipped[:3]], **quietly)
        came_in.then(None, everything, self.kept, js=keep, **quietly)

    def _handler(self, act: Callable[..., Answer]) -> Callable[..., list[Any]]:
        """From `act` to what gradio calls: mistakes become a line, and the visitor sees at once what has changed."""

        def handle(event: gr.EventData, request: gr.Request, visitor: Any, chosen: Any, *values: Any) -> list[Any]:
            shown, inputs = values[: len(self.shown)], values[len(self.shown) :]
            data = event._data if isinstance(event._data, dict) else {}
            ask = Ask(owner_of(request, visitor), str(chosen or ""), str(data.get("name") or ""), shown[2])
            try:
                answer, kind = act(ask, *inputs), "quiet"
            except Exception as error:
                mistake = mistake_in(error)
                if mistake is None:
                    traceback.print_exc(file=sys.stderr)
                answer, kind = Answer(ask.chosen, mistake or BROKEN), "mistake"
            line = str(views.LINE.format(kind, answer.line)) if answer.line else ""
            return [answer.chosen, line, *self.look(request, visitor, answer.chosen, *shown)]

        return handle

    def look(self, request: gr.Request, visitor: Any, chosen: Any, *shown: Any) -> list[Any]:
        """What has changed since a visitor was shown `shown`: the jobs, the tree, the player and the facts, and what can be
        done with the chosen song."""
        studio, chosen, owner = self.studio, str(chosen or ""), owner_of(request, visitor)
        try:
            takes = studio.takes(chosen)
            song = next(song for song in takes if song.name == chosen)
        except UserError:
            takes, song = [], None
        player, before = views.player(studio, takes, chosen), shown[2] if isinstance(shown[2], dict) else {}
        new = [views.jobs(studio.line, owner), views.tree(studio, chosen), player, views.facts(studio, song) if song else ""]
        same = [new[0] == shown[0], new[1] == shown[1], all(before.get(name) == player[name] for name in player)]
        same.append(new[3] == shown[3])
        finished, idle = bool(song and song.node.finished), bool(song and not studio.line.job(chosen))
        return [
            *(gr.skip() if unchanged else part for part, unchanged in zip(new, same, strict=True)),
            gr.update(visible=finished),
            gr.update(visible=idle and not finished),
            gr.update(visible=bool(song)),
            gr.update(interactive=bool(song and song.node.lowest)),
        ]

    def generate(self, ask: Ask, clip: Any, *form: Any) -> Answer:
        """New songs from the form, all takes at once; those that are there already are shown."""
        request, params, seed, candidates, lowest, strengths = self._asked(form)
        prompt, arguments = self._prompt(clip)
        overrides = Overrides(vars(request), vars(params), {}, arguments, lowest, seed)
        names = self.studio.ask(ask.owner, "new", overrides, candidates=candidates, prompt=prompt, strengths=strengths)
        if not any(self.studio.line.job(name) for name in names):
            return Answer(names[0], "There already, from the same form and seed. Another seed makes another song.")
        return Answer(names[0])

    def extend(self, ask: Ask, until: Any, *rest: Any) -> Answer:
        overrides, candidates = self._changed(*rest)
        seconds = self.studio.limits.seconds_field.read(until)
        overrides = replace(overrides, request={**overrides.request, "seconds": seconds})
        return Answer(self.studio.ask(ask.owner, "extend", overrides, ask.chosen, candidates)[0])

    def regenerate(self, ask: Ask, *rest: Any) -> Answer:
        overrides, candidates = self._changed(*rest)
        begin, end = ask.moment("begin"), ask.moment("end")
        if begin is None or end is None:
            raise UserError("nothing is selected: drag over the stretch of the waveform that is to be sung anew")
        end = min(end, self.studio.session.node(ask.chosen).request.seconds)  # the last code may go beyond
        overrides = replace(overrides, arguments={"from": begin, "to": end})
        return Answer(self.studio.ask(ask.owner, "regenerate", overrides, ask.chosen, candidates)[0])

    def branch(self, ask: Ask, *rest: Any) -> Answer:
        overrides, candidates = self._changed(*rest)
        return Answer(self.studio.ask(ask.owner, "branch", overrides, ask.chosen, candidates)[0])

    def cut(self, ask: Ask) -> Answer:
        at = ask.moment("at") or 0.0
        if not at:
            raise UserError("the playhead is at the beginning: click the waveform where the song is to end")
        return Answer(self.studio.ask(ask.owner, "cut", Overrides(arguments={"at": at}), ask.chosen)[0])

    def upsample(self, ask: Ask) -> Answer:
        return Answer(self.studio.ask(ask.owner, "upsample", Overrides(), ask.chosen)[0])

    def pick(self, ask: Ask) -> Answer:
        self.studio.session.pick(ask.chosen)
        write_session_page(self.studio.session)
        return Answer(ask.chosen, "Picked: `sample` goes on from it, too.")

    def resume(self, ask: Ask) -> Answer:
        self.studio.resume(ask.owner, ask.chosen)
        return Answer(ask.chosen)

    def stop(self, ask: Ask) -> Answer:
        self.studio.stop(ask.owner, ask.pressed)
        return Answer(ask.pressed, "Stopped. It can go on from its last window.")

    def choose(self, ask: Ask) -> Answer:
        self.studio.takes(ask.pressed)  # a song there is
        return Answer(ask.pressed)

    def settings(self, chosen: Any) -> list[Any]:
        """The form as it would ask for the chosen song."""
        node = next(song.node for song in self.studio.takes(str(chosen)) if song.name == chosen)
        request, params = node.request, node.params
        values: list[Any] = []
        for given in (request.artist, request.genres):
            names, weights = weights_of(given)
            values += [names[:MOST_BLENDED], *weights]
        values += [request.lyrics, request.seconds, request.total_seconds or 0, request.offset_seconds]
        values += [node.seed, 1, node.lowest]
        for level in self.levels:
            at = params.at(level)._asdict()
            values += [at[name] for name in LEVEL_FIELDS]
        return values + self.studio.strengths(node)

    def take_clip(self, path: str | None) -> list[Any]:
        """A clip instead of the upload, or why it is none."""
        if not path:
            return [gr.skip()] * 4
        try:
            token = self.studio.sounds.clip(Path(path), self.studio.limits.upload_mb * 2**20)
            return [views.clip(token, self.studio), "", gr.update(visible=True), gr.update(value=None, visible=False)]
        except Exception as error:
            line = views.LINE.format("mistake", mistake_in(error) or BROKEN)
            return [gr.skip(), str(line), gr.skip(), gr.update(value=None)]

    def drop_clip(self) -> list[Any]:
        return [{"songs": [], "chosen": None}, "", gr.update(visible=False), gr.update(visible=True)]

    def come_in(self, request: gr.Request, visitor: Any, kept: Any) -> list[Any]:
        """A name for who is new, and the clip that was left if it is still there."""
        clip = kept[0] if isinstance(kept, list) and kept else {}
        token = token_of(clip)
        try:
            shown = views.clip(token, self.studio, clip.get("begin"), clip.get("end")) if token else gr.skip()
            line, dropped = "", not token
        except KeyError:
            shown, line, dropped = {"songs": [], "chosen": None}, "The clip is gone with the restart: upload it again.", True
        message = str(views.TEXT.format(line)) if line else ""
        return [owner_of(request, visitor), shown, message, gr.update(visible=not dropped)]

    def narrow(self, typed: gr.KeyUpData) -> Any:
        """Lists the artists whose names hold what was typed."""
        if len(self.artists) <= LISTED:
            return gr.skip()
        artists = self.studio.labeller.artists
        (key,) = artists.keys(typed.input_value)
        found = [name for name in artists.names if name != UNKNOWN and key in artists.keys(name)[0]]
        return gr.update(choices=found[:LISTED])

    def _asked(self, form: Sequence[Any]) -> tuple[SongRequest, SamplingParams, int, int, int, list[float]]:
        """The values of `self.form` as records."""
        artists, genres, rest = form[0 : MOST_BLENDED + 1], form[MOST_BLENDED + 1 : 2 * MOST_BLENDED + 2], form[10:]
        lyrics, seconds, total, offset, seed, candidates, lowest, *rest = rest
        levels, strengths = rest[: len(self.levels) * len(LEVEL_FIELDS)], rest[len(self.levels) * len(LEVEL_FIELDS) :]
        limits = self.studio.limits
        words = str(lyrics or "")[:LONGEST_LYRICS]
        request = request_of(artists[0], artists[1:], genres[0], genres[1:], words, seconds, total, offset, limits)
        depth = Field("How far", "", 0, self.levels[-1], whole=True).read(lowest)
        return (
            request,
            params_of(levels, self.params),
            SEED.read(seed),
            limits.candidates_field.read(candidates),
            depth,
            [STRENGTH.read(strength) for strength in strengths],
        )

    def _changed(self, with_form: Any, *form: Any) -> tuple[Overrides, int]:
        """What is asked of a song that is made of another one, and of how many takes."""
        request, params, _, candidates, *_ = self._asked(form)
        if not with_form:
            return Overrides(), candidates
        words = {name: getattr(request, name) for name in ("artist", "genres", "lyrics")}
        return Overrides(words, vars(params)), candidates

    def _prompt(self, clip: Any) -> tuple[Prompt | None, dict[str, Any]]:
        """The chosen stretch of a clip, and the arguments that name it. Raises UserError where the clip is gone."""
        if not (token := token_of(clip)):
            return None, {}
        try:
            sound = self.studio.sounds[token]
        except KeyError:
            raise UserError("the clip is gone with a restart: upload it again") from None
        ask = Ask("", "", "", clip)
        begin, end = ask.moment("begin") or 0.0, ask.moment("end")
        assert sound.original
        prompt = Prompt(sound.original, None if end is None else end - begin, begin)
        arguments: dict[str, Any] = {"prompt": prompt.fingerprint(), "prompt_seconds": prompt.seconds}
        return prompt, arguments | ({"prompt_from": begin} if begin else {})


def owner_of(request: gr.Request, visitor: Any) -> str:
    """Who asks: by their login, or as their browser calls itself; who is new, and quicker than `come_in`, by their page."""
    return str(request.username or visitor or request.session_hash)[:MOST_OWNER]


def token_of(clip: Any) -> str:
    """The name of the first song of a player's value, "" where there is none."""
    songs = clip.get("songs") if isinstance(clip, dict) else None
    first = songs[0] if isinstance(songs, list) and songs else None
    return str(first.get("name") or "") if isinstance(first, dict) else ""
