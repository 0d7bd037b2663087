"""`python -m jukebox_pl.sample` as a user types it: the same song again, other songs, what it refuses."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import warnings
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.cli import command
from jukebox_pl.cli.sample_arguments import request_fields
from jukebox_pl.fit import sample_command
from jukebox_pl.sample import cli_main
from jukebox_pl.types import Section, SongRequest

HOPS = (8, 32, 128)
RATE = 11025
SECONDS = 0.5


def sample(run_dir: Path, out: Path, *words: object) -> dict[str, np.ndarray]:
    """The codes of a song sung into `out`."""
    cli_main([f"run_dir={run_dir}", f"out={out}", f"seconds={SECONDS}", "hop_fraction=1", *map(str, words)])
    with np.load(out / "codes.npz") as codes:
        return dict(codes)


def asked(*words: str) -> SongRequest:
    return SongRequest(**request_fields(command.compose_config("sample", list(words))))


def test_a_seed_is_a_song(finished, tmp_path):
    one, again, other = (sample(finished, tmp_path / name, f"seed={name[0]}") for name in ("1", "1 again", "2"))
    assert all((one[level] == again[level]).all() for level in one)
    assert (tmp_path / "1/song.wav").read_bytes() == (tmp_path / "1 again/song.wav").read_bytes()
    assert all((one[level] != other[level]).any() for level in one)


def test_other_words_without_a_seed_are_another_song_beside_the_first(finished, tmp_path, capsys):
    words = [f"run_dir={finished}", f"session={tmp_path}", f"seconds={SECONDS}", "hop_fraction=1"]
    for more in ([], ["artist=Ada Bell"], ["artist=Ada Bell"]):
        cli_main([*words, *more])
    printed = capsys.readouterr()
    assert [Path(page).parent.name for page in printed.out.splitlines()] == ["seed_0", "seed_0_2", "seed_0_2"]
    with pytest.raises(SystemExit):
        cli_main([*words, "artist=Mira Hush", "seed=0"])
    with pytest.raises(SystemExit):
        cli_main([*words[:1], f"out={tmp_path / 'seed_0'}", *words[2:], "artist=Mira Hush"])
    assert capsys.readouterr().err.count("holds another song (request.artist: -> Mira Hush)") == 2


def test_every_level_is_as_long_as_the_song(finished, tmp_path):
    codes = sample(finished, tmp_path)
    top = ceil(SECONDS * RATE / HOPS[2])
    assert [len(codes[f"level_{level}"]) for level in range(3)] == [top * 16, top * 4, top]
    sound, rate = soundfile.read(tmp_path / "song.wav")
    assert (len(sound), rate) == (top * HOPS[2], RATE)


def test_a_session_has_a_page_of_its_takes_and_a_folder_around_a_song_has_none(finished, tmp_path, capsys):
    words = [f"run_dir={finished}", "seconds=0.2", "artist=Ada Bell", "hop_fraction=1", "levels=2"]
    cli_main([*words, f"session={tmp_path / 'songs'}", "seed=3", "candidates=2"])
    page = html.unescape((tmp_path / "songs" / "index.html").read_text())
    assert re.findall('<audio[^>]+src="(.*?)"', page) == ["seed_4/song.wav", "seed_3/song.wav"]
    for seed, command_again in zip((4, 3), re.findall("<code>(.*?)</code>", page), strict=True):
        assert {"levels=2", f"session={tmp_path / 'songs'}", f"seed={seed}"} <= set(shlex.split(command_again))
    cli_main([f"run_dir={finished}", f"session={tmp_path / 'songs'}", "mode=pick", "node=seed_3"])
    assert "★ seed_3" in (tmp_path / "songs" / "index.html").read_text()
    sample(finished, tmp_path / "alone")
    assert not (tmp_path / "index.html").exists()


def test_formats_and_a_page_come_beside_the_wav(finished, tmp_path, capsys):
    sample(finished, tmp_path, "formats=[flac,ogg]")
    assert {path.name for path in tmp_path.iterdir()} == {
        "song.wav", "song.flac", "song.ogg", "codes.npz", "request.json", "index.html", "node.json",
    }  # fmt: skip
    assert capsys.readouterr().out.strip() == str(tmp_path / "index.html")


@pytest.mark.parametrize("lyrics", ["la na, mi to (su)", "la na\\nmi to", "la na\nmi to", "la 'na", "la = na"])
def test_lyrics_are_given_as_they_are(lyrics):
    request = asked(f"lyrics={lyrics}", "artist=Crosby, Stills (live)", "genre=[Folk,Waltz]")
    assert (request.artist, request.genres) == ("Crosby, Stills (live)", ("Folk", "Waltz"))
    assert request.lyrics == lyrics.replace("\\n", "\n")


def test_the_command_that_fit_ends_with_names_what_the_run_knows(finished):
    words = shlex.split(sample_command(finished, Catalog.load(finished / "shards")))
    request = asked(*words[3:])
    assert words[:3] == ["python", "-m", "jukebox_pl.sample"]
    assert (request.artist, request.genres, request.seconds) == ("Ada Bell", ("Drone",), 10.0)


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


@pytest.mark.parametrize(
    "lyrics", ["[Verse]", "[Verse]\nla, la", "{la: 1}", "true", "1_000", "null", "la\\", "it\\'s", "${la}"]
)
def test_lyrics_are_no_syntax(lyrics):
    assert asked(f"lyrics={lyrics}", "sections=keep").lyrics == lyrics


def test_names_may_be_blended():
    request = asked("artist={Ada Bell: 0.7, Mira Hush: 0.3}", "genre={Folk: 1, Waltz: 3}")
    assert request.artist == {"Ada Bell": 0.7, "Mira Hush": 0.3}
    assert request.genres == {"Folk": 1, "Waltz": 3}


@pytest.mark.parametrize("in_a_file", [False, True])
def test_a_schedule_says_what_changes_where(tmp_path, in_a_file):
    (tmp_path / "words.txt").write_text("la na")
    words = f"[{{at: 5, artist: {{Ada Bell: 1}}}}, {{at: 7.5, genre: [Folk, Waltz], lyrics: {tmp_path}/words.txt}}]"
    if in_a_file:
        (tmp_path / "schedule.yaml").write_text(words)
    schedule = asked(f"schedule={tmp_path / 'schedule.yaml' if in_a_file else words}").schedule
    assert schedule == (Section(5, artist={"Ada Bell": 1}), Section(7.5, genres=("Folk", "Waltz"), lyrics="la na"))


def test_a_song_with_blends_and_sections_has_a_page_that_tells(finished, tmp_path):
    sample(finished, tmp_path, "artist={Ada Bell: 0.7, Mira Hush: 0.3}", "schedule=[{at: 0.2, artist: Mira Hush}]")
    page = (tmp_path / "index.html").read_text()
    assert "0.7 Ada Bell, 0.3 Mira Hush" in page
    assert "from 0.2 s" in page


def test_a_gallery_of_tops_is_picked_from_upsampled_and_continued(finished, tmp_path, capsys):
    songs = f"run_dir={finished}", f"session={tmp_path}"
    cli_main([*songs, "seconds=0.5", "hop_fraction=1", "levels=2", "candidates=2", "artist=Ada Bell"])
    cli_main([*songs, "mode=pick", "node=seed_1"])
    cli_main([*songs, "mode=upsample", f"out={tmp_path / 'whole'}"])
    cli_main([*songs, "mode=extend", "node=whole", "seconds=0.6", f"out={tmp_path / 'longer'}"])
    capsys.readouterr()
    cli_main([f"session={tmp_path}", "mode=show"])
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path),
        "├── seed_0: new, seed 0, Ada Bell; 0.5 of 0.5 s at levels 2",
        "└── seed_1 (picked): new, seed 1, Ada Bell; 0.5 of 0.5 s at levels 2",
        "    └── whole: upsample, seed 1, Ada Bell; 0.5, 0.5, 0.5 of 0.5 s at levels 0, 1, 2",
        "        └── longer: extend, seed 1, Ada Bell; 0.6, 0.6, 0.6 of 0.6 s at levels 0, 1, 2",
    ]
    assert json.loads((tmp_path / "longer/request.json").read_text())["params"]["hop_fraction"] == 1
    assert soundfile.info(tmp_path / "seed_1/song.wav").duration == pytest.approx(0.5, abs=HOPS[2] / RATE)


def test_a_recording_of_another_rate_is_gone_on_from(finished, tmp_path):
    soundfile.write(tmp_path / "tone.flac", np.sin(np.arange(44_100) / 20) / 2, 44_100)
    codes = sample(finished, tmp_path / "song", f"prompt={tmp_path / 'tone.flac'}", "prompt_seconds=0.3")
    with np.load(tmp_path / "song/prompt.npz") as prompt:
        assert len(prompt["level_2"]) == 0.3 * RATE // HOPS[2]
        assert all((codes[level][: len(begun)] == begun).all() for level, begun in prompt.items())


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
    "too wide a step": (["hop_fraction=1.5"], r"hop_fraction must lie in \(0, 1\], found 1.5"),
    "no temperature": (["temperature=0"], "temperature must be above zero, found 0"),
    "a negative seed": (["seed=-1"], "seed=-1: expected a whole number of at least 0"),
    "no candidates": (["candidates=0"], "candidates=0: expected a whole number of at least 1"),
    "several in one folder": (["candidates=2"], "out is one song, and candidates=2 are several"),
    "a level that is none": (["levels=3"], "levels=3: expected 0 to 2, the lowest level to sample; 2 is the top alone"),
    "weights of no kind": (["weights=int3"], "must be one of .*, found 'int3'"),
    "an unknown mode": (["mode=extnd"], "unknown mode 'extnd', nearest is 'extend'; known are new, extend, cut"),
    "an unknown node": (["mode=extend", "node=seed_7"], "has no node 'seed_7': it has none yet"),
    "no node": (["mode=cut", "at=0.2"], "node is missing: give node=ID"),
    "no moment": (["mode=cut", "at=soon"], "at=soon: expected a number"),
    "what another mode is told": (["at=0.2"], "at means nothing to mode=new, only to mode=cut"),
    "another session": (["session=elsewhere"], "out=.* is no folder of session=elsewhere: give one of the two"),
    "no folder to write to": (
        ["out=/dev/null/song"],
        "out=/dev/null/song cannot be made: Not a directory; choose another folder",
    ),
    "no prompt": (["prompt=nowhere.wav"], "prompt=nowhere.wav cannot be read: No such file"),
    "a blend of strangers": (["artist={Ada Bel: 1}"], "unknown artist 'Ada Bel': .*nearest are 'Ada Bell'"),
    "a blend without weight": (["artist={Ada Bell: 0}"], "the weight of artist 'Ada Bell' must be a number above zero"),
    "no schedule": (["schedule=nowhere.yaml"], "schedule=nowhere.yaml cannot be read"),
    "a schedule of words": (["schedule=[la]"], "a section has at, and any of artist, genre and lyrics; found 'la'"),
    "a section without a start": (["schedule=[{artist: Ada Bell}]"], "a section has at, and any of"),
    "a section of another kind": (["schedule=[{at: 0.1, artst: Ada Bell}]"], "a section has at, and any of"),
    "a section after the end": (["schedule=[{at: 9, artist: Ada Bell}]"], "sections must begin one after the other"),
}


@pytest.mark.parametrize(("words", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(finished, tmp_path, capsys, words, told):
    with pytest.raises(SystemExit) as stopped:
        sample(finished, tmp_path / "song", *words)
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert re.search(told, line), line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("told", [{"RANK": "1"}, {"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "first", "WORLD_SIZE": "2"}])
def test_a_process_that_is_told_half_of_its_place_says_so(finished, tmp_path, capsys, monkeypatch, told):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="2"):
        sample(finished, tmp_path / "song")
    assert re.fullmatch(r"error: RANK=\w+ WORLD_SIZE=\w+ in the environment: unset .*\n", capsys.readouterr().err)


def test_a_warning_is_one_line(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    command.run(lambda config: None, "sample", [])
    ours, theirs = ((UserWarning("a long song"), UserWarning, module.__file__, 3) for module in (command, re))
    assert warnings.formatwarning(*ours) == "warning: a long song\n"
    assert warnings.formatwarning(*theirs) == "__init__.py:3: UserWarning: a long song\n"


def test_a_bundle_without_a_level_names_it(finished, tmp_path, capsys):
    run_dir = Path(shutil.copytree(finished, tmp_path / "run"))
    record = json.loads((run_dir / "bundle.json").read_text())
    del record["priors"]["1"]
    (run_dir / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match="2"):
        sample(run_dir, tmp_path / "out")
    assert "has no prior for level [1]; train it with recipe=hierarchy" in capsys.readouterr().err
