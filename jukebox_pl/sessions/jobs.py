"""From nodes to songs: sampled side by side, saved window by window, delivered as files and a page to look at."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from jukebox_pl import audio
from jukebox_pl.catalog.word_times.lrc import write_lrc
from jukebox_pl.checkpoints import Bundle
from jukebox_pl.errors import UserError
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.report.song_page import link_child, write_song_page
from jukebox_pl.sampling.checks import require_names
from jukebox_pl.sampling.conditioning import ConditioningSchedule
from jukebox_pl.sampling.levels import MISSING
from jukebox_pl.sampling.sampler import Progress, Sampler
from jukebox_pl.sessions.again import command_again
from jukebox_pl.sessions.models import LoadedModels
from jukebox_pl.sessions.nodes import REQUEST, Node, Session
from jukebox_pl.sessions.operations import initial_codes
from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import SampledSong, SamplingParams, SongRequest
from jukebox_pl.utils import codes as codes_file
from jukebox_pl.utils.codes import Codes
from jukebox_pl.utils.files import write_atomic, write_json
from jukebox_pl.utils.progress import Meter, terminal_meter

PARTIAL, LRC = "song.partial.wav", "song.lrc"


@dataclass(eq=False)
class GenerationJob:
    """Nodes that differ in their seed alone, on their way to songs. `nodes`, by name, are as they are on disk, if they are.

    `codes` [T] by name and level are those there are so far. Every window is saved as it comes, and what is there is not
    sampled again: a job that was stopped goes on as if it had not been. `parent`: what they are made of.
    """

    session: Session
    models: LoadedModels
    nodes: Mapping[str, Node]
    formats: Sequence[str] = ()
    parent: Node | None = None
    codes: dict[str, dict[int, Tensor]] = field(default_factory=dict, init=False)

    def begin(self, given: Codes) -> None:
        """Writes the nodes that are not there yet, and finds the codes that each goes on from.

        `given`: the codes [T] by level of the parent; where there is none, of a prompt, which is stored with the node.
        Raises UserError, before anything is written, for what cannot be sampled.
        """
        sampler = self.models.sampler
        for name, node in self.nodes.items():
            start = self.session.start(name, node, given)
            there = tensors(self.session.codes(name, node)) if name in self.session else {}
            kept = {} if node.finished else initial_codes(node, tensors(start), sampler)
            self.codes[name] = kept | there
            batch = {level: codes[None] for level, codes in self.codes[name].items()}
            sampler.check([node.request], [node.seed], batch, node.levels)
        for name, node in self.nodes.items():
            self.session.begin(name, node, given)

    def run(self, meter: Meter, stream: bool = False) -> list[SampledSong]:
        """Samples what is missing, and writes the files of every song.

        With `stream` the first one's song.partial.wav grows by each window. Raises what `Sampler.sample` raises, and what
        the meter's face does: it can so stop a job.
        """
        names, nodes, sampler = list(self.nodes), list(self.nodes.values()), self.models.sampler
        levels, params, progress = nodes[0].levels, nodes[0].params, LevelProgress(meter)

        def on_window(at: Progress) -> None:
            for name, row in zip(names, at.codes, strict=True):
                self.codes[name] = self.codes[name] | {at.level: row.cpu()}
                self.session.save(name, self.codes[name])
            progress.on_window(at)

        callbacks = on_window, progress.on_step
        if stream:
            partial = self.session.place(names[0]) / PARTIAL
            audio.write(partial, np.zeros((1, 0), np.float32), sampler.sample_rate)
            for chunk in sampler.stream(nodes[0].request, params, nodes[0].seed, self.codes[names[0]], *callbacks, levels):
                audio.append(partial, chunk.audio.numpy())
        # The songs side by side: codes [B, T] of each level, with MISSING where one is behind.
        rows, nothing = list(self.codes.values()), torch.zeros(0, dtype=torch.long)
        kept: dict[int, Tensor] = {}
        for level in {level for codes in rows for level in codes}:
            level_codes = [codes.get(level, nothing) for codes in rows]
            kept[level] = pad_sequence(level_codes, batch_first=True, padding_value=MISSING)
        requests, seeds = [node.request for node in nodes], [node.seed for node in nodes]
        songs = sampler.sample_batch(requests, params, seeds, kept, *callbacks, levels)
        for name, song in zip(names, songs, strict=True):
            folder = self.session.place(name)
            node = self.nodes[name]
            made_by = self.models
            command = command_again(made_by.run_dir, self.session, name, node, self.parent, made_by.adapters)
            write_song(folder, song, self.models.bundle.vqvae, self.formats, command=command, parent=node.parent)
            self.session.finish(name, node, song.codes)
            (folder / PARTIAL).unlink(missing_ok=True)
            if node.parent:
                link_child(self.session.place(node.parent), name)
        return songs


@dataclass
class LevelProgress:
    """A meter's task for every level, with the last window that it has finished."""

    meter: Meter
    windows: dict[int, str] = field(default_factory=dict)

    def on_window(self, at: Progress) -> None:
        self.windows[at.level] = f"window at {at.start}"

    def on_step(self, level: int, done: int, total: int) -> None:
        self.meter.update(f"level {level}", done, total, self.windows.get(level, ""))


def tensors(codes: Codes) -> dict[int, Tensor]:
    return {level: torch.from_numpy(array.astype(np.int64)) for level, array in codes.items()}


def sample_song(bundle: Bundle, request: SongRequest, params: SamplingParams, seed: int, device: str = "cpu") -> SampledSong:
    """A song that is no node of a session, with its progress on standard error."""
    check_request(request, bundle)
    networks = bundle.vqvae, bundle.priors, bundle.labellers
    sampler = Sampler(*networks, bundle.sample_rate, device, lyrics_head=bundle.lyrics_head)
    with terminal_meter("codes") as meter:
        shown = LevelProgress(meter)
        return sampler.sample(request, params, seed, on_window=shown.on_window, on_step=shown.on_step)


def check_request(request: SongRequest, bundle: Bundle) -> None:
    """Warns of letters that cannot be sung. Raises UserError for names that the models do not know."""
    labeller = bundle.labellers[max(bundle.labellers)]
    require_names(ConditioningSchedule.of(request, bundle.sample_rate), labeller)
    for lyrics in [request.lyrics, *(section.lyrics or "" for section in request.schedule)]:
        if note := note_on_lyrics(lyrics, labeller):
            print(f"warning: {note}", file=sys.stderr, flush=True)


def note_on_lyrics(lyrics: str, labeller: Labeller) -> str:
    """What the models cannot sing, in one line; nothing where they can. Raises UserError when nothing would be left."""
    characters = labeller.characters
    unknown = characters.unknown(lyrics)
    if lyrics and not labeller.lyric_tokens:
        return "this model was trained without lyrics and does not follow these"
    if unknown and not characters.clean(lyrics).strip():
        raise UserError(f"nothing is left of these lyrics: this model sings {characters.characters!r}")
    if unknown:
        shown = "".join(sorted(unknown))
        return f"left out of the lyrics: {sum(unknown.values())} times {shown!r}, which this model has not learned to sing"
    return ""


def write_song(folder: Path, song: SampledSong, vqvae: VQVAE, formats: Sequence[str], **page: Any) -> Path:
    """Writes song.wav (and other `formats`), codes.npz, request.json and index.html, and where it is known when each word
    is sung song.lrc; returns the page."""
    files = [f"song.{format}" for format in dict.fromkeys(("wav", *formats))]
    for name in files:
        audio.write(folder / name, song.audio.numpy(), song.sample_rate)
    write_atomic(folder / "codes.npz", codes_file.to_npz(song.codes))
    record: dict[str, Any] = {"request": song.request.to_json(), "params": song.params.to_json(), "seed": song.seed}
    if command := page.get("command"):
        record["command"] = command
    if song.words:
        record["words"] = [list(word) for word in song.words]
        texts = [song.request.lyrics, *(section.lyrics or "" for section in song.request.schedule)]
        write_atomic(folder / LRC, write_lrc("\n".join(texts), song.words).encode())
        files.append(LRC)
    write_json(folder / REQUEST, record)
    files += ["codes.npz", REQUEST]
    return write_song_page(folder, song, vqvae.hops, levels_above(vqvae, song), files=files, **page)


@torch.inference_mode()
def levels_above(vqvae: VQVAE, song: SampledSong) -> dict[str, np.ndarray]:
    """What the codes of each level above the lowest sound like by themselves, [T] of the song's length."""
    device, length = next(vqvae.parameters()).device, song.audio.shape[-1]
    heard = {}
    for level in sorted(song.codes)[1:]:
        decoded = vqvae.decode_long(song.codes[level][None].to(device), level)[0, 0]
        heard[f"level {level}"] = decoded.float().cpu().numpy()[:length]
    return heard
