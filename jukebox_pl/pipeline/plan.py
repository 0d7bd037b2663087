"""What a recipe will cost, told before its first step: data, memory, disk, time. It is refused where it does not fit."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog
from jukebox_pl.errors import UserError
from jukebox_pl.inference.memory import free_bytes
from jukebox_pl.models.prior import Prior
from jukebox_pl.pipeline.finetune import FinetuneStage
from jukebox_pl.pipeline.stage_folder import CONFIG, OF_THE_RUN, StageFolder, say
from jukebox_pl.pipeline.train import TrainStage
from jukebox_pl.report.runs import Promise
from jukebox_pl.training.plan import StepCost, bfloat16_gain, step_cost, step_seconds
from jukebox_pl.utils.progress import clock

GIGA = 1e9
WIDTH = 120  # columns of a table, which has one a stage
OVERHEAD = 1.1  # what allocators take besides: pieces that are too small for what comes next
KEPT = 3  # checkpoints on the disk at a time: the last one, another, and the one being written
READ_FROM_THE_RUN = ("graft_from",)  # settings of modules that name what is not there yet
ASSUMED_WORDS = "hours, tokens and passes are told once there is one; until then its tables of names count as small"
MORE_SONGS = "prepare more songs, or with a larger held_out"
BY_HEART = "take recipe=finetune, a smaller size or views=many, and look at val/bpd"
WIDE, MUCH_FASTER = 512, 2  # a prior, and products in bfloat16, from which on bf16-mixed takes less time (docs/training.md)
COSTS: dict[str, StepCost] = {}
UNCOUNTABLE = (RuntimeError, TypeError, LookupError, AttributeError)  # of a network of yours
SLOWEST = 2e11  # operations of a step that is tried out: seconds of a CPU core


class Machine(NamedTuple):
    """What trains: `devices` in all, each with `memory` bytes (None: nobody knows); `tflops` are what one reaches, if known.

    `is_here`: it is this machine, on which a step may be tried out.
    """

    kind: str
    devices: int
    memory: int | None
    tflops: float | None
    is_here: bool


class StagePlan(NamedTuple):
    """One stage that trains. `data`: how many of its tokens the training songs have in which a window fits, None where there
    is no catalog yet; `needs` and `free` in bytes of each device, `disk` for all checkpoints.
    """

    name: str
    cost: StepCost
    unit: str
    steps: int
    step_tokens: int  # of all devices
    data: int | None
    needs: int
    free: int | None
    disk: int
    seconds: float | None = None  # of all steps, None where nobody knows
    bfloat16_gain: float = 1.0  # of the products of a wide prior that this CPU would train in float32

    @property
    def passes(self) -> float:
        """How often the songs are gone through."""
        return self.steps * self.step_tokens / self.data if self.data else math.inf

    @property
    def fits(self) -> bool:
        return self.free is None or self.needs <= self.free

    def figures(self) -> dict[str, str]:
        """For people, by name; ? where nobody knows yet."""
        data, trained = self.data, self.cost.trained
        return {
            "parameters": count(self.cost.parameters)
            + (f", {count(trained)} trained" if trained < self.cost.parameters else ""),
            "data": "?" if data is None else f"{count(data)} {self.unit}",
            "data a parameter": "?" if data is None else f"{data / self.cost.parameters:.2g}",
            "steps": str(self.steps),
            "steps a pass": f"{data / self.step_tokens:.3g}" if data else "?",
            "passes": count(self.passes) if data else "?",
            "memory": f"{count(self.needs)}B",
            "disk": f"{count(self.disk)}B",
            "work a step": f"{count(self.cost.flops)}FLOP",
            "time": "?" if self.seconds is None else clock(self.seconds),
        }

    def line(self) -> str:
        """The most of it."""
        of = self.figures()
        data = f"{of['data']} ({of['data a parameter']} a parameter), {of['passes']} passes" if self.data else "no data"
        return (
            f"{self.name}: {of['parameters']} parameters, {data} in {of['steps']} steps, {of['memory']} of memory, "
            f"{of['disk']} of disk"
        )


def count(number: float) -> str:
    """A number as people say it: 1.2 M."""
    power = min(max(math.floor(math.log10(max(number, 1))) // 3, 0), 4)
    return f"{number / 1000**power:.3g}{('', ' k', ' M', ' G', ' T')[power]}"


def plan_recipe(config: DictConfig, catalog: Catalog | None, timed: bool = False) -> list[StagePlan]:
    """The stages of a recipe that train and are not complete yet; `timed` by taking some steps, where that is quick."""
    hops, run_dir, plans = hops_of(config.stages), Path(config.run_dir), []
    for name, stage in training_stages(config.stages):
        tune = getattr(stage, "tune", None)  # a fine-tune may leave levels as they are
        if tune and not tune.trains(int(stage.data["level"])):
            continue
        if not ((result := StageFolder(run_dir, name).result()) and stage.complete(result)):
            try:
                plans.append(plan_stage(name, stage, machine_of(config.plan, stage.trainer), catalog, hops, timed))
            except UNCOUNTABLE as error:  # it may train still
                say(f"plan: {name} cannot be told ({type(error).__name__}: {str(error).partition(chr(10))[0]})")
    return plans


def training_stages(stages: Mapping[str, DictConfig]) -> Iterator[tuple[str, TrainStage]]:
    for name, config in stages.items():
        if config.get("when", True) and issubclass(get_class(config["_target_"]), TrainStage):
            settings: Any = OmegaConf.to_container(config, resolve=True)
            yield name, instantiate({k: v for k, v in settings.items() if k not in OF_THE_RUN}, _recursive_=False)


def hops_of(stages: Mapping[str, DictConfig]) -> tuple[int, ...]:
    """Samples a code of every level, by the VQ-VAE that the recipe trains or copies; none where it does neither."""
    config: Any = stages.get("vqvae", {})
    network: Any = OmegaConf.to_container(config["model"], resolve=True) if config.get("model") else None
    if "init_from" in config:
        network = bundled(Path(config["init_from"]), lambda bundle: bundle.vqvae)[0]
    return checkpoints.on_meta(network).hops if network else ()


def bundled(folder: Path, which: Callable[[Any], str]) -> tuple[Any, Any]:
    """The config of a network of a bundle, and its labeller."""
    place = checkpoints.inside(folder, which(checkpoints.read_bundle(folder)))
    return checkpoints.read_config(place).model, checkpoints.load_labeller(place)


def machine_of(plan: Mapping[str, Any], trainer: Mapping[str, Any]) -> Machine:
    """The one that `plan` describes, or this one as the trainer will use it. Raises UserError for what none can have."""
    for name in ("devices", "memory", "tflops"):
        value = plan[name]
        if value is not None and (isinstance(value, bool | str) or not 0 < value < math.inf):
            raise UserError(f"plan.{name}={value}: expected a number above zero, or null for this machine")
    is_cuda = torch.cuda.is_available() and trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda")
    kind, devices = "cuda" if is_cuda else "cpu", trainer.get("devices", 1)
    if isinstance(devices, int | str):  # auto and -1 are all of them
        local = devices if isinstance(devices, int) and devices > 0 else torch.cuda.device_count() if is_cuda else 1
    else:
        local = len(devices)  # by their numbers
    memory = round(plan["memory"] * GIGA) if plan["memory"] else free_bytes(kind)
    if memory and kind == "cpu" and not plan["memory"]:
        memory //= local  # of processes that share it
    is_here = not any(plan[name] for name in ("devices", "memory", "tflops"))
    return Machine(kind, plan["devices"] or local * trainer.get("num_nodes", 1), memory, plan["tflops"], is_here)


def plan_stage(
    name: str, stage: TrainStage, machine: Machine, catalog: Catalog | None, hops: Sequence[int], timed: bool
) -> StagePlan:
    settings: Any = OmegaConf.to_container(OmegaConf.create([stage.model or {}, stage.module, stage.data]))
    network, module, data = settings
    if isinstance(stage, FinetuneStage):  # the network and its windows are the bundle's
        network, labeller = bundled(stage.init_from, lambda bundle: bundle.priors[str(data["level"])])
        data |= {"ctx": checkpoints.on_meta(network).ctx, "lyric_tokens": labeller.lyric_tokens if labeller else 0}
    module |= {key: None for key in READ_FROM_THE_RUN if key in module}
    precision = str(stage.trainer.get("precision") or stage.trainer["plugins"][0]["precision"])
    cost = cost_of(network, module, data, precision, getattr(stage, "tune", None))
    is_sharded = "ModelParallel" in str(stage.trainer.get("strategy", ""))
    averaged = bool(stage.ema) and cost.trained == cost.parameters  # of what is frozen there is none
    accumulated = stage.trainer.get("accumulate_grad_batches", 1)
    needs = round(OVERHEAD * cost.device_bytes(averaged, machine.devices, is_sharded))
    fits = machine.memory is None or needs <= machine.memory
    hop, unit = (hops[data["level"]], "codes") if "level" in data else (1, "samples")
    window = cost.tokens // data["batch_size"]
    lengths = [song["samples"] // hop for song in catalog.songs(TRAIN)] if catalog else []
    steps, seconds = stage.max_steps * len(getattr(stage, "seeds", (stage.seed,))), None
    if machine.tflops:
        seconds = steps * accumulated * cost.flops / machine.tflops / 1e12
    elif timed and fits and machine.is_here and (machine.kind == "cuda" or cost.flops < SLOWEST):
        trained = instantiate(module, model=checkpoints.build(network))
        seconds = steps * accumulated * step_seconds(trained, data, machine.kind, precision)
    gain = 1.0
    if (machine.kind, machine.is_here, precision) == ("cpu", True, "32-true") and not isinstance(stage, FinetuneStage):
        model = checkpoints.on_meta(network)
        gain = bfloat16_gain() if isinstance(model, Prior) and model.transformer.width >= WIDE else 1.0
    return StagePlan(
        name=name,
        cost=cost,
        unit=unit,
        steps=steps,
        step_tokens=cost.tokens * machine.devices * accumulated,
        data=sum(length for length in lengths if length >= window) if catalog else None,
        needs=needs,
        free=machine.memory,
        disk=KEPT * cost.checkpoint_bytes(averaged) + cost.weights,
        seconds=seconds,
        bfloat16_gain=gain,
    )


def cost_of(network: Any, module: Any, data: Any, precision: str, tune: Any = None) -> StepCost:
    """By the settings of the three; once in a process. `tune` freezes what a fine-tune does not train."""
    key = json.dumps([network, module, data, precision, repr(tune)])
    if key not in COSTS:
        model = checkpoints.on_meta(network)
        if tune:
            tune.prepare(model)
            for name, weight in model.named_parameters():
                if checkpoints.DENSE.search(name) and not weight.requires_grad:
                    weight.data = weight.data.to(tune.dtype)
        COSTS[key] = step_cost(instantiate(module, model=model), data, precision)
    return COSTS[key]


def require_room(plans: Sequence[StagePlan], config: DictConfig, sizes: Callable[[], Mapping[str, DictConfig]]) -> None:
    """Raises UserError where a stage, or the checkpoints of all together, do not fit, with what comes nearest and does."""
    if large := [plan for plan in plans if not plan.fits]:
        worst = max(large, key=lambda plan: plan.needs)
        found = f"stage {worst.name} needs about {count(worst.needs)}B a device, {count(worst.free or 0)}B are free"
        raise UserError(f"{found}: {nearest(config, large, sizes)}; plan=ignore trains all the same")
    if config.plan.memory:  # it is another machine, with another disk
        return
    disk, room = sum(plan.disk for plan in plans), free_disk(Path(config.run_dir).absolute())
    if room is not None and room < disk:
        found = f"{count(disk)}B of disk, {config.run_dir} has {count(room)}B free"
        raise UserError(
            f"checkpoints and models need about {found}: choose another run_dir; plan=ignore trains all the same"
        )


def free_disk(folder: Path) -> int | None:
    """Bytes where a folder is or will be; None where none can be, which is told where it is made."""
    with suppress(OSError):
        return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
    return None


def nearest(config: DictConfig, large: Sequence[StagePlan], sizes: Callable[[], Mapping[str, DictConfig]]) -> str:
    """What to change for a recipe to fit: smaller batches of the same sum, or else the largest size that does."""
    words, steps = [], 1
    for plan in large:
        batch = config.stages[plan.name].data.batch_size
        while batch > 1 and not plan.fits:
            batch //= 2
            changed: Any = OmegaConf.merge(config, {"stages": {plan.name: {"data": {"batch_size": batch}}}})
            plan = next(other for other in plan_recipe(changed, None) if other.name == plan.name)
        words.append(f"stages.{plan.name}.data.batch_size={batch}")
        steps = max(steps, config.stages[plan.name].data.batch_size // batch)
        if not plan.fits:
            break
    else:
        new = "" if "accumulate_grad_batches" in config.trainer else "+"
        return f"give {' '.join(words)} {new}trainer.accumulate_grad_batches={steps}"
    others: dict[str, Any] = {
        name: OmegaConf.merge(config, {"size": None}, {"size": size}) for name, size in sizes().items()
    }
    for name in sorted(others, key=lambda name: parameters(others[name]), reverse=True):
        if name != config.size.name and all(plan.fits for plan in plan_recipe(others[name], None)):
            return f"the nearest that fits is size={name}"
    return "no size fits"


def parameters(config: DictConfig) -> int:
    """Of all networks that a recipe trains."""
    configs = [OmegaConf.to_container(stage.model) for _, stage in training_stages(config.stages) if stage.model]
    return sum(weight.numel() for network in configs for weight in checkpoints.on_meta(network).parameters())


def promises(plans: Sequence[StagePlan]) -> dict[str, Promise]:
    """For the page of the run, which has beside them what it took."""
    return {plan.name: Promise(plan.steps, plan.step_tokens, plan.unit, plan.needs) for plan in plans}


def tell(plans: Sequence[StagePlan], config: DictConfig, catalog: Catalog | None) -> None:
    """On standard error: a table where a plan is all that is wanted, else a line a stage once there is a catalog."""
    if config.plan.only and not plans:
        say("plan: nothing is left to train")
    elif config.plan.only:
        grid = Table("", *(plan.name for plan in plans), box=None, title=f"recipe={config.name} size={config.size.name}")
        figures = [plan.figures() for plan in plans]
        for name in figures[0]:
            grid.add_row(name, *(of[name] for of in figures))
        Console(stderr=True, width=max(Console().width, WIDTH)).print(grid)
    if catalog or config.plan.only:
        for line in (
            *remarks(plans, config, catalog),
            *faster(plans, config),
            *(plan.line() for plan in plans if not config.plan.only),
        ):
            say(f"plan: {line}")


def remarks(plans: Sequence[StagePlan], config: DictConfig, catalog: Catalog | None) -> Iterator[str]:
    """What a catalog has and lacks for this recipe, a line each."""
    made_for = config.size.sample_rate
    if catalog is None:
        yield f"no catalog yet at {config.data.path}: {ASSUMED_WORDS}"
        yield f"size={config.size.name} is made for {made_for or 'any'} Hz"
        return
    songs, held_out, rate = catalog.songs(TRAIN), catalog.songs(HELD_OUT), catalog.sample_rate
    hours = sum(song["samples"] for song in songs) / rate / 3600
    found = f"{len(songs)} song{'s' * (len(songs) != 1)} to train on, {hours:.3g} hours, {len(held_out)} held out"
    yield f"{found}; {rate} Hz, size={config.size.name} is made for {made_for or 'any'}"
    if not held_out:
        yield f"no song is held out, so nothing tells when a model learns its songs by heart: {MORE_SONGS}"
    if short := [plan.name for plan in plans if plan.data == 0]:
        yield f"no song is as long as one window of {', '.join(short)}: it takes longer songs, or a smaller clip or ctx"
    if many := [plan.name for plan in plans if plan.data and plan.unit == "codes" and plan.data < plan.cost.trained]:
        yield f"{', '.join(many)}: more parameters than codes to learn, so songs can be learned by heart: {BY_HEART}"


def faster(plans: Sequence[StagePlan], config: DictConfig) -> Iterator[str]:
    """The setting that trains wide priors in less time on a CPU with units for bfloat16, while nothing is trained yet: a
    run keeps its precision."""
    wide = [plan for plan in plans if plan.bfloat16_gain >= MUCH_FASTER]
    begun = [name for name, _ in training_stages(config.stages) if (Path(config.run_dir) / name / CONFIG).exists()]
    if wide and not begun:
        times = f"this CPU multiplies matrices {wide[0].bfloat16_gain:.0f} times as fast in bfloat16"
        but = ", though not for the VQ-VAE" if any(plan.unit == "samples" for plan in plans) else ""
        yield f"{', '.join(plan.name for plan in wide)}: {times}, so trainer.precision=bf16-mixed takes less time{but}"
