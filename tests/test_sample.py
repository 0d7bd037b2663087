"""`python -m jukebox_pl.sample` as a user types it: the same song again, other songs, what it refuses."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_pl import cli
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.fit import sample_command
from jukebox_pl.sample import main, request_of

HOPS = (8, 32, 128)
RATE = 11025
SECONDS = 0.5


def sample(run_dir: Path, out: Path, *words: object) -> dict[str, np.ndarray]:
    """The codes of a song sung into `out`."""
    cli.run(main, "sample", [f"run_dir={run_dir}", f"out={out}", f"seconds={SECONDS}", "hop_fraction=1", *map(str, words)])
    with np.load(out / "codes.npz") as codes:
        return dict(codes)


def test_a_seed_is_a_song(finished, tmp_path):
    one, again, other = (sample(finished, tmp_path / name, f"seed={name[0]}") for name in ("1", "1 again", "2"))
    assert all((one[level] == again[level]).all() for level in one)
    assert (tmp_path / "1/song.wav").read_bytes() == (tmp_path / "1 again/song.wav").read_bytes()
    assert all((one[level] != other[level]).any() for level in one)


def test_every_level_is_as_long_as_the_song(finished, tmp_path):
    codes = sample(finished, tmp_path)
    top = ceil(SECONDS * RATE / HOPS[2])
    assert [len(codes[f"level_{level}"]) for level in range(3)] == [top * 16, top * 4, top]
    sound, rate = soundfile.read(tmp_path / "song.wav")
    assert (len(sound), rate) == (top * HOPS[2], RATE)


def test_formats_and_a_page_come_beside_the_wav(finished, tmp_path, capsys):
    sample(finished, tmp_path, "formats=[flac,ogg]")
    assert {path.name for path in tmp_path.iterdir()} == {
        "song.wav", "song.flac", "song.ogg", "codes.npz", "request.json", "index.html",
    }  # fmt: skip
    assert capsys.readouterr().out.strip() == str(tmp_path / "index.html")


@pytest.mark.parametrize("lyrics", ["la na, mi to (su)", "la na\\nmi to", "la na\nmi to", "la 'na", "la = na"])
def test_lyrics_are_given_as_they_are(lyrics):
    asked = request_of(
        cli.compose_config("sample", [f"lyrics={lyrics}", "artist=Crosby, Stills (live)", "genre=[Folk,Waltz]"])
    )
    assert (asked.artist, asked.genres) == ("Crosby, Stills (live)", ("Folk", "Waltz"))
    assert asked.lyrics == lyrics.replace("\\n", "\n")


def test_the_command_that_fit_ends_with_names_what_the_run_knows(finished):
    words = shlex.split(sample_command(finished, Catalog.load(finished / "shards")))
    asked = request_of(cli.compose_config("sample", words[3:]))
    assert words[:3] == ["python", "-m", "jukebox_pl.sample"]
    assert (asked.artist, asked.genres, asked.seconds) == ("Ada Bell", ("Drone",), 10.0)


def test_what_was_asked_is_kept_with_the_song(finished, tmp_path):
    (tmp_path / "words.txt").write_text("la na\nmi to")
    sample(finished, tmp_path / "out", f"lyrics={tmp_path / 'words.txt'}", "artist=Mira Hush", "genre=Waltz", "seed=3")
    kept = json.loads((tmp_path / "out/request.json").read_text(encoding="utf-8"))
    assert {"artist": "Mira Hush", "genres": ["Waltz"], "lyrics": "la na\nmi to"}.items() <= kept["request"].items()
    assert kept["seed"] == 3


def test_letters_that_were_never_sung_are_left_out_with_a_warning(finished, tmp_path, capsys):
    sample(finished, tmp_path, "lyrics=la QQ na!")
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert warnings == ["warning: left out of the lyrics: 3 times '!Q', which this model has not learned to sing"]


MISTAKES = {
    "no run": (["run_dir=null"], "run_dir is missing, as in run_dir=runs/demo"),
    "an unfinished run": (["run_dir=."], "does not hold a finished run.*there is no bundle.json"),
    "no time": (["seconds=0"], "seconds=0: expected a number of at least"),
    "less than no time": (["seconds=-3"], "seconds=-3: expected a number of at least"),
    "not a time": (["seconds=long"], "seconds=long: expected a number"),
    "no end": (["seconds=inf"], "seconds=inf: expected a number"),
    "windows that stand still": (["hop_fraction=0"], r"hop_fraction must lie in \(0, 1\], found 0"),
    "an unknown artist": (["artist=Ada Bel"], "unknown artist 'Ada Bel': .*nearest are 'Ada Bell'"),
    "an unknown genre": (["genre=Walz"], "unknown genre 'Walz': .*nearest are 'Waltz'"),
    "an unknown format": (["formats=[mp3]"], "format 'mp3' cannot be written; known are wav, flac, ogg"),
    "no file of lyrics": (["lyrics=nowhere.txt"], "there is no file nowhere.txt"),
    "nothing to sing": (["lyrics=QQ"], "nothing is left of these lyrics: this model sings"),
    "no device": (["device=abacus"], "device=abacus cannot be used"),
    "a misspelt setting": (["sed=1"], "did you mean seed"),
}


@pytest.mark.parametrize(("words", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(finished, tmp_path, capsys, words, told):
    with pytest.raises(SystemExit) as stopped:
        sample(finished, tmp_path, *words)
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert re.search(told, line), line


def test_a_bundle_without_a_level_names_it(finished, tmp_path, capsys):
    run_dir = Path(shutil.copytree(finished, tmp_path / "run"))
    record = json.loads((run_dir / "bundle.json").read_text())
    del record["priors"]["1"]
    (run_dir / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match="2"):
        sample(run_dir, tmp_path / "out")
    assert f"{run_dir} has no prior for level [1]; train it with recipe=hierarchy" in capsys.readouterr().err
