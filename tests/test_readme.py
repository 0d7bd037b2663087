"""What the README says works: its Python as it stands, its command lines for real where they are cheap, else as composed."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

import jukebox_pl
from datamodules.demo import write_demo_catalog
from jukebox_pl import SongRequest, app, convert, evaluate, fit, prepare, sample
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.cli import command
from jukebox_pl.types import Section

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:^    .*\n?(?:\n(?=    ))*)+", README, re.M)
PYTHON = [block for block in BLOCKS if block.lstrip().startswith("from jukebox_pl")]
LINES = [line.strip() for block in BLOCKS for line in block.splitlines()] + re.findall(r"`(python -m [^`]*)`", README)
COMMANDS = sorted({found[1] for line in LINES for found in re.finditer(r"python -m (jukebox_pl\.[^#&]*)", line)})
MAINS = {"fit": fit, "sample": sample, "prepare": prepare, "evaluate": evaluate, "convert": convert, "app": app}


def words_of(line: str) -> list[str]:
    """A command of the README with something for each placeholder, and none of `…`, which stands for words left out."""
    return [word for word in shlex.split(line) if word != "…"]


def test_the_readme_has_commands_and_python():
    assert len(COMMANDS) >= 14
    assert len(PYTHON) == 1


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_composes(line, capsys):
    module, *words = words_of(line)
    if "--help" in words:
        return
    for name, resolver in fit.RESOLVERS.items():
        command.OmegaConf.register_new_resolver(name, resolver, replace=True)
    command.run(lambda config: pytest.fail("it ran"), module.partition(".")[2], [*words, command.PRINT])
    assert not capsys.readouterr().err


def test_the_python_of_the_readme_runs(finished, capsys):
    code = PYTHON[0].replace("runs/mine", str(finished)).replace("seconds=5", "seconds=1")
    known = jukebox_pl.load_bundle(finished).labellers[2].genres.names[-1]
    code = code.replace('genres="Waltz"', f"genres={known!r}")
    names: dict = {}
    exec("\n".join(line[4:] for line in code.splitlines()), names)
    song, codes, bundle = names["song"], names["codes"], names["bundle"]
    assert len(codes) == len(bundle.vqvae.hops)
    assert not song.audio.is_inference()
    assert not any(rows.is_inference() for rows in song.codes.values())
    trained_on = bundle.vqvae.decode(song.codes[0][None]).pow(2).mean()
    trained_on.backward()  # what was sampled may be trained on
    assert any(weights.grad is not None and weights.grad.isfinite().all() for weights in bundle.vqvae.parameters())
    chunks = list(names["sampler"].stream(SongRequest(seconds=0.5)))
    assert not any(chunk.audio.is_inference() for chunk in chunks)
    assert not any(rows.is_inference() for rows in names["sampler"].encode(song.audio).values())


@pytest.mark.slow
def test_the_cheap_commands_of_the_readme_run(finished, tmp_path, monkeypatch, capsys):
    """`prepare`, and a song that is sampled at the top, then upsampled, from a copy of the bundle."""
    bundle = shutil.copytree(finished / "bundle", tmp_path / "bundle")
    songs = write_demo_catalog(tmp_path / "SONGS", songs=3, seconds=3.0).parent
    monkeypatch.chdir(songs.parent)
    done = 0
    for line in COMMANDS:
        module, *words = words_of(line)
        if module == "jukebox_pl.prepare" and words == ["catalog=SONGS", "out=SHARDS"]:
            command.run(prepare.main, "prepare", [*words, "workers=0"])
            done += 1
    assert Catalog.load("SHARDS").sample_rate == 44100
    sung = [words_of(line)[1:] for line in re.findall(r"jukebox_pl.sample [^#\n]*", README) if "run_dir=RUN" in line]
    for words in (words for words in sung if "levels=2" in words or "mode=upsample" in words):
        settings = {"seconds=30": "seconds=0.5", "run_dir=RUN": f"bundle={bundle}"}
        sample.cli_main([*(settings.get(word, word) for word in words), "session=s"])
        done += 1
    assert done == 4
    assert len(list((tmp_path / "s").glob("*/song.wav"))) == 5


def test_the_package_lists_what_there_is():
    assert {"Sampler", "SongRequest", "SamplingParams", "load_bundle"} <= set(dir(jukebox_pl))
    assert all(getattr(jukebox_pl, name) for name in dir(jukebox_pl))


def test_a_name_alone_is_one_genre():
    expected = SongRequest(genres=("Waltz",))
    assert SongRequest(genres="Waltz") == SongRequest(genres=["Waltz"]) == expected
    assert Section(1.0, genres="Waltz").genres == ("Waltz",)


def test_the_sampler_takes_a_genre_as_one_name(finished):
    bundle = jukebox_pl.load_bundle(finished)
    sampler = jukebox_pl.Sampler(bundle.vqvae, bundle.priors, bundle.labellers, bundle.sample_rate)
    known = bundle.labellers[2].genres.names[-1]
    first, again = (sampler.sample(SongRequest(genres=genres, seconds=0.5)) for genres in (known, (known,)))
    assert torch.equal(first.audio, again.audio)
