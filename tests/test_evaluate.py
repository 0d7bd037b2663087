"""`python -m jukebox_pl.evaluate` as a user types it."""

import json

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.cli import command
from jukebox_pl.evaluate import main
from jukebox_pl.evaluation.suite import evaluate


def test_every_level_is_scored(finished, tmp_path, capsys):
    out = tmp_path / "evaluation.json"
    command.run(main, "evaluate", [f"run_dir={finished}", f"data.path={finished}/shards", "windows=2", f"out={out}"])
    scores = json.loads(out.read_text())
    assert [score["level"] for score in scores] == [0, 1, 2]
    assert all(score["silence"] == pytest.approx(0.0, abs=1e-3) for score in scores)
    assert all(2.0 < score["bpd"] < 6.0 for score in scores)  # 16 codes, hardly trained: about 4 bits
    assert "bits per dim" in capsys.readouterr().out


def test_what_a_prior_cannot_foresee_costs_all_its_bits(finished):
    bundle, catalog = checkpoints.load_bundle(finished), Catalog.load(finished / "shards")
    for prior in bundle.priors.values():
        for parameter in (prior.embed.weight, *([prior.out.weight] if prior.out else [])):
            torch.nn.init.zeros_(parameter)
    assert [score.bpd for score in evaluate(bundle, catalog, 2, print)] == pytest.approx([4.0] * 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [([], "run_dir is missing"), (["run_dir=nowhere", "data.path=nowhere"], "nowhere does not hold a finished run")],
)
def test_mistakes_are_one_line(words, told, capsys):
    with pytest.raises(SystemExit) as ended:
        command.run(main, "evaluate", words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
