import base64
import html
import json
import os
import re
import time

import numpy as np
import pytest
from made_run import RATE, STEPS, write_run, write_stage

from jukebox_pl import audio
from jukebox_pl.errors import UserError
from jukebox_pl.report import __main__ as report_command
from jukebox_pl.report.run_page import evenly, is_outdated, write_run_page
from jukebox_pl.report.runs import PLAN, Promise, add_promises, read_plan, read_run
from jukebox_pl.utils.locks import is_locked, locked

ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def run_dir(tmp_path):
    return write_run(tmp_path / "mine")


def rows_of(page, label="Stages in order"):
    table = page[page.index(label) :].split("</table>")[0]
    return [re.findall("<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]


def test_stages_come_in_the_order_in_which_they_are_made_of_each_other(run_dir):
    stages = read_run(run_dir)
    assert [stage.name for stage in stages] == ["vqvae", "codes", "a_prior"]
    assert [stage.steps for stage in stages] == [300, 0, 300]
    assert [stage.best_step for stage in stages] == [200, None, 200]


def test_what_is_no_number_is_no_point(run_dir):
    points = read_run(run_dir)[0].metrics
    assert [step for step, _ in points["train/grad_norm"]] == [0, 200, 300]
    assert [step for step, _ in points["val/loss"]] == list(STEPS)


def test_the_page_says_how_far_every_stage_is(run_dir):
    page = html.unescape(write_run_page(run_dir).read_text())
    assert "<h1>mine</h1>" in page
    rows = rows_of(page)
    assert [row[:2] for row in rows] == [
        ["vqvae", "finished"],
        ["codes", "finished"],
        ["a_prior", "going on, or interrupted"],
    ]
    assert rows[0][2:5] == ["300", "val/loss 4", "1.5"]


def test_what_was_promised_is_beside_what_it_took(run_dir):
    add_promises(run_dir, {"vqvae": Promise(400, 1000, "samples", 2_500_000_000)})
    with open(run_dir / "vqvae" / "metrics.csv", "w") as file:
        file.write("step,speed/tokens_per_second,speed/peak_memory_gb\n100,2000,2.1\n300,4000,1.9\n")
    written = time.time()
    os.utime(run_dir / "vqvae" / "config.json", (written - 150, written - 150))
    os.utime(run_dir / "vqvae" / "result.json", (written, written))
    page = html.unescape(write_run_page(run_dir).read_text())
    assert rows_of(page, "What was promised") == [
        ["vqvae", "promised", "400", "400,000 samples", "2.5 GB", "3 min 20 s"],
        ["vqvae", "took", "300", "300,000 samples", "2.1 GB", "2 min 30 s"],
    ]


def test_the_page_begins_with_how_the_run_stands(run_dir):
    add_promises(run_dir, {"a_prior": Promise(400, 1000, "codes", 1)})
    status = "<p>Going on, or interrupted: a_prior, step 300 of 400. 2 of 3 stages are finished.</p>"
    assert status in write_run_page(run_dir).read_text()
    (run_dir / "a_prior" / "result.json").write_text('{"fingerprint": "x", "steps": 400}')
    for stage in ("vqvae", "codes", "a_prior"):
        written = (run_dir / stage / "result.json").stat().st_mtime
        os.utime(run_dir / stage / "config.json", (written - 100, written - 100))
    assert "<p>Finished: 3 stages in 5 min 0 s.</p>" in write_run_page(run_dir).read_text()


def test_the_best_step_is_heard_first_and_the_others_are_folded(run_dir):
    for step in range(400, 2000, 100):
        sound = np.zeros((1, 100), np.float32)
        audio.write(run_dir / "vqvae" / "media" / f"sample_step_{step:07d}.wav", sound, RATE)
    page = write_run_page(run_dir).read_text()
    first, folded = page.split('id="vqvae"')[1].split("</section>")[0].split("<summary>At other steps</summary>")
    assert re.findall(r"<p>(step \d+.*?)</p>", first) == ["step 200, the best"]
    assert len(re.findall(r"<p>step \d+</p>", folded)) == 6


def test_a_card_on_a_phone_says_what_each_number_is(run_dir):
    row = write_run_page(run_dir).read_text().split("<tbody>")[1].split("</tr>")[0]
    cells = re.findall(r"<td([^>]*)>(.*?)</td>", row)
    assert cells[:3] == [("", "vqvae"), ("", "finished"), (' data-label="steps"', "300")]
    assert cells[-1] == (' class="nothing"', "–")


def test_the_page_that_a_stage_has_written_stays(run_dir):
    song = write_stage(run_dir, "song")
    (song / "index.html").write_text("a song")
    result = json.loads((song / "result.json").read_text())
    (song / "result.json").write_text(json.dumps(result | {"summary": {"page": str(song / "index.html")}}))
    write_run_page(run_dir)
    assert (song / "index.html").read_text() == "a song"


def test_without_a_plan_nothing_was_promised(run_dir):
    assert "What was promised" not in write_run_page(run_dir).read_text()
    (run_dir / PLAN).write_text("{")
    with pytest.raises(UserError, match=r"plan\.json is not JSON"):
        write_run_page(run_dir)


def test_promises_of_finished_stages_stay(run_dir):
    one, other = Promise(1, 2, "codes", 3), Promise(4, 5, "codes", 6)
    add_promises(run_dir, {"vqvae": one, "a_prior": one})
    add_promises(run_dir, {"a_prior": other})
    assert read_plan(run_dir).stages == {"vqvae": one, "a_prior": other}


def test_the_page_draws_plays_and_judges(run_dir):
    page = html.unescape(write_run_page(run_dir).read_text())
    for panel in ("loss", "learning rate", "gradient norm", "codebook use"):
        assert f'aria-label="{panel} of vqvae over its steps"' in page
    assert page.count("<svg") == 2 * 4
    sounds = [base64.b64decode(data) for data in re.findall('"data:audio/flac;base64,([^"]+)"', page)]
    assert len(sounds) == 2 * 3
    heard, rate = audio.read(sounds[0])
    assert (rate, round(float(heard[0, 0]), 2)) == (RATE, 0.2)
    assert "step 200, the best" in page
    assert rows_of(page, "What vqvae listens to") == [
        ["artist", "used", "+0.0123 [+0.0100, +0.0200]", "9"],
        ["timing", "unknown", "–", "0"],
    ]
    assert "sample at step 200" in page
    assert "_target_: TrainStage" in page


def test_the_best_sample_of_a_stage_has_a_page(run_dir):
    original = np.full((1, RATE // 5), 0.25, np.float32)
    audio.write(run_dir / "vqvae" / "media" / "original_step_0000200.wav", original, RATE)
    write_run_page(run_dir)
    page = html.unescape((run_dir / "vqvae" / "index.html").read_text())
    assert "<h1>vqvae at its best, step 200</h1>" in page
    assert re.findall("<figcaption>(.*?)</figcaption>", page) == ["sample", "original"]
    sample, original = (
        audio.read(base64.b64decode(data))[0] for data in re.findall('"data:audio/flac;base64,([^"]+)"', page)
    )
    assert (round(float(sample[0, 0]), 2), round(float(original[0, 0]), 2)) == (0.2, 0.25)
    assert sample.shape == original.shape
    assert '<a href="vqvae/index.html">vqvae on a page of its own</a>' in (run_dir / "index.html").read_text()
    assert not (run_dir / "codes" / "index.html").exists()


def test_two_runs_share_their_panels_and_differ_in_their_settings(run_dir, tmp_path):
    other = write_run(tmp_path / "other", lr=0.2)
    page = html.unescape(write_run_page(run_dir, compare=other, path=tmp_path / "both.html").read_text())
    assert "<h1>mine and other</h1>" in page
    assert page.count("<svg") == 2 * 4
    assert "train, mine" in page
    assert "train, other" in page
    assert "vqvae.lr: 0.1 -> 0.2" in page
    assert [row[2] for row in rows_of(page)] == ["mine", "other"] * 3


def test_text_from_outside_is_escaped_and_nothing_is_fetched(tmp_path):
    run_dir = tmp_path / "a & b"
    stage = write_stage(run_dir, "vqvae", note=ATTACK)
    (stage / "conditioning.json").write_text(json.dumps({"conditioning": {ATTACK: {"verdict": ATTACK}}}))
    (stage / "media" / "sample_step_0000100.wav").rename(stage / "media" / "<i>_step_0000100.wav")
    page = write_run_page(run_dir).read_text()
    assert "<script>alert" not in page
    assert "<i>" not in page
    assert not re.search(r"""src=["'](?!data:)|href=["'](?!data:|#|vqvae/index)|url\((?!#)|@import|https?:""", page)


@pytest.mark.parametrize("record", ["[]", "{", '{"needs": 3}'])
def test_a_corrupt_record_is_named(run_dir, record):
    (run_dir / "codes" / "config.json").write_text(record)
    with pytest.raises(UserError, match=r"codes/config\.json"):
        write_run_page(run_dir)


def test_a_folder_that_is_no_run_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match="holds no run"):
            write_run_page(folder)


def test_stages_that_need_each_other_are_told(tmp_path):
    write_stage(tmp_path, "one", needs=("two",))
    write_stage(tmp_path, "two", needs=("one",))
    with pytest.raises(UserError, match="in a circle"):
        read_run(tmp_path)


def test_a_page_is_outdated_when_a_stage_was_finished_since(run_dir):
    assert is_outdated(run_dir)
    write_run_page(run_dir)
    assert not is_outdated(run_dir)
    write_stage(run_dir, "later")
    assert is_outdated(run_dir)


@pytest.mark.parametrize(("steps", "shown"), [([], []), ([5], [5]), (list(range(100)), [0, 20, 40, 59, 79, 99])])
def test_of_many_steps_the_first_the_last_and_some_between_are_heard(steps, shown):
    assert evenly(steps) == shown


def test_the_command_writes_the_page_again_until_the_run_ends(run_dir, monkeypatch, capsys):
    pages = []

    def nap(seconds):
        assert seconds == 3
        pages.append((run_dir / "index.html").read_text())

    monkeypatch.setattr(report_command.time, "sleep", nap)
    monkeypatch.setattr(report_command, "is_locked", lambda folder: len(pages) < 2)
    report_command.cli_main([f"run_dir={run_dir}", "live=true", "every=3"])
    assert [re.findall('data-refresh="(.*?)"', page) for page in pages] == [["3"], ["3"]]
    assert "data-refresh" not in (run_dir / "index.html").read_text().split("<script>")[0]
    assert capsys.readouterr().out.splitlines() == [str(run_dir / "index.html")] * 3


def test_the_command_answers_scripts(run_dir, capsys):
    report_command.cli_main([f"run_dir={run_dir}", "json=true"])
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"command": "report", "page": str(run_dir / "index.html")}


@pytest.mark.parametrize(("words", "said"), [([], "run_dir is missing"), (["run_dir=x", "every=0"], "every=0")])
def test_a_mistake_is_one_line(words, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        report_command.cli_main(words)
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_a_folder_is_seen_to_be_in_use_from_another_process(tmp_path):
    import os

    assert not is_locked(tmp_path)
    with locked(tmp_path, "run_dir"):
        if (child := os.fork()) == 0:
            os._exit(is_locked(tmp_path))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert not is_locked(tmp_path)
