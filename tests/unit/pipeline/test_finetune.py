"""Fine-tuning: it starts where the bundle ended, under the names of another catalog, and refuses what does not fit."""

import dataclasses

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.cli.command import recipes_folder
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.finetune import CopyStage, FinetuneStage, with_lyrics
from jukebox_pl.pipeline.stage_folder import StageFolder
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import Labels, Song
from jukebox_pl.utils.files import read_json

TOPS = {"hierarchy": "lyrics_prior", "joint_hierarchy": "joint_prior"}
# Batches of one size round alike.
SMALL = ("max_steps=2", "data=shards", "size.joint_prior.batch_size=2", "size.joint_prior.transformer.width=16")


BRIEF = ("stages.moved.songs=1", "stages.moved.seeds=[0]", "stages.moved.seconds=0.2")


@pytest.fixture(scope="module", params=TOPS)
def bundle(request, fit, demo_shards, tmp_path_factory):
    """A finished run, and the held-out number that each of its three priors ended at, top first."""
    run_dir = tmp_path_factory.mktemp(request.param) / "run"
    fit(f"recipe={request.param}", f"run_dir={run_dir}", f"data.path={demo_shards}", *SMALL)
    trained = [TOPS[request.param], "upsampler_1", "upsampler_0"]
    return run_dir, [StageFolder(run_dir, stage).result().summary["at step 2"] for stage in trained]


@pytest.fixture
def more_artists(demo_shards, tmp_path):
    """The same shards under a catalog with one artist more, which moves the ids of all others."""
    catalog = Catalog.load(demo_shards)
    folder = tmp_path / "more_artists"
    folder.mkdir()
    for split in catalog.splits:
        (folder / split).symlink_to(demo_shards / split)
    dataclasses.replace(catalog, folder=folder, artists=["Aaron", *catalog.artists]).save()
    return folder


@pytest.mark.parametrize("shards", ["demo_shards", "more_artists"])
def test_it_starts_at_the_held_out_numbers_of_the_bundle(bundle, shards, fit, tmp_path, request):
    (init_from, ended), new = bundle, ["Aaron"] * (shards == "more_artists")
    known, shards = Catalog.load(request.getfixturevalue("demo_shards")).artists, request.getfixturevalue(shards)
    run_dir = tmp_path / "run"
    fit(
        "recipe=finetune",
        f"init_from={init_from}",
        f"run_dir={run_dir}",
        f"data.path={shards}",
        *SMALL,
        "stages.moved.seeds=[]",
    )
    stages = ["top_prior", "upsampler_1", "upsampler_0"]
    begun = [StageFolder(run_dir, stage).result().summary["val/bpd at step 0"] for stage in stages]
    assert begun == ended
    tuned = checkpoints.load_bundle(run_dir)
    assert tuned.labellers[2].artists.names[1:] == known + new  # behind those of the bundle
    assert checkpoints.fingerprint(run_dir / "vqvae/model") == checkpoints.fingerprint(init_from / "vqvae/model")
    assert checkpoints.fingerprint(run_dir / "top_prior/model") not in str(read_json(init_from / "bundle.json", ""))


def test_an_adapter_is_trained_and_saved_alone(bundle, more_artists, fit, tmp_path):
    init_from, ended = bundle
    words = ("recipe=finetune", f"init_from={init_from}", f"data.path={more_artists}", *SMALL)
    asked = (
        "tune=dora",
        "tune.layers.rank=2",
        "tune.levels=[2]",
        "tune.optim={lr: 3e-2}",
        "kl_weight=0.5",
        *BRIEF,
        f"run_dir={tmp_path / 'run'}",
    )
    fit(*words, *asked)
    result = StageFolder(tmp_path / "run", "top_prior").result()
    assert result.summary["val/bpd at step 0"] == pytest.approx(ended[0], abs=1e-5)
    assert result.summary["at step 2"] != result.summary["val/bpd at step 0"]
    assert sorted(path.name for path in (tmp_path / "run").rglob("*.safetensors")) == [
        "adapter.safetensors",  # of the run
        "adapter.safetensors",  # of the stage
        "best.safetensors",  # of the stage: its best weights
        "model.safetensors",  # the VQ-VAE
    ]
    best = load_file(tmp_path / "run/top_prior/checkpoints/best.safetensors")  # 5 billion frozen weights are not kept twice
    assert all(".adapters." in name or not name.startswith("transformer.") for name in best)
    moved = read_json(tmp_path / "run/moved/moved.json", "")
    assert moved["2"]["new"]["tuned_bpd"] != moved["2"]["new"]["base_bpd"]
    assert moved["0"]["new"]["tuned_bpd"] == moved["0"]["new"]["base_bpd"]  # it was left as it is
    assert (tmp_path / "run/moved/index.html").read_text().count("<audio") == 2
    adapter = checkpoints.read_adapter(tmp_path / "run" / checkpoints.ADAPTER)
    assert list(adapter.record.levels) == ["2"]
    use = checkpoints.AdapterUse(adapter, {2: 1.0})
    tuned, base = checkpoints.load_bundle(init_from, adapters=[use]), checkpoints.load_bundle(init_from)
    assert tuned.labellers[2].artists.id("Aaron") == len(base.labellers[2].artists)
    before = dict(base.priors[2].named_parameters())
    pairs = ((name, now, before[name]) for name, now in tuned.priors[2].named_parameters())
    moved = {name for name, now, then in pairs if now.shape == then.shape and not now.equal(then)}
    assert any("mlp" in name for name in moved)
    assert not any("norm" in name or "bias" in name for name in moved)
    checkpoint = torch.load(tmp_path / "run/top_prior/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]
    assert not [name for name in checkpoint["state_dict"] if name.endswith(("norm.weight", "qkv.weight"))]


def test_songs_at_another_rate_are_refused(bundle, demo_shards, tmp_path):
    run_dir, _ = bundle
    catalog = dataclasses.replace(Catalog.load(demo_shards), folder=tmp_path, sample_rate=8000)
    catalog = dataclasses.replace(catalog, splits={split: {"shards": [], "songs": []} for split in catalog.splits})
    catalog.save()
    with pytest.raises(UserError, match=r"8000 samples a second, .* was trained on 11025; prepare the songs again"):
        CopyStage(str(run_dir), str(tmp_path)).run(tmp_path / "vqvae")


def test_a_folder_that_is_no_bundle_is_named(tmp_path):
    with pytest.raises(UserError, match="does not hold a finished run"):
        CopyStage(str(tmp_path), str(tmp_path)).run(tmp_path / "vqvae")


def test_a_level_that_the_bundle_lacks_is_named(bundle, tmp_path):
    run_dir, _ = bundle
    parts = {"model": None, "module": None, "trainer": None, "logger": None}
    tune = OmegaConf.load(recipes_folder() / "tune/all.yaml")
    stage = FinetuneStage(str(run_dir), tune, data={"level": 3}, max_steps=1, every_steps=1, monitor="val/bpd", **parts)
    with pytest.raises(UserError, match="has no prior of level 3, only of 0, 1, 2"):
        stage.run(tmp_path)


TRANSFORMER = {"_target_": "jukebox_pl.nn.transformer.Transformer", "width": 8, "heads": 1, "ctx": 16, "block": 4}
PRIOR = {"_target_": "jukebox_pl.models.prior.Prior", "bins": 16, "transformer": TRANSFORMER | {"pattern": "RC"}}
ENCODER = TRANSFORMER | {"pattern": "R", "ctx": 8}


@torch.no_grad()
def test_a_prior_that_learns_lyrics_starts_as_it_was():
    labeller = Labeller(Vocabulary([]), Vocabulary([]), Characters("ab"), 8)
    prior, codes = checkpoints.build(PRIOR), torch.arange(15)[None]
    larger, config = with_lyrics(prior, PRIOR, labeller, "RXC", ENCODER)
    labels = Labels.stack([labeller.labels(Song("s", 1000, 100, lyrics="abba"), 0, 500)])
    assert torch.allclose(larger(codes, larger.condition(labels)), prior(codes, prior.condition(labels)), atol=1e-6)
    assert checkpoints.build(config).state_dict().keys() == larger.state_dict().keys()
    with pytest.raises(ValueError, match="cannot graft: without X the new pattern is RR"):
        with_lyrics(prior, PRIOR, labeller, "RXR", ENCODER)
