"""Several processes, on one machine or two: the ranks train together, the stages that run alone run once."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import parallel
import pytest
import torch
from test_fit import wait_for

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline import stage_folder
from jukebox_pl.training.callbacks.weights import last_path

pytestmark = pytest.mark.slow


class Run(NamedTuple):
    folder: Path
    stderr: str

    def losses(self, stage: str) -> list[float]:
        with open(self.folder / stage / "metrics.csv", newline="", encoding="utf-8") as file:
            return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


def on_two(start_fit, finished: Path, folder: Path, *words: str) -> Run:
    """A run over vqvae, codes and top_prior."""
    run = "recipe=top_prior", f"run_dir={folder}", f"data.path={finished / 'shards'}"
    process = start_fit(*run, "trainer.devices=2", "trainer.accelerator=cpu", *words)
    try:
        stderr = process.communicate(timeout=200)[1]
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    return Run(folder, stderr)


@pytest.fixture(scope="module")
def ddp(finished, start_fit, tmp_path_factory) -> Run:
    return on_two(
        start_fit, finished, tmp_path_factory.mktemp("ddp"), "trainer=ddp", "max_steps=4", "size.vqvae.batch_size=auto:2"
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, dict[str, torch.Tensor]]:
    """The averaged weights of every kind of module after four steps of one process."""
    out = tmp_path_factory.mktemp("alone")
    return {kind: parallel.train(kind, "auto", 1, 4, out) for kind in parallel.KINDS}


def share_out(strategy: str, devices: int, steps: int, out: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The same of so many processes, which have parts of the batches."""
    words = [strategy, str(devices), str(steps), str(out), *parallel.KINDS]
    paths = {"PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{Path(__file__).parents[1]}", "OMP_NUM_THREADS": "1"}
    program = [sys.executable, parallel.__file__, *words]
    done = subprocess.run(program, env=os.environ | paths, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return {kind: torch.load(out / f"{kind}.pt", weights_only=True) for kind in parallel.KINDS}


def require_same(states: dict[str, dict[str, torch.Tensor]], expected: dict[str, dict[str, torch.Tensor]]) -> None:
    for kind, state in states.items():
        assert state.keys() == expected[kind].keys()
        for name, tensor in state.items():
            message = f"{kind}: {name}"
            torch.testing.assert_close(
                tensor, expected[kind][name], rtol=1e-4, atol=1e-5, msg=lambda m, of=message: f"{of}: {m}"
            )


def test_two_processes_are_one_with_their_batches_together(alone, tmp_path):
    require_same(share_out("ddp", 2, 4, tmp_path), alone)


def test_a_stage_goes_on_spread_over_devices_and_on_another_number_of_them(alone, tmp_path):
    for kind in parallel.KINDS:
        parallel.train(kind, "auto", 1, 2, tmp_path)
        assert last_path(tmp_path / kind).is_file()
    share_out("fsdp", 2, 3, tmp_path)
    assert len([*last_path(tmp_path / "vqvae").glob("*.distcp")]) == 2
    require_same(share_out("fsdp", 1, 4, tmp_path), alone)


def shapes(stage: Path) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in checkpoints.load(stage / "model").model.state_dict().items()}


def test_two_processes_train_and_tell_of_every_stage_once(finished, ddp):
    for stage in ("catalog", "vqvae", "codes", "top_prior"):
        assert ddp.stderr.count(f"{stage}: running") == 1
        assert ddp.stderr.count(f"{stage}: finished") == 1
    for stage in ("vqvae", "top_prior"):
        assert torch.tensor(ddp.losses(stage)).isfinite().all()
        assert len(ddp.losses(stage)) == 4
        assert shapes(ddp.folder / stage) == shapes(finished / stage)
    assert json.loads((ddp.folder / "vqvae/config.json").read_text())["data"]["batch_size"] == 2  # chosen by the first


def test_two_processes_see_twice_as_much(finished, ddp):
    assert ddp.losses("vqvae") != Run(finished, "").losses("vqvae")


def test_a_rank_that_waits_ends_with_the_first_one(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getppid", iter([1, 2]).__next__)
    monkeypatch.setattr(stage_folder, "SECONDS_BETWEEN_LOOKS", 0)
    with pytest.raises(UserError, match="stage codes was stopped"):
        stage_folder.StageFolder(tmp_path, "codes").wait_for_result()


def test_a_network_spread_over_processes_trains_as_a_whole_one(finished, ddp, start_fit, tmp_path):
    shutil.copytree(ddp.folder, tmp_path / "run", ignore=shutil.ignore_patterns("top_prior"))
    for steps in (2, 4):
        spread = on_two(start_fit, finished, tmp_path / "run", "trainer=fsdp", f"max_steps={steps}")
    assert spread.losses("top_prior") == pytest.approx(ddp.losses("top_prior"), abs=1e-4)
    assert shapes(spread.folder / "top_prior") == shapes(finished / "top_prior")


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_is_named_by_the_other(finished, start_fit, tmp_path, victim):
    words = "recipe=vqvae", f"run_dir={tmp_path / 'run'}", f"data.path={finished / 'shards'}", "trainer=ddp"
    process = start_fit(*words, "trainer.devices=2", "trainer.accelerator=cpu", "max_steps=5000")
    wait_for(tmp_path / "run/vqvae/checkpoints/last.ckpt", process)
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    os.kill(process.pid if victim == 0 else children[-1], signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)  # until the last of them closes its standard error
    assert f"rank {victim}" in stderr.splitlines()[-1]
    assert "the same command goes on from the last checkpoint" in stderr
    assert "Traceback" not in stderr


def test_two_processes_stop_after_the_same_step_and_one_goes_on(demo_shards, start_fit, fit, tmp_path, capsys):
    """Only the first hears of it."""
    words = "recipe=vqvae", f"run_dir={tmp_path / 'run'}", f"data.path={demo_shards}"
    process = start_fit(*words, "trainer=ddp", "trainer.accelerator=cpu", "max_steps=5000")
    wait_for(tmp_path / "run/vqvae/checkpoints/last.ckpt", process)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 143, stderr
    step = int(re.search(r"stopped by SIGTERM at step (\d+) of vqvae, saved; the same command", stderr.splitlines()[-1])[1])
    assert torch.load(tmp_path / "run/vqvae/checkpoints/last.ckpt", weights_only=True)["global_step"] == step
    fit(*words, f"max_steps={step + 1}")
    assert "vqvae goes on with processes 2 -> 1: losses from here on are not" in capsys.readouterr().err
    assert len(Run(tmp_path / "run", "").losses("vqvae")) == step + 1


def torchrun(rank: int, port: int) -> tuple[list[str], dict[str, str]]:
    """How one of two machines starts its process by torchrun: a program before -m, and variables."""
    nodes = "--nnodes=2", "--nproc-per-node=1", f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}"
    return [sys.executable, "-m", "torch.distributed.run", *nodes], {}


def srun(rank: int, port: int) -> tuple[list[str], dict[str, str]]:
    """What SLURM tells the one task of each of two machines."""
    settings = {"NTASKS": 2, "NTASKS_PER_NODE": 1, "NNODES": 2, "NODELIST": "127.0.0.1", "JOB_ID": 1, "JOB_NAME": "fit"}
    settings |= {"PROCID": rank, "NODEID": rank, "LOCALID": 0}
    return [sys.executable], {f"SLURM_{name}": str(value) for name, value in settings.items()} | {"MASTER_PORT": str(port)}


class Machines(NamedTuple):
    """Two commands that are one run, the first one's first."""

    commands: list[subprocess.Popen[str]]

    def end(self, timeout: float) -> list[str]:
        """What each has said when both have ended."""
        return [command.communicate(timeout=timeout)[1] for command in self.commands]

    def codes(self) -> list[int | None]:
        return [command.returncode for command in self.commands]


@pytest.fixture
def two_machines(minuscule):
    """Starts a run on two machines, as far as one can play them; what is left of it afterwards is killed."""
    started = []

    def start(launcher, *words, run_dirs):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        both = []
        for rank, run_dir in enumerate(run_dirs):
            program, variables = launcher(rank, port)
            of_two = "trainer.devices=1", "trainer.num_nodes=2", "trainer.accelerator=cpu", f"run_dir={run_dir}"
            both.append(
                subprocess.Popen(
                    [*program, "-m", "jukebox_pl.fit", *minuscule, *of_two, *words],
                    cwd=Path(__file__).parents[1],
                    env=os.environ | {"OMP_NUM_THREADS": "1"} | variables,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )
        started.extend(both)
        return Machines(both)

    yield start
    for command in started:
        with suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
        command.communicate()


def model(run_dir: Path, stage: str) -> bytes:
    return (run_dir / stage / "model/model.safetensors").read_bytes()


def files(run_dir: Path) -> set[Path]:
    """But for pages of stages: which there are depends on how long they took."""
    return {path.relative_to(run_dir) for path in run_dir.rglob("*") if path.is_file()}


@pytest.mark.parametrize("launcher", [torchrun, srun])
def test_two_machines_are_one_with_two_processes(finished, ddp, two_machines, tmp_path, launcher):
    words = "recipe=top_prior", f"data.path={finished / 'shards'}", "max_steps=4", "size.vqvae.batch_size=auto:2"
    machines = two_machines(launcher, *words, "trainer=ddp", run_dirs=[tmp_path / "run"] * 2)
    stderr = machines.end(timeout=300)
    assert machines.codes() == [0, 0], stderr
    for stage in ("vqvae", "top_prior"):
        assert model(tmp_path / "run", stage) == model(ddp.folder, stage)
        assert Run(tmp_path / "run", "").losses(stage) == ddp.losses(stage)
    assert files(tmp_path / "run") == files(ddp.folder)
    assert [text.count("vqvae: running") for text in stderr] == [1, 0]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_machines_end_together_when_one_is_told_to_and_go_on(demo_shards, start_fit, two_machines, tmp_path, strategy):
    """The second is told; the first one's exit code says by what, so that nothing waits for it. They end as one machine
    that was never stopped."""
    words, both = ("recipe=vqvae", f"data.path={demo_shards}", f"trainer={strategy}"), [tmp_path / "run"] * 2
    machines = two_machines(torchrun, *words, "max_steps=5000", run_dirs=both)
    wait_for(tmp_path / "run/vqvae/checkpoints/last.ckpt", machines.commands[0])
    machines.commands[1].send_signal(signal.SIGTERM)
    first, _ = machines.end(timeout=100)
    step = int(re.search(r"stopped by SIGTERM at step (\d+) of vqvae, saved; the same command goes on", first)[1])
    assert "exitcode: 143" in first
    machines = two_machines(torchrun, *words, f"max_steps={step + 1}", run_dirs=both)
    stderr = machines.end(timeout=200)
    assert machines.codes() == [0, 0], stderr
    never = start_fit(
        *words, "trainer.accelerator=cpu", f"max_steps={step + 1}", f"run_dir={tmp_path / 'never'}", "trainer.devices=2"
    )
    assert never.wait(timeout=200) == 0, never.stderr.read()
    assert model(tmp_path / "run", "vqvae") == model(tmp_path / "never", "vqvae")
    assert Run(tmp_path / "run", "").losses("vqvae") == Run(tmp_path / "never", "").losses("vqvae")


@pytest.mark.parametrize("victim", [0, 1])
def test_a_machine_ends_with_a_line_when_the_process_of_the_other_is_killed(demo_shards, two_machines, tmp_path, victim):
    words = "recipe=vqvae", f"data.path={demo_shards}", "trainer=ddp", "max_steps=5000"
    machines = two_machines(torchrun, *words, run_dirs=[tmp_path / "run"] * 2)
    wait_for(tmp_path / "run/vqvae/checkpoints/last.ckpt", machines.commands[0])
    agent = machines.commands[victim].pid
    os.kill(int(Path(f"/proc/{agent}/task/{agent}/children").read_text()), signal.SIGKILL)
    stderr = machines.end(timeout=60)[1 - victim]
    assert "error: another process of this run has ended: the same command goes on from the last checkpoint\n" in stderr


def test_machines_that_share_no_folder_end_with_a_line_each(demo_shards, two_machines, tmp_path):
    """The first one when its backend no longer waits, which by itself is after half an hour."""
    patience = "{_target_: pytorch_lightning.strategies.DDPStrategy, timeout: {_target_: datetime.timedelta, seconds: 60}}"
    words = "recipe=vqvae", f"data.path={demo_shards}", "trainer=ddp", f"trainer.strategy={patience}"
    machines = two_machines(srun, *words, run_dirs=[tmp_path / "first", tmp_path / "second"])
    first, second = machines.end(timeout=200)
    assert machines.codes() == [2, 2], (first, second)
    assert f"is not at work in {tmp_path / 'second'}: it has ended, or its machine has another folder there" in second
    assert first.endswith(
        "error: another process of this run has ended: the same command goes on from the last checkpoint\n"
    )
