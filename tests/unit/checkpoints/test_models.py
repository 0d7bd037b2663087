import hashlib
import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_run import save_singing_run

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary

VQVAE = {
    "_target_": "jukebox_pl.models.vqvae.VQVAE",
    "bins": 16,
    "code_dim": 4,
    "width": 4,
    "depth": 1,
    "multipliers": [1, 1],
}
VQVAE |= {"downs": [2, 1], "strides": [2, 2]}
TRANSFORMER = {"_target_": "jukebox_pl.nn.transformer.Transformer", "width": 8, "heads": 2, "pattern": "RCP"}
PRIOR = {"_target_": "jukebox_pl.models.prior.Prior", "bins": 16, "transformer": TRANSFORMER | {"ctx": 16, "block": 4}}
LABELLER = Labeller(Vocabulary(["Anna"]), Vocabulary(["folk"]), Characters("abc"), lyric_tokens=4)


def saved(folder, config, seed=0):
    torch.manual_seed(seed)
    model = checkpoints.build(config)
    checkpoints.save_state(folder, model.state_dict(), config, LABELLER)
    return model


@pytest.fixture
def bundle(tmp_path):
    saved(tmp_path / "vqvae", VQVAE)
    for level in (0, 1):
        saved(tmp_path / f"prior_{level}", PRIOR)
    checkpoints.save_bundle(tmp_path, 8000, "vqvae", {0: "prior_0", 1: "prior_1"})
    return tmp_path


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_network_comes_back_as_it_was(tmp_path):
    model = saved(tmp_path, PRIOR)
    loaded = checkpoints.load(tmp_path)
    codes = torch.randint(16, (1, 9))
    assert loaded.model(codes, loaded.model.condition()).equal(model.eval()(codes, model.condition()))
    assert loaded.labeller.to_config() == LABELLER.to_config()
    assert loaded.fingerprint == checkpoints.fingerprint(tmp_path)


def test_other_weights_have_another_fingerprint(tmp_path):
    saved(tmp_path / "a", PRIOR, seed=0)
    saved(tmp_path / "b", PRIOR, seed=1)
    assert checkpoints.fingerprint(tmp_path / "a") != checkpoints.fingerprint(tmp_path / "b")


def test_a_bundle_holds_a_prior_and_a_labeller_for_every_level(bundle):
    loaded = checkpoints.load_bundle(bundle)
    assert loaded.priors.keys() == loaded.labellers.keys() == {0, 1}
    assert loaded.vqvae.hops == (4, 8)
    assert loaded.sample_rate == 8000


def test_the_head_that_follows_the_lyrics_is_noted(bundle, tmp_path):
    assert checkpoints.load_bundle(bundle).lyrics_head is None  # as in bundles of before
    singing = save_singing_run(tmp_path / "singing")
    assert checkpoints.load_bundle(singing).lyrics_head == checkpoints.LyricsHead(level=2, layer=3, head=1)


@pytest.mark.parametrize("head", [{"level": 1}, {"layer": 2}, {"head": 2}])
def test_a_head_that_sees_no_lyrics_is_told(tmp_path, head):
    singing = save_singing_run(tmp_path)
    rewrite(singing / "bundle.json", lyrics_head={"level": 2, "layer": 3, "head": 1} | head)
    with pytest.raises(UserError, match="which sees no lyrics"):
        checkpoints.load_bundle(singing)


def test_priors_of_a_bundle_may_be_loaded_when_they_are_looked_up(bundle):
    loaded, lazy = checkpoints.load_bundle(bundle), checkpoints.load_bundle(bundle, lyrics_as_codes=True, at_once=False)
    assert lazy.labellers.keys() == lazy.priors.keys() == {0, 1}
    assert 0 in lazy.priors
    assert lazy.priors[0] is not lazy.priors[0]
    assert lazy.priors[0].lyrics_as_codes
    assert lazy.priors[0].embed.weight.equal(loaded.priors[0].embed.weight)


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def swap(folder):
    saved(folder, PRIOR | {"bins": 8})
    rewrite(folder / "config.json", model=PRIOR)


@pytest.mark.parametrize("damage", [cut, swap])
def test_weights_that_cannot_be_loaded_are_told_before_anything_is_sampled(bundle, damage):
    damage(bundle / "prior_0")
    rewrite(bundle / "bundle.json", fingerprints={})
    with pytest.raises(UserError, match=r"prior_0.model.safetensors does not hold the weights of"):
        checkpoints.load_bundle(bundle, at_once=False)


@pytest.mark.parametrize(
    "target", ["os.system", "torch.hub.load", "jukebox_pl.models.prior.torch", "jukebox_pl.checkpoints.models.Bundle"]
)
def test_a_config_builds_nothing_but_networks_of_trusted_packages(target):
    with pytest.raises(UserError, match="the config names"):
        checkpoints.build({"_target_": target, "command": "true"})


def test_configs_of_version_0_1_0_are_built():
    """They say `emb` and `growth`; the networks may have other names for both."""
    vqvae = checkpoints.build(VQVAE | {"emb": 4, "growth": 2})
    assert vqvae.levels[0].codebook.codes.shape == (16, 4)
    upper = {"_target_": "jukebox_pl.models.conditioners.UpperCodesConditioner", "width": 8, "bins": 16, "growth": 2}
    assert checkpoints.build(upper | {"conv_width": 4, "depth": 2}) is not None


class Foreign(torch.nn.Module):
    def __init__(self, emb):
        super().__init__()
        self.emb = emb


def test_arguments_of_networks_that_are_not_ours_keep_their_names():
    assert checkpoints.build({"_target_": f"{__name__}.Foreign", "emb": 4}, (__name__,)).emb == 4


def test_a_trusted_package_is_built_when_it_is_named():
    assert isinstance(checkpoints.build({"_target_": "torch.nn.modules.activation.ReLU"}, ("torch.nn.",)), torch.nn.ReLU)


def test_a_model_trained_again_is_not_mixed_with_the_others(bundle):
    saved(bundle / "vqvae", VQVAE, seed=1)
    with pytest.raises(UserError, match=r"vqvae was trained again since .*finish recipe=hierarchy"):
        checkpoints.load_bundle(bundle)


def test_a_bundle_without_a_level_says_which(bundle):
    rewrite(bundle / "bundle.json", priors={"1": "prior_1"})
    with pytest.raises(UserError, match=r"no prior for level \[0\]"):
        checkpoints.load_bundle(bundle)


def test_a_bundle_does_not_reach_outside_its_folder(bundle):
    rewrite(bundle / "bundle.json", fingerprints={"../elsewhere": "x"})
    with pytest.raises(UserError, match="lies outside the bundle"):
        checkpoints.load_bundle(bundle)


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"<html>not found</html>"])
def test_damaged_weights_are_named(tmp_path, damage):
    saved(tmp_path, PRIOR)
    path = tmp_path / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"model.safetensors"):
        checkpoints.load(tmp_path)


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(UserError, match=r"does not hold a trained model: there is no config.json"):
        checkpoints.load(tmp_path)


def change_weights(folder, change):
    """Writes other numbers into the weights of a folder, beside the config that was saved with the first ones."""
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


def poison(state):
    next(iter(state.values())).view(-1)[-1] = torch.nan


@pytest.mark.parametrize("of_version_0_1_0", [False, True])
def test_other_weights_of_the_same_shapes_are_told(bundle, of_version_0_1_0):
    if of_version_0_1_0:  # it named the weights alone
        data = (bundle / "prior_0/model.safetensors").read_bytes()
        rewrite(bundle / "prior_0/config.json", fingerprint=hashlib.sha256(data).hexdigest()[:16])
    rewrite(bundle / "bundle.json", fingerprints={})
    checkpoints.load_bundle(bundle)
    change_weights(bundle / "prior_0", lambda state: state["embed.weight"].mul_(2))
    with pytest.raises(UserError, match=r"prior_0: model.safetensors or config.json was changed since they were saved"):
        checkpoints.load_bundle(bundle)


def test_the_same_weights_under_another_config_are_told(bundle):
    """Twice as many heads, or other letters, have the same shapes and write other songs."""
    model = PRIOR | {"transformer": PRIOR["transformer"] | {"heads": 1}}
    rewrite(bundle / "prior_0/config.json", model=model)
    with pytest.raises(UserError, match="was changed since they were saved"):
        checkpoints.load_bundle(bundle)


def test_weights_that_are_no_numbers_are_told_where_they_are_opened(tmp_path):
    model = checkpoints.build(PRIOR)
    poison(state := model.state_dict())
    checkpoints.save_state(tmp_path, state, PRIOR, LABELLER)
    with pytest.raises(UserError, match=r"positions holds numbers that are not finite"):
        checkpoints.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ctx": 10**6}, "does not hold the weights of"),
        ({"width": 2**40}, r"Expected `int` <= .* at `\$.transformer.width`"),
        ({"pattern": "R*2000"}, "more than 1024 layers"),
        ({"pattern": "R" * 10**6}, "length <= 10000"),
        ({"heads": "2"}, r"Expected `int`, got `str` - at `\$.transformer.heads`"),
        ({"heads": 3}, "does not divide into 3 heads"),
        ({"unheard_of": 1}, "unexpected keyword argument 'unheard_of'"),
    ],
)
def test_a_config_out_of_all_measure_is_told_before_memory_is_taken(bundle, change, told):
    rewrite(bundle / "prior_0/config.json", model=PRIOR | {"transformer": PRIOR["transformer"] | change})
    with pytest.raises(UserError, match=told):
        checkpoints.load_bundle(bundle, at_once=False)


@pytest.mark.parametrize(
    "change", [{"depth": 1024}, {"strides": [64, 64], "downs": [16, 16]}, {"dilation_growth": 64, "depth": 16}]
)
def test_sizes_that_are_too_much_together_are_told(change):
    with pytest.raises(UserError, match="these sizes together make more than"):
        checkpoints.build(VQVAE | {"downs": [8, 8]} | change)


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("prior_0/config.json", {"model": PRIOR | {"bins": 8}}, "does not hold"),
        ("prior_0/config.json", {"labeller": None}, "has no labeller"),
        ("bundle.json", {"vqvae": "prior_0"}, "expected a VQVAE and a Prior"),
        ("bundle.json", {"priors": {"0": "vqvae", "1": "prior_1"}}, "expected a VQVAE and a Prior"),
        ("bundle.json", {"priors": {"0": "prior_0", "1": "prior_1", "2": "prior_1"}}, "its VQ-VAE has levels 0 to 1"),
        ("bundle.json", {"sample_rate": "8000"}, "does not fit at sample_rate: Expected `int`, got `str`"),
        ("bundle.json", {"vqvae": "../elsewhere"}, "lies outside the bundle"),
        ("bundle.json", {"vqvae": "a\0b", "fingerprints": {}}, "which is no folder: embedded null byte"),
        ("bundle.json", {"vqvae": "n" * 300, "fingerprints": {}}, "File name too long"),
    ],
)
def test_parts_that_were_not_made_for_each_other_are_told(bundle, file, change, told):
    rewrite(bundle / file, **change)
    with pytest.raises(UserError, match=told):
        checkpoints.load_bundle(bundle, at_once=False)


def test_a_pipe_in_the_place_of_weights_is_told(bundle):
    (bundle / "vqvae/model.safetensors").unlink()
    os.mkfifo(bundle / "vqvae/model.safetensors")
    with pytest.raises(UserError, match="does not hold the weights of"):
        checkpoints.load_bundle(bundle)
