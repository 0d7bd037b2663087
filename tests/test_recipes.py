"""Every recipe at every size composes, its stages take their settings, its networks build; a new YAML joins by itself."""

import inspect
import json
import warnings
from functools import cache
from itertools import takewhile
from types import SimpleNamespace

import pytest
from hydra.utils import get_class, get_object, instantiate
from omegaconf import OmegaConf

from jukebox_pl import checkpoints, fit
from jukebox_pl.cli import command
from jukebox_pl.cli.sample_arguments import params_and_computing
from jukebox_pl.errors import UserError
from jukebox_pl.openai.configs import released_config
from jukebox_pl.openai.hparams import PRIORS
from jukebox_pl.pipeline.stage_folder import OF_THE_RUN
from jukebox_pl.pipeline.train import TrainStage
from jukebox_pl.sessions.models import DTYPES, Computing

FOLDER = command.recipes_folder()
RECIPES, SIZES = (sorted(path.stem for path in (FOLDER / group).glob("*.yaml")) for group in ("recipe", "size"))
HEADED = [*FOLDER.glob("*.yaml"), *FOLDER.glob("recipe/*.yaml"), *FOLDER.glob("size/*.yaml")]
FACTS = {"artists": 5, "genres": 4, "characters": 30, "has_lyrics": True, "max_duration": 1_000_000}
FACTS |= {"alphabet": "abc", "sample_rate": 11025}
# The stage that trains what a released model is, size by size. What differs is left out: the bottom of the small
# hierarchy and its VQ-VAE, the labels of its upsampler.
SAME_SHAPES = {
    "jukebox": {
        "hierarchy/vqvae": "vqvae_jukebox",
        "hierarchy/top_prior": "top_prior_5b",
        "hierarchy/lyrics_prior": "top_prior_5b_lyrics",
        "joint_hierarchy/joint_prior": "top_prior_1b_lyrics",
        "hierarchy/upsampler_1": "upsampler_middle_1b",
        "hierarchy/upsampler_0": "upsampler_bottom_1b",
    },
    "small": {"hierarchy/top_prior": "small_labelled_prior"},
}


@pytest.fixture
def catalog(monkeypatch):
    """The facts of a catalog that nobody had to make; a test may change them."""
    facts = dict(FACTS)
    known = dict.fromkeys(("catalog", "bundle"), lambda path, name: facts[name])
    for name, resolver in (fit.RESOLVERS | known).items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)
    yield facts
    OmegaConf.clear_resolver("catalog")


@cache
def composed(recipe, size, *overrides):
    """The config, with some word for what a user has to give."""
    config = command.compose_config("fit", [f"recipe={recipe}", f"size={size}", *overrides])
    for branch in (config, config.data):
        branch.update({name: "GIVEN" for name in branch if OmegaConf.is_missing(branch, name)})
    return config


def stages_of(*names):
    """The stages of a recipe at a size, everything in them resolved."""
    stages = composed(*names).stages
    return {name: OmegaConf.to_container(stage, resolve=True, throw_on_missing=True) for name, stage in stages.items()}


def network(config):
    return built(json.dumps(config))


@cache
def built(text):
    return checkpoints.on_meta(json.loads(text))


def refused(tree, path=""):
    """Settings that the class or function they are meant for does not take."""
    if isinstance(tree, list):
        tree = dict(enumerate(tree))
    if isinstance(tree, dict):
        yield from (f"{path}.{name}" for name in set(tree) - {"_target_"} - OF_THE_RUN if not taken(tree, name))
        for name, value in tree.items():
            yield from refused(value, f"{path}.{name}")


def taken(tree, name):
    """Whether `_target_`, or a parent that its `**` goes to, has such a parameter. A `**` that goes elsewhere takes all."""
    target = get_object(tree["_target_"]) if "_target_" in tree else None
    built = [owner for owner in inspect.getmro(target)[:-1] if "__init__" in vars(owner)] if inspect.isclass(target) else []
    for owner in built or filter(None, [target]):
        parameters = inspect.signature(owner).parameters.values()
        if name in {parameter.name for parameter in parameters}:
            return True
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return False
    return True


def shapes(config):
    return {name: tuple(tensor.shape) for name, tensor in network(config).state_dict().items()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_stage_takes_its_settings_and_every_network_builds(recipe, size, catalog):
    for name, settings in stages_of(recipe, size).items():
        if not settings.get("when", True):
            continue
        assert not list(refused(settings, name))
        instantiate({key: value for key, value in settings.items() if key not in OF_THE_RUN}, _recursive_=False)
        if settings.get("model"):
            network(settings["model"])


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("stages.vqvae.surprise", "surprise"),
        ("stages.vqvae.data.surprise", "data.surprise"),
        ("size.vqvae.model.surprise", "model.surprise"),
        ("size.vqvae.optim.surprise", "module.optim.surprise"),
    ],
)
def test_a_setting_that_nothing_takes_is_found(setting, place, catalog):
    stages = stages_of("vqvae", "tiny", f"+{setting}=1")
    assert list(refused(stages["vqvae"], "vqvae")) == [f"vqvae.{place}"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_learning_rate_that_a_mistake_names_is_a_setting(recipe, catalog):
    for name, settings in stages_of(recipe, "tiny").items():
        if issubclass(get_class(settings["_target_"]), TrainStage):
            setting = get_class(settings["module"]["_target_"]).optim_setting.format(stage=name)
            changed = stages_of(recipe, "tiny", f"{setting}.lr=0.125")
            assert changed[name]["module"]["optim"]["lr"] == 0.125


def test_a_misspelt_setting_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"did you mean .*max_steps"):
        command.compose_config("fit", ["recipe=hierarchy", "stages.vqvae.max_step=1"])


@pytest.mark.parametrize(
    ("size", "stage", "name"), [(size, *pair) for size, pairs in SAME_SHAPES.items() for pair in pairs.items()]
)
def test_a_size_has_the_shapes_of_the_released_model(size, stage, name, catalog):
    hps = PRIORS.get(name, {})
    genres, artists = hps.get("y_bins", (0, 0))
    catalog.update(artists=artists, genres=genres, characters=hps.get("n_vocab", 80))
    recipe, stage = stage.split("/")
    assert shapes(stages_of(recipe, size)[stage]["model"]) == shapes(released_config(name))


@pytest.mark.parametrize("size", SIZES)
def test_a_lyrics_prior_without_its_x_layers_is_the_top_prior(size, catalog):
    stages = stages_of("hierarchy", size)
    top, lyrics = (network(stages[name]["model"]).transformer for name in ("top_prior", "lyrics_prior"))
    assert lyrics.pattern.replace("X", "") == top.pattern
    assert (lyrics.heads, lyrics.block, lyrics.checkpointing) == (top.heads, top.block, top.checkpointing)


@pytest.mark.parametrize("size", SIZES)
def test_an_upsampler_reads_as_many_upper_codes_as_the_vqvae_writes(size, catalog):
    stages = stages_of("hierarchy", size)
    hops = network(stages["vqvae"]["model"]).hops
    for level in range(len(hops) - 1):
        settings = stages[f"upsampler_{level}"]
        prior = network(settings["model"])
        assert prior.conditioners["upper"].factor == hops[level + 1] // hops[level]
        assert settings["data"]["ctx"] % (hops[-1] // hops[level]) == 0


def test_a_size_of_two_levels_has_one_upsampler(catalog):
    stages = stages_of("hierarchy", "singing")
    assert [stages[f"upsampler_{level}"]["when"] for level in (0, 1)] == [True, False]


def test_a_bundle_takes_a_prior_of_every_level_of_its_size(catalog):
    for size in SIZES:
        stages = stages_of("hierarchy", size)
        top = len(network(stages["vqvae"]["model"]).hops) - 1
        assert stages["bundle"]["priors"][top] == ["lyrics_prior", "joint_prior", "top_prior"]
        assert [stages["bundle"]["priors"][level] for level in range(top)] == [[f"upsampler_{n}"] for n in range(top)]


def test_the_settings_of_a_dashboard_stand_beside_it(catalog):
    loggers = stages_of("vqvae", "tiny", "logger.mode=offline", "logger.project=mine")["vqvae"]["logger"]
    assert (loggers["wandb"]["mode"], loggers["wandb"]["project"]) == ("offline", "mine")
    assert list(stages_of("vqvae", "tiny", "logger=csv")["vqvae"]["logger"]) == ["files"]


@pytest.mark.parametrize(
    ("size", "rate", "warned"),
    [
        ("small", 44100, ["size=small is made for 22050 Hz, SHARDS has 44100"]),
        ("small", 22050, []),
        ("jukebox", 22050, ["size=jukebox is made for 44100 Hz, SHARDS has 22050"]),
        ("tiny", 8000, []),
    ],
)
def test_sound_at_another_rate_than_a_size_is_made_for_is_said(size, rate, warned, monkeypatch):
    monkeypatch.setattr(fit.Catalog, "load", lambda path: SimpleNamespace(sample_rate=rate))
    config = command.compose_config("fit", ["recipe=vqvae", f"size={size}", "data.path=SHARDS"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit.require_sample_rate(config)
    assert [str(warning.message) for warning in caught] == warned


def rate_of(*words):
    for name, resolver in fit.RESOLVERS.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)
    config = command.compose_config("fit", ["data=folder", "data.songs=SONGS", *words])
    fit.require_sample_rate(config)
    return config.stages.catalog.sample_rate


def test_songs_get_the_rate_that_the_size_is_made_for():
    assert rate_of("recipe=vqvae", "size=small") == 22050
    assert rate_of("recipe=vqvae", "size=tiny") == 44100
    assert rate_of("recipe=vqvae", "data.sample_rate=11025") == 11025
    with pytest.warns(UserWarning, match="size=small is made for 22050 Hz, runs/vqvae/shards has 44100"):
        rate_of("recipe=vqvae", "size=small", "data.sample_rate=44100")
    with pytest.raises(UserError, match=r"data.sample_rate=fast: expected a whole number"):
        rate_of("recipe=vqvae", "data.sample_rate=fast")


def test_songs_get_the_rate_of_the_bundle_that_is_fine_tuned(tmp_path):
    (tmp_path / "bundle.json").write_text('{"sample_rate": 11025}')
    words = "recipe=finetune", "size=small", f"init_from={tmp_path}"
    assert rate_of(*words) == 11025
    with pytest.raises(UserError, match=r"was trained on 11025 samples a second, .* has 22050: leave data.sample_rate out"):
        rate_of(*words, "data.sample_rate=22050")
    with pytest.raises(Exception, match="does not hold a finished run or a converted bundle"):
        rate_of("recipe=finetune", "init_from=nowhere")


def test_a_joint_prior_reads_the_lyrics_in_front_of_the_codes(catalog):
    for size in SIZES:
        settings = stages_of("joint_hierarchy", size)["joint_prior"]
        prior = network(settings["model"])
        assert (prior.ctx, prior.prefix) == (settings["data"]["ctx"], settings["data"]["lyric_tokens"])


@pytest.mark.parametrize("size", SIZES)
def test_a_variant_is_the_vqvae_of_the_size_but_for_what_is_changed(size, catalog):
    stages = stages_of("ablations", size)
    full = stages["full"]["model"]
    assert stages["bins_256"]["model"] == full | {"bins": 256}
    assert stages["no_restarts"]["model"] == full | {"restart_share": 0.0}
    joint = {"_target_": "jukebox_pl.models.joint_vqvae.JointVQVAE"}
    assert stages["joint"]["model"] == {name: value for name, value in (full | joint).items() if name != "multipliers"}
    assert stages["no_spectral"]["model"] == full


@pytest.mark.parametrize("path", HEADED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_says_its_command_cost_and_result_first(path):
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# Command:  python -m jukebox_pl.")
    head = list(takewhile(lambda line: line.startswith("#"), lines))
    assert {"# Cost:", "# Result:"} <= {line[: line.find(":") + 1] for line in head}


@pytest.mark.parametrize("path", [*FOLDER.glob("*/*.yaml")], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_yaml_begins_with_what_it_is(path):
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_sample_computes_in_what_it_is_told():
    assert command.compose_config("sample", []).dtype is None
    fields = [params_and_computing(command.compose_config("sample", [f"dtype={name}"]))[1] for name in DTYPES]
    assert [Computing(**field).dtype for field in fields] == list(DTYPES)
    with pytest.raises(UserError, match="dtype 'int8' is not supported; known are float32, bfloat16, float16"):
        Computing(**params_and_computing(command.compose_config("sample", ["dtype=int8"]))[1])
