"""Adapters on disk: nothing at strength 0, what was trained at 1; they add up; another's and broken ones are named."""

import math

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from jukebox_pl import checkpoints
from jukebox_pl.checkpoints import AdapterUse, load_bundle, read_adapter
from jukebox_pl.errors import UserError
from jukebox_pl.models.surgery import grown_state
from jukebox_pl.nn.adapters import AdapterConfig
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.training.tuning import AdapterTuning, Base
from jukebox_pl.types import Song

BINS, RATE, LEVEL = 16, 11025, 1
TRANSFORMER = {"_target_": "jukebox_pl.nn.transformer.Transformer", "width": 8, "heads": 1, "ctx": 16, "block": 4}
VQVAE = {"bins": BINS, "downs": [1, 1], "strides": [2, 2], "multipliers": [1, 1], "width": 4, "depth": 1, "code_dim": 4}
KNOWN = Labeller(Vocabulary(["Anna", "Ben"]), Vocabulary(["Folk"]), Characters("ab"), 8)


def prior_config(lyrics):
    labels = {"_target_": "jukebox_pl.models.conditioners.LabelConditioner", "width": 8, "artists": 3, "genres": 2}
    config = {"_target_": "jukebox_pl.models.prior.Prior", "bins": BINS, "conditioners": {"labels": labels}}
    if lyrics == "encoder":
        encoder = {"_target_": "jukebox_pl.models.conditioners.LyricsEncoder", "vocabulary": 3, "width": 8}
        inner = TRANSFORMER | {"pattern": "R", "ctx": 8}
        return config | {"transformer": TRANSFORMER | {"pattern": "RCX"}, "lyrics": encoder | {"transformer": inner}}
    if lyrics == "joint":
        return config | {"vocabulary": 3, "transformer": TRANSFORMER | {"pattern": "RL", "ctx": 24, "prefix": 8, "block": 8}}
    return config | {"transformer": TRANSFORMER | {"pattern": "RC"}}


@pytest.fixture(params=["encoder", "joint", "none"])
def folder(request, tmp_path):
    """A bundle whose prior of level 1 has what the parameter says of lyrics."""
    torch.manual_seed(0)
    configs = {"vqvae": {"_target_": "jukebox_pl.models.vqvae.VQVAE", **VQVAE}, "prior_1": prior_config(request.param)}
    upper = {"_target_": "jukebox_pl.models.conditioners.UpperCodesConditioner", "width": 8, "bins": BINS, "downs": 1}
    bottom = prior_config("none")
    bottom["conditioners"] |= {"upper": upper | {"conv_width": 4, "depth": 1}}
    for name, config in {**configs, "prior_0": bottom}.items():
        network = checkpoints.build(config)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        checkpoints.save_state(tmp_path / "base" / name, network.state_dict(), config, KNOWN)
    checkpoints.save_bundle(tmp_path / "base", RATE, "vqvae", {0: "prior_0", LEVEL: "prior_1"})
    return tmp_path / "base"


NEW = Labeller(Vocabulary(["Cleo", "Anna"]), Vocabulary(["Polka"]), Characters("bc"), 8)


def tuned(folder, path, layers, catalog=NEW, seed=1, codes=False):
    """The prior of level 1 as if it had been trained, and its labeller; its adapter is at `path`."""
    place = folder / "prior_1"
    before, labeller = checkpoints.load(place).model, KNOWN.extended(catalog)
    config = checkpoints.with_tables_for(checkpoints.read_config(place).model, labeller)
    prior = checkpoints.assemble(config, grown_state(before, KNOWN, labeller))
    tuning = AdapterTuning(layers=layers, codes=codes)
    tuning.prepare(prior)
    generator = torch.Generator().manual_seed(seed)
    trained = {name: parameter for name, parameter in prior.named_parameters() if parameter.requires_grad}
    with torch.no_grad():
        for parameter in trained.values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    tuning.save(path, Base("base", LEVEL, checkpoints.fingerprint(place)), trained, None, labeller)
    return prior, labeller


SONG = Song("s", 1000, RATE, artist="Anna", genres=("Folk",), lyrics="abba")
CODES = torch.randint(BINS, (1, 16), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def logits(prior, labeller, **fields):
    labels = labeller.labels(Song(**(vars(SONG) | fields)), 0, 500)
    return prior(CODES[:, :-1], prior.condition(type(labels)(*(field[None] for field in labels))))


def laid(folder, *uses):
    bundle = load_bundle(folder, adapters=[AdapterUse(read_adapter(path / "adapter.safetensors"), by) for path, by in uses])
    return bundle.priors[LEVEL], bundle.labellers[LEVEL]


layers = pytest.mark.parametrize("layers", [AdapterConfig(rank=2), AdapterConfig("dora", rank=2), None])


@pytest.mark.parametrize("codes", [False, True])
@layers
def test_strength_1_is_what_was_trained_and_0_is_the_base(folder, tmp_path, layers, codes):
    prior, labeller = tuned(folder, tmp_path, layers, codes=codes)
    base = load_bundle(folder)
    now, names = laid(folder, (tmp_path, {LEVEL: 1.0}))
    assert names.to_config() == labeller.to_config()
    for fields in ({}, {"artist": "Cleo", "genres": ("Polka",), "lyrics": "cab"}):
        assert torch.allclose(logits(now, names, **fields), logits(prior, labeller, **fields), atol=1e-5)
    off, names = laid(folder, (tmp_path, {LEVEL: 0.0}))
    assert torch.allclose(logits(off, names), logits(base.priors[LEVEL], base.labellers[LEVEL]), atol=1e-6)
    assert not torch.allclose(logits(off, names), logits(now, names), atol=1e-3)
    unknown = logits(base.priors[LEVEL], base.labellers[LEVEL], artist="")
    assert torch.allclose(logits(off, names, artist="Cleo"), unknown, atol=1e-6)


def test_two_add_up_and_each_keeps_its_names(folder, tmp_path):
    other = Labeller(Vocabulary(["Dora"]), Vocabulary(["Waltz"]), Characters("ad"), 8)
    tuned(folder, tmp_path / "one", AdapterConfig(rank=2), codes=True)
    tuned(folder, tmp_path / "two", AdapterConfig("dora", rank=3, letters="R"), other, seed=2)
    one, two = (tmp_path / "one", {LEVEL: 0.5}), (tmp_path / "two", {LEVEL: 0.25})
    both, names = laid(folder, one, two)
    assert names.artists.names == ["unknown", "Anna", "Ben", "Cleo", "Dora"]
    assert names.characters.characters == "abcd"
    states = [dict(prior.named_parameters()) for prior in (both, load_bundle(folder).priors[LEVEL])]
    alone = [dict(laid(folder, use)[0].named_parameters()) for use in (one, two)]
    matrix = "transformer.blocks.0.mlp.0.weight"
    added = sum(part[matrix] - states[1][matrix] for part in alone)
    assert torch.allclose(states[0][matrix] - states[1][matrix], added, atol=1e-6)
    artist = "conditioners.labels.artist.weight"
    assert torch.allclose(states[0][artist][1], alone[0][artist][1] + alone[1][artist][1] - states[1][artist][1], atol=1e-6)
    only_one, its_names = laid(folder, one, (tmp_path / "two", {LEVEL: 0.0}))
    assert torch.allclose(logits(only_one, its_names, artist="Cleo"), logits(*laid(folder, one), artist="Cleo"), atol=1e-6)


def test_a_loaded_prior_is_plain_again_and_may_be_narrow(folder, tmp_path):
    tuned(folder, tmp_path, AdapterConfig(rank=2))
    use = AdapterUse(read_adapter(tmp_path / "adapter.safetensors"), {LEVEL: 1.0})
    whole, narrow = (load_bundle(folder, dtype=dtype, adapters=[use]).priors for dtype in (torch.float32, torch.bfloat16))
    assert {type(module).__name__ for module in whole[LEVEL].transformer.blocks[0].mlp} == {"Linear", "QuickGELU"}
    assert narrow[LEVEL].transformer.dtype == torch.bfloat16
    lazy = load_bundle(folder, at_once=False, adapters=[use])
    assert lazy.priors[LEVEL].state_dict().keys() == whole[LEVEL].state_dict().keys()


@layers
def test_a_merged_bundle_is_what_was_laid_over(folder, tmp_path, layers):
    tuned(folder, tmp_path, layers)
    use = AdapterUse(read_adapter(tmp_path / "adapter.safetensors"), {LEVEL: 0.7})
    checkpoints.save_merged(tmp_path / "merged", folder, [use])
    merged, laid_over = load_bundle(tmp_path / "merged"), load_bundle(folder, adapters=[use])
    for level in (0, LEVEL):
        states = [bundle.priors[level].state_dict() for bundle in (merged, laid_over)]
        assert all(states[0][name].equal(tensor) for name, tensor in states[1].items())
        assert merged.labellers[level].to_config() == laid_over.labellers[level].to_config()
    with pytest.raises(UserError, match="is for level 1 of another bundle"):
        load_bundle(tmp_path / "merged", adapters=[use])


@pytest.fixture
def file(folder, tmp_path):
    tuned(folder, tmp_path, AdapterConfig(rank=2))
    return tmp_path / "adapter.safetensors"


def rewritten(file, change):
    """The file once more after `change` of its tensors and its metadata."""
    with safe_open(file, "pt") as opened:
        tensors, metadata = {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()  # noqa: SIM118
    metadata = change(tensors, metadata) or metadata
    save_file(tensors, file, metadata)


def test_an_adapter_of_another_bundle_is_named(folder, file):
    checkpoints.save_state(folder / "prior_1", checkpoints.load(folder / "prior_1").model.state_dict(),
                           checkpoints.read_config(folder / "prior_1").model, NEW)  # fmt: skip
    checkpoints.save_bundle(folder, RATE, "vqvae", {0: "prior_0", LEVEL: "prior_1"})
    with pytest.raises(UserError, match=r"is for level 1 of another bundle, base \(\w{16}\), not for this one \(\w{16}\)"):
        laid(folder, (file.parent, {LEVEL: 1.0}))


def first(tensors):
    return next(name for name in tensors if name.endswith(".up"))


CHANGES = {
    "a tensor is missing": (lambda t, m: t.pop(first(t)) is None, "has None, expected"),
    "another shape": (lambda t, m: t.update({first(t): torch.zeros(3, 3)}), r"has \[3, 3\], expected"),
    "one too many": (lambda t, m: t.update({"1.start": torch.zeros(3)}), r"start has \[3\], expected None"),
    "no number": (lambda t, m: t.update({first(t): torch.full_like(t[first(t)], math.nan)}), "no finite number"),
    "whole numbers": (lambda t, m: t.update({first(t): torch.zeros(t[first(t)].shape, dtype=torch.int64)}), "finite"),
    "no metadata": (lambda t, m: {"format": "pt"}, "is no adapter of this library"),
    "rank 0": (lambda t, m: {"jukebox_pl": m["jukebox_pl"].replace('"rank": 2', '"rank": 0')}, "rank 0 found"),
    "a huge rank": (lambda t, m: {"jukebox_pl": m["jukebox_pl"].replace('"rank": 2', '"rank": 999999999')}, "expected"),
    "another level": (lambda t, m: {"jukebox_pl": m["jukebox_pl"].replace('"1": {', '"5": {')}, "is for level 5"),
    "no JSON": (lambda t, m: {"jukebox_pl": "{"}, "is not JSON"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_damaged_is_named(folder, file, change):
    apply, message = CHANGES[change]
    rewritten(file, lambda tensors, metadata: found if isinstance(found := apply(tensors, metadata), dict) else None)
    with pytest.raises(UserError, match=message):
        laid(folder, (file.parent, {}))


def test_a_file_cut_short_and_one_that_is_not_there_are_named(file):
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(UserError, match="is damaged"):
        read_adapter(file)
    with pytest.raises(UserError, match="there is no adapter"):
        read_adapter(file.with_name("other"))


def test_a_level_that_it_has_not_is_named(file):
    with pytest.raises(UserError, match=r"has no level 0, only 1: give strength 0 there"):
        AdapterUse(read_adapter(file), {0: 0.5, 1: 1.0})
    assert AdapterUse(read_adapter(file), {0: 0.0, 1: 1.0}).strengths[1] == 1.0
