"""Whether the time that a plan promises is what a training takes.

Command:  python benchmarks/plan.py SHARDS RUN [--recipe top_prior] [--words max_steps=60 size=tiny]
Cost:     what the recipe costs, and half a minute
Result:   promised and taken seconds of each stage, in processor time of this process, whatever else runs here

`steps`: the training alone, with its validations, checkpoints and rows; `stage`: with what is measured before and after it.
"""

from __future__ import annotations

import argparse
import time
from types import SimpleNamespace

from jukebox_pl import fit
from jukebox_pl.pipeline import plan
from jukebox_pl.pipeline.train import TrainStage
from jukebox_pl.training import plan as counting

taken: dict[tuple[str, str], float] = {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shards")
    parser.add_argument("run")
    parser.add_argument("--recipe", default="top_prior")
    parser.add_argument("--words", nargs="*", default=["max_steps=60"])
    given = parser.parse_args()
    words = [f"recipe={given.recipe}", f"data.path={given.shards}", f"run_dir={given.run}", "logger=csv", *given.words]
    counting.time = SimpleNamespace(monotonic=time.process_time)
    promised: list[plan.StagePlan] = []
    usual, plan.tell = plan.tell, lambda plans, *rest: promised.extend(plans) or usual(plans, *rest)
    fit.cli_main([*words, "plan=only"])
    plan.tell = usual
    seconds = {stage.name: stage.seconds for stage in promised}
    run_stage, fit_stage, folders = TrainStage.run, TrainStage._fit, []

    def run(self, folder):
        begun, _ = time.process_time(), folders.append(folder.name)
        result = run_stage(self, folder)
        taken[folder.name, "stage"] = time.process_time() - begun
        return result

    def train(self, *args):
        begun = time.process_time()
        fit_stage(self, *args)
        taken[folders[-1], "steps"] = time.process_time() - begun

    TrainStage.run, TrainStage._fit = run, train
    fit.cli_main(words)
    print("| stage | promised | steps | stage |\n|---|---|---|---|")
    for name, promise in seconds.items():
        steps, stage = taken[name, "steps"], taken[name, "stage"]
        print(f"| {name} | {promise:.1f} s | {steps:.1f} s ({steps / promise:.2f} x) | {stage:.1f} s |")


if __name__ == "__main__":
    main()
