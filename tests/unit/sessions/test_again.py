import shlex
from types import SimpleNamespace

import pytest
from small_run import sample

from jukebox_pl.checkpoints import AdapterUse
from jukebox_pl.cli import command, sample_arguments
from jukebox_pl.cli.sample_arguments import command_of
from jukebox_pl.sample import names_in
from jukebox_pl.sessions.again import as_hydra, command_again
from jukebox_pl.sessions.models import Computing
from jukebox_pl.sessions.nodes import Node
from jukebox_pl.sessions.operations import OPERATIONS, requested_node
from jukebox_pl.sessions.prompts import Prompt
from jukebox_pl.types import SamplingParams, Section, SongRequest

SCHEDULE = (Section(0.5, "Ben", ("folk", "jazz"), "it's\n[a] {b}: c, d"), Section(1.0, {"Anna": 0.5, "Ben": 1.5}))
REQUESTS = {
    "plain": SongRequest("Anna", ("folk",), "la la\nla's \\'", 1.6),
    "part": SongRequest("", ("folk", "jazz"), "", 1.6, total_seconds=60.0, offset_seconds=3.25),
    "blend": SongRequest({"Anna": 0.7, "Ben": 0.3}, {"folk": 1.0, "jazz": 2.0}, "[Chorus]\nla (x2)", 1.6),
    "scheduled": SongRequest("O'Hara, 1984; & {co}", (), "la", 1.6, schedule=SCHEDULE),
    "a number": SongRequest("1e5", ("null",), "la", 1.6),
}
PARAMS = {
    "usual": SamplingParams(),
    "others": SamplingParams((0.9, 0.8, 0.7), 20, 0.9, 0.25, (4, 2, 1), 1.5),
}


def asked(line, base, parent=None):
    """The node that a command line asks for."""
    _, _, module, *words = shlex.split(line)
    assert module == "jukebox_pl.sample"
    config = command.compose_config("sample", command.as_typed("sample", words))
    overrides = command_of(config, names_in(words), None).overrides
    return config, requested_node(base, overrides, parent)


@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_new_song_is_asked_for_again_in_full(context, name, params):
    computing = Computing("bfloat16", "int8", True) if name == "part" else Computing()
    node = Node("new", REQUESTS[name], PARAMS[params], 7, 1 if name == "part" else 0, context.pool.models, computing)
    line = command_again(context.pool.run_dir, context.session, "seed_7", node)
    empty = Node("new", SongRequest(), SamplingParams(), 0, 0, context.pool.models, Computing())
    config, again = asked(line, empty)
    assert again == node
    assert config.run_dir == str(context.pool.run_dir)
    assert config.session == str(context.session.folder)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("extend", {"seconds": 2.4}),
        ("cut", {"at": 0.8}),
        ("regenerate", {"from": 0.4, "to": 0.8, "seed": 9, "artist": "Ben"}),
        ("upsample", {"seed": 4}),
    ],
)
def test_a_song_made_of_another_is_asked_for_again(context, songs, mode, words):
    name = "top" if mode == "upsample" else "whole"
    sample(context, mode, node=name, name="child", **words)
    session = context.session
    node, parent = session.node("child"), session.node(name)
    config, again = asked(
        command_again(context.pool.run_dir, session, "child", node), OPERATIONS[mode].child(mode, name, parent), parent
    )
    assert (config.mode, config.node) == (mode, name)
    assert again.config() == node.config()


USES = {
    "none": {},
    "one": {"runs/one/adapter.safetensors": {0: 1.0, 2: 1.0}},
    "two alike": {"a": {0: 0.5, 2: 0.5}, "b": {0: 0.5, 2: 0.5}},
    "two": {"a b, {c}: (d)=[e]": {0: 0.5, 2: 0.5}, "b\\": {0: 0.0, 1: 0.0, 2: -1.0}},
    "by level": {"a": {0: 0.5, 1: 0.0, 2: 1.5}},
}


@pytest.mark.parametrize("given", USES.values(), ids=USES)
def test_adapters_and_their_strengths_are_laid_over_again(context, given, monkeypatch):
    record = SimpleNamespace(levels={"0": None, "2": None})
    uses = [AdapterUse(SimpleNamespace(path=path, record=record), strengths) for path, strengths in given.items()]
    node = Node("new", SongRequest(), SamplingParams(), 7, 0, context.pool.models, Computing())
    line = command_again(context.pool.run_dir, context.session, "seed_7", node, adapters=uses)
    monkeypatch.setattr(sample_arguments, "read_adapter", lambda path: SimpleNamespace(path=str(path), record=record))
    again = sample_arguments.adapters_of(command.compose_config("sample", command.as_typed("sample", shlex.split(line)[3:])))
    assert {use.adapter.path: use.strengths for use in again} == given


def test_a_prompt_is_where_its_codes_are(context, songs):
    prompt = context.session.place("whole") / "codes.npz"
    sample(context, name="primed", prompt=Prompt(prompt, 0.8), seed=5)
    line = command_again(context.pool.run_dir, context.session, "primed", context.session.node("primed"))
    assert f"prompt={context.session.place('primed') / 'prompt.npz'}" in shlex.split(line)


def test_the_page_of_a_song_has_its_levels_its_command_and_its_family(context, songs, monkeypatch):
    pages, linked = {}, []

    def write(folder, song, hops, others, **page):
        pages[folder.name] = page | {"lengths": {name: len(sound) / song.audio.shape[-1] for name, sound in others.items()}}
        (folder / "index.html").touch()

    monkeypatch.setattr("jukebox_pl.sessions.jobs.write_song_page", write)
    monkeypatch.setattr("jukebox_pl.sessions.jobs.link_child", lambda folder, child: linked.append((folder.name, child)))
    sample(context, "regenerate", node="whole", name="child", seed=9, **{"from": 0.4, "to": 0.8})
    assert "mode=regenerate node=whole from=0.4 to=0.8 seed=9" in pages["child"]["command"]
    assert pages["child"]["lengths"] == {"level 1": 1, "level 2": 1}
    assert pages["child"]["parent"] == "whole"
    assert linked == [("whole", "child")]


@pytest.mark.parametrize(
    ("value", "word"), [("Ada Bell", "Ada Bell"), ("true", "'true'"), ("a, b", "'a, b'"), (None, "null")]
)
def test_texts_that_hydra_would_read_otherwise_are_quoted(value, word):
    assert as_hydra(value) == word
