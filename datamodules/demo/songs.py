"""A catalog of songs made in memory, for whoever has none at hand: invented words, four voices, three genres."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datamodules.demo.bands import CHARACTERS_PER_BEAT, CHORDS, GENRES, melody
from datamodules.demo.voices import ARTISTS, CHARACTER_SOUNDS, fade, sing
from jukebox_pl import audio
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word
from jukebox_pl.utils.files import write_atomic

LEXICON = (
    "la na mi to su re lami nato sure kalu pido femo zita bona diri solu "
    "kepa rufi mabe tilo zuna pemi foku nadi bola resa timu lozi"
)
WORDS = LEXICON.split()
WORDS_PER_LINE = 4
PEAK = 0.8
BAND_LEVEL = 0.35
COLUMNS = ("path", "title", "artist", "genre", "lyrics", "words", "language", "license", "source")


class DemoSong(NamedTuple):
    """A finished song: `mix` and its `vocal` part float32 [T] at the same loudness, the text and when it is sung."""

    mix: np.ndarray
    vocal: np.ndarray
    artist: str
    genre: str
    lyrics: str
    words: list[Word]

    @property
    def title(self) -> str:
        return self.lyrics.splitlines()[0].capitalize()


class Syllables(NamedTuple):
    """Words of one to `longest` syllables, each a consonant and a vowel of these: nobody can guess the next one."""

    consonants: str
    vowels: str
    longest: int = 3

    def word(self, rng: np.random.Generator) -> str:
        length = rng.integers(1, self.longest + 1)
        return "".join(str(rng.choice(list(letters))) for letters in (self.consonants, self.vowels) * length)


def invent_lyrics(slots: int, rng: np.random.Generator, syllables: Syllables | None = None) -> str:
    """Lines of words, of the lexicon or of free syllables, that take at most `slots` slots to sing; at least one word."""

    def word() -> str:
        return syllables.word(rng) if syllables else str(rng.choice(WORDS))

    text = word()
    for count in range(1, slots):
        longer = text + (" " if count % WORDS_PER_LINE else "\n") + word()
        if sum(CHARACTER_SOUNDS[c].slots for c in longer) > slots:
            break
        text = longer
    return text


def make_song(
    artist: str,
    genre: str,
    seconds: float,
    sample_rate: int,
    rng: np.random.Generator,
    syllables: Syllables | None = None,
) -> DemoSong:
    """A song of round(seconds * sample_rate) samples: a bar for the band alone, then singing to the end."""
    style, length = GENRES[genre], round(seconds * sample_rate)
    slot = round(sample_rate / style.characters_per_second)  # samples of one character
    bar = style.beats * CHARACTERS_PER_BEAT  # in slots
    progression = rng.choice(style.progressions).split()  # repeated to the end
    names = [progression[number % len(progression)] for number in range(-(-length // (slot * bar)))]
    chords = [style.tonic + np.array(CHORDS[name]) for name in names]
    notes = melody(chords, style, ARTISTS[artist].register, rng)[: length // slot]
    lyrics = invent_lyrics(len(notes) - bar, rng, syllables)
    sung, words = sing(lyrics, ARTISTS[artist], notes, slot, sample_rate, rng, rest=bar)
    played = np.zeros(length)
    style.band(played, chords, slot * CHARACTERS_PER_BEAT, sample_rate, rng)
    parts = np.pad(sung, (0, length - len(sung))), played
    vocal, band = (part / np.sqrt((part**2).mean()) for part in parts)  # both at a root mean square of 1
    mix = (vocal + BAND_LEVEL * band) * fade(length, sample_rate)
    gain = PEAK / np.abs(mix).max()
    mix, vocal = ((gain * sound).astype(np.float32) for sound in (mix, vocal))
    return DemoSong(mix, vocal, artist, genre, lyrics, words)


def write_song(folder: Path, name: str, song: DemoSong, sample_rate: int) -> dict[str, str]:
    """Writes the three files of a song below `folder` and returns its row of the catalog."""
    files = {"path": f"audio/{name}.flac", "lyrics": f"lyrics/{name}.txt", "words": f"words/{name}.json"}
    audio.write(folder / files["path"], song.mix[None], sample_rate)
    write_atomic(folder / files["lyrics"], song.lyrics.encode())
    write_atomic(folder / files["words"], json.dumps(song.words).encode())
    facts = {"title": song.title, "artist": song.artist, "genre": song.genre, "language": "invented"}
    return files | facts | {"license": "CC0-1.0", "source": "synthesized by jukebox_pl"}


def is_written(folder: Path, arguments: dict[str, Any]) -> bool:
    """Whether `folder` holds the catalog of these arguments. Raises UserError when it holds anything else."""
    if not folder.exists() or not any(folder.iterdir()):
        return False
    note = folder / "demo.json"
    found = json.loads(note.read_text()) if note.exists() else "no demo catalog"
    if found != arguments:
        raise UserError(f"{folder} is not empty and holds {found}, wanted {arguments}: name another folder or delete it")
    return True


def write_demo_catalog(
    folder: Path,
    songs: int = 24,
    seconds: float = 12.0,
    sample_rate: int = 11025,
    seed: int = 0,
    shortest_seconds: float | None = None,
    syllables: Mapping[str, Any] | None = None,
) -> Path:
    """Writes `catalog.csv` with its audio, lyrics and words below `folder` and returns the path of the csv.

    Songs are `seconds` long, or from `shortest_seconds` to `seconds`; `syllables` holds the arguments of Syllables. The same
    arguments give the same bytes; a folder that already has them is left alone. The folder appears whole, under its name,
    at the very end. Raises UserError when `folder` holds something else or a song is too short to sing.
    """
    folder = Path(folder)
    shortest, words = shortest_seconds or seconds, Syllables(**syllables) if syllables else None
    arguments: dict[str, Any] = {"songs": songs, "seconds": seconds, "sample_rate": sample_rate, "seed": seed}
    arguments |= {"shortest_seconds": shortest} if shortest < seconds else {}
    arguments |= {"syllables": words._asdict()} if words else {}
    if shortest < 3:
        raise UserError(f"a demo song takes at least 3 seconds to sing a word, found {shortest}")
    if is_written(folder, arguments):
        return folder / "catalog.csv"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part") as beside:
        whole = Path(beside) / folder.name
        rows = []
        for i in range(songs):
            artist, genre = list(ARTISTS)[i % len(ARTISTS)], list(GENRES)[i % len(GENRES)]
            rng = np.random.default_rng([seed, i])  # one a song: more songs leave the first ones as they are
            length = float(rng.uniform(shortest, seconds)) if shortest < seconds else seconds
            song = make_song(artist, genre, length, sample_rate, rng, words)
            rows.append(write_song(whole, f"{i:03d}", song, sample_rate))
        with open(whole / "catalog.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        write_atomic(whole / "demo.json", json.dumps(arguments).encode())
        os.replace(whole, folder)
    return folder / "catalog.csv"
