"""What a plan says of memory is what the allocator counts while a step is taken."""

import copy
import json
from functools import cache
from itertools import accumulate

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from jukebox_pl import checkpoints, fit
from jukebox_pl.cli import command
from jukebox_pl.training.modules.aligner import AlignerModule
from jukebox_pl.training.plan import bfloat16_gain, detach, example_batch, step_cost

STAGES = ("vqvae", "top_prior", "lyrics_prior", "upsampler_1", "upsampler_0")
# size=small within the reach of a CPU: one short window.
SHORT = [f"size.{prior}.batch_size=1" for prior in ("vqvae", "top_prior", "upsampler_1", "upsampler_0")]
SHORT += [f"size.{prior}.transformer.ctx=256" for prior in ("top_prior", "upsampler_1", "upsampler_0")]
SHORT += ["size.vqvae.clip=65536"]


@cache
def stages(size, *words):
    for name, resolver in (fit.RESOLVERS | {"catalog": lambda path, name: fit.ASSUMED[name]}).items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)
    config = command.compose_config("fit", ["recipe=hierarchy", f"size={size}", "data.path=NONE", *words])
    made = {name: OmegaConf.to_container(config.stages[name], resolve=True) for name in STAGES}
    OmegaConf.clear_resolver("catalog")
    return json.dumps(made)


def module_of(stage, build):
    settings = stage["module"] | ({"graft_from": None} if "graft_from" in stage["module"] else {})
    return instantiate(settings, model=build(stage["model"]))


def measured_peak(stage, precision):
    """The most bytes that torch's allocator has given out, from before the network is made to the second step."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        module = module_of(stage, checkpoints.build)
        average = copy.deepcopy(module)
        detach(module)
        optimizer = module.configure_optimizers()["optimizer"]
        batch = example_batch(module.model, stage["data"])
        for _ in range(2):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
                loss = module.training_step(batch, 0)
            loss.backward()
            optimizer.step()
    assert average is not None
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


def compare(size, name, precision="32-true", *words):
    stage = json.loads(stages(size, *words))[name]
    predicted = step_cost(module_of(stage, checkpoints.on_meta), stage["data"], precision).device_bytes(averaged=True)
    measured = measured_peak(stage, precision)
    print(f"{size} {name} {precision}: predicted {predicted / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB")
    assert predicted == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize("name", STAGES)
def test_predicted_memory_is_measured_memory_at_tiny(name):
    compare("tiny", name)


@pytest.mark.parametrize("name", ["vqvae", "upsampler_0"])
def test_predicted_memory_is_measured_memory_in_half_precision(name):
    compare("tiny", name, "bf16-mixed")


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_predicted_memory_is_measured_memory_at_small(name):
    compare("small", name, "32-true", *SHORT)


def test_a_step_whose_shapes_follow_its_numbers_is_taken_on_numbers():
    """The aligner's, which makes batches of words of one length."""
    model = {
        "_target_": "jukebox_pl.models.aligner.AcousticModel",
        "characters": "abc",
        "sample_rate": 8000,
        "width": 16,
        "depth": 1,
    }
    module = AlignerModule(checkpoints.on_meta(model))
    state = torch.random.get_rng_state()
    cost = step_cost(module, {"batch_size": 2, "seconds": 1.0})
    assert torch.random.get_rng_state().equal(state)
    assert cost.parameters == sum(weight.numel() for weight in checkpoints.build(model).parameters())
    assert cost.optimizer >= 2 * cost.gradients > 0


def test_what_is_frozen_has_neither_gradients_nor_moments():
    stage = json.loads(stages("tiny"))["top_prior"]
    frozen, whole = (module_of(stage, checkpoints.on_meta) for _ in range(2))
    frozen.model.transformer.requires_grad_(False)
    frozen, whole = (step_cost(module, stage["data"]) for module in (frozen, whole))
    assert frozen.parameters == whole.parameters
    assert frozen.gradients == 4 * frozen.trained < whole.gradients == 4 * whole.trained
    assert frozen.optimizer < whole.optimizer


def test_a_copy_that_is_held_against_forgetting_counts_as_far_as_it_shares_nothing():
    stage = json.loads(stages("tiny"))["top_prior"]
    costs = []
    for kl_weight, frozen in ((0.0, False), (0.5, False), (0.5, True)):
        model = checkpoints.on_meta(stage["model"])
        model.transformer.requires_grad_(not frozen)
        module = instantiate(stage["module"] | {"kl_weight": kl_weight}, model=model)
        costs.append(step_cost(module, stage["data"]))
    alone, copied, sharing = costs
    assert (alone.beside, copied.beside) == (0, 4 * alone.parameters)
    assert sharing.beside == 4 * sharing.trained < copied.beside
    assert copied.weights == alone.weights
    assert copied.device_bytes(averaged=True) - alone.device_bytes(averaged=True) >= copied.beside


def test_shards_are_shared_and_windows_are_not():
    stage = json.loads(stages("tiny"))["top_prior"]
    cost = step_cost(module_of(stage, checkpoints.on_meta), stage["data"])
    one, eight = (cost.device_bytes(averaged=True, devices=n, sharded=True) for n in (1, 8))
    shared = 2 * cost.weights + cost.gradients + cost.optimizer
    assert one - eight == pytest.approx(shared * 7 / 8, abs=8)
    assert eight > cost.work


@pytest.mark.parametrize("optim", ["MuonOptim", "ReleasedOptim"])
def test_the_optimizer_that_is_chosen_is_the_one_that_is_counted(optim):
    stage = json.loads(stages("tiny"))["top_prior"]
    stage["module"]["optim"] = {"_target_": f"jukebox_pl.training.optim.{optim}"}
    cost = step_cost(module_of(stage, checkpoints.on_meta), stage["data"])
    moments = cost.optimizer / cost.gradients
    assert moments == pytest.approx(2, abs=0.01) if optim == "ReleasedOptim" else 1 < moments < 1.9


def test_the_gain_of_bfloat16_is_measured_once():
    assert 0 < bfloat16_gain(256) == bfloat16_gain(256)
