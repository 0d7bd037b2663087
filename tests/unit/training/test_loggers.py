"""Where numbers and media go: metrics.csv goes on after a stop, dashboards get the same media, nothing is asked for."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from wandb.errors import CommError, UsageError
from wandb.sdk.lib import wbauth

from jukebox_pl.errors import UserError
from jukebox_pl.training.loggers import dashboard
from jukebox_pl.training.loggers import wandb as dashboards
from jukebox_pl.training.loggers.files import FilesLogger, read_metrics
from jukebox_pl.training.loggers.media import Clip, Media, Output, Picture, caption, section_of
from jukebox_pl.training.loggers.resuming import Logged
from jukebox_pl.training.loggers.tensorboard import TensorBoardMediaLogger
from jukebox_pl.training.loggers.trackio import TrackioMediaLogger
from jukebox_pl.utils import files


def png():
    data = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(data, "PNG")
    return data.getvalue()


def media():
    clip, picture = Clip(SOUND, {"artist": "Mira", "song": "Lodu"}), Picture(png(), "step 12")
    numbers, shares = {"codebook/level_0_dead_codes": 1.0}, {"level_0": np.arange(5.0)}
    return Media("samples", {"sample": clip}, {"sample": picture}, numbers, shares)


SOUND = np.linspace(-0.5, 0.5, 200, dtype=np.float32).reshape(2, 100)


@pytest.mark.parametrize(
    ("asked", "environment", "key", "expected"),
    [
        ("auto", {}, None, "offline"),
        ("auto", {}, "in netrc", "online"),
        ("auto", {"WANDB_API_KEY": "x"}, None, "online"),
        ("auto", {"WANDB_API_KEY": "x", "WANDB_MODE": "disabled"}, None, "disabled"),
        ("online", {"WANDB_MODE": "offline", "WANDB_API_KEY": "x"}, None, "online"),
        ("online", {}, None, "offline"),  # a terminal would be asked for the key
    ],
)
def test_the_mode_is_settled_without_asking(asked, environment, key, expected, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dashboards.wbauth, "read_netrc_auth", lambda host: key)
    assert dashboards.wandb_mode(asked) == expected


def test_another_mode_than_there_is_is_a_mistake(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "of")
    with pytest.raises(UserError, match="WANDB_MODE is of: expected one of auto, online"):
        dashboards.wandb_mode()


def test_private_parts_of_other_libraries_are_where_they_were():
    assert callable(wbauth.read_netrc_auth)
    for name in ("_check_log_dir_exists", "_rewrite_with_new_header", "_record_new_keys"):
        assert callable(getattr(ExperimentWriter, name))


@pytest.mark.parametrize("error", [CommError("no answer"), UsageError("no such key")])
def test_a_server_that_does_not_answer_leaves_the_run_offline(error, tmp_path, monkeypatch, capsys):
    modes = []

    def init(mode, **options):
        modes.append(mode)
        if mode == "online":
            raise error
        return SimpleNamespace(offline=True, dir=f"{tmp_path}/wandb/offline-run-1/files")

    monkeypatch.setenv("WANDB_API_KEY", "x")
    monkeypatch.setattr(dashboards.wandb, "init", init)
    monkeypatch.setattr(dashboards.wandb, "teardown", lambda: modes.append("torn down"))
    logger = dashboards.WandbMediaLogger(tmp_path / "stage", mode="online")
    with pytest.warns(UserWarning, match="is kept offline in"):
        logger.start({})
    assert modes == ["online", "torn down", "offline"]
    assert capsys.readouterr().err.endswith(f"wandb sync {tmp_path}/wandb/offline-run-1\n")


def test_disabled_nothing_is_started_noted_or_written(tmp_path, monkeypatch):
    monkeypatch.setattr(dashboards.wandb, "init", None)
    logger = dashboards.WandbMediaLogger(tmp_path / "run/stage", mode="disabled")
    logger.log_metrics({"train/loss": 1.0}, 1)
    logger.log_output(Output("model", "run/stage/model", "x", {}, {}))
    assert not (tmp_path / "run").exists()


def test_a_resumed_stage_repeats_nothing_and_one_made_anew_is_another_run(tmp_path):
    folder = tmp_path / "run/vqvae"
    first = Logged(folder, "wandb", "s1_vqvae")
    assert [first.note(first.unseen({"loss": 1.0}, step), step) for step in (1, 2)] == [0, 1]
    again = Logged(folder, "wandb", "s1_vqvae")
    assert again.run == first.run
    assert again.unseen({"loss": 1.0, "val": 2.0}, 1) == {}
    assert again.unseen({"loss": 1.0, "val": 2.0}, 2) == {"s1_vqvae/val": 2.0}
    assert again.note(again.unseen({"loss": 1.0}, 3), 3) == 2
    (folder / "wandb.json").unlink()
    assert Logged(folder, "wandb", "s1_vqvae").run.id != first.run.id
    assert Logged(tmp_path / "run/codes", "wandb", "s2_codes").run.id == first.run.id


def test_a_record_of_another_kind_is_a_mistake(tmp_path):
    (tmp_path / "wandb.json").write_text('{"id": "../x"}')
    with pytest.raises(UserError, match=r"wandb\.json"):
        Logged(tmp_path / "vqvae", "wandb", "vqvae")


def test_a_caption_names_song_level_seed_and_step():
    about = {"song": "Lodu", "artist": "Mira Hush", "level": 1, "seed": 0, "lyrics": "la la"}
    assert caption("sample", about, 100) == "sample: Mira Hush - Lodu, level 1, seed 0, step 100"


def test_files_are_named_after_what_they_show_and_the_step(tmp_path):
    FilesLogger(tmp_path, "run/stage").log_media(media(), 8000, 12)
    names = {path.name for path in (tmp_path / "media").iterdir()}
    assert names == {"sample_step_0000012.wav", "sample_step_0000012.png"}


class Recorder:
    """Stands where a dashboard's module or writer would, and keeps what it is called with."""

    TRACKIO_DIR = "somewhere"

    def __init__(self, *args, **kwargs):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs)) or self


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr(dashboard, "OPEN", {})
    return Recorder()


def test_sections_sort_in_the_order_of_a_run():
    order = ["catalog", "vqvae", "top_prior"]
    assert sorted(section_of(stage, order) for stage in ("top_prior", "mine", "vqvae")) == [
        "mine",
        "s2_vqvae",
        "s3_top_prior",
    ]


def test_trackio_gets_the_names_of_the_others_and_the_sounds_one_by_one(tmp_path, monkeypatch, recorder):
    monkeypatch.setitem(sys.modules, "trackio", recorder)
    logger = TrackioMediaLogger(tmp_path / "run/vqvae", sections=["vqvae"])
    logger.log_metrics({"train/loss": 1.0, "lr-AdamW": 0.1}, 11)
    logger.log_media(media(), 8000, 12)
    calls = {name: (args, kwargs) for name, args, kwargs in recorder.calls}
    name = f"{str(tmp_path)[1:].replace('/', '-')}-run {logger.version}"
    assert (calls["init"][1]["name"], calls["init"][1]["resume"]) == (name, "allow")
    assert calls["Audio"][1]["sample_rate"] == 8000
    (first, second) = [(args[0], kwargs["step"]) for name, args, kwargs in recorder.calls if name == "log"]
    assert first == ({"s1_vqvae/train/loss": 1.0, "s1_vqvae/lr": 0.1, "s1_vqvae/step": 11}, 11)
    names = ["audio/samples_0", "codebook/level_0", "codebook/level_0_dead_codes", "pictures/sample", "samples", "step"]
    assert sorted(second[0]) == [f"s1_vqvae/{name}" for name in names]
    assert second[1] == 12


def test_tensorboard_gets_mono_and_pixels(tmp_path, monkeypatch, recorder):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=lambda _: recorder))
    TensorBoardMediaLogger(tmp_path / "run/vqvae", sections=["vqvae"]).log_media(media(), 8000, 12)
    calls = {args[0]: (name, args) for name, args, _ in recorder.calls}
    name, args = calls["s1_vqvae/audio/samples_0"]
    assert (name, args[1].shape, args[2]) == ("add_audio", (1, 100), 12)
    assert calls["s1_vqvae/pictures/sample"][1][1].shape == (2, 3, 3)
    assert "| Mira |" in calls["s1_vqvae/samples"][1][1]


@pytest.mark.parametrize(
    ("module", "kind"), [("torch.utils.tensorboard", TensorBoardMediaLogger), ("trackio", TrackioMediaLogger)]
)
def test_without_its_package_a_logger_says_what_to_install(module, kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"pip install 'jukebox_pl\[{kind.kind}\]'"):
        kind(tmp_path / "run/stage")


OLD = "held_out/loss,step,train/loss\n,0,3.0\n2.5,1,\n,1,2.0\n,2,1.5\n,3,1."


def test_a_resumed_metrics_file_forgets_steps_that_come_again_and_renames_old_columns(tmp_path):
    (tmp_path / "metrics.csv").write_text(OLD)
    logger = FilesLogger(tmp_path)
    logger.log_metrics({"train/loss": 1.25, "new": 7.0}, 2)
    logger.save()
    columns, rows = read_metrics(tmp_path / "metrics.csv")
    assert columns == ["new", "step", "train/loss", "val/loss"]
    shown = [(row["step"], row["train/loss"], row["val/loss"]) for row in rows]
    assert shown == [("0", "3.0", ""), ("1", "", "2.5"), ("1", "2.0", ""), ("2", "1.25", "")]


def test_old_columns_are_read_under_their_new_names_and_an_empty_file_has_none(tmp_path):
    (tmp_path / "metrics.csv").write_text(OLD)
    assert read_metrics(tmp_path / "metrics.csv")[0] == ["val/loss", "step", "train/loss"]
    (tmp_path / "metrics.csv").write_text("")
    assert read_metrics(tmp_path / "metrics.csv") == ([], [])


def test_new_columns_never_leave_the_file_without_its_rows(tmp_path, monkeypatch):
    logger = FilesLogger(tmp_path)
    logger.log_metrics({"train/loss": 1.0}, 0)
    logger.save()
    before = (tmp_path / "metrics.csv").read_bytes()
    logger.log_metrics({"val/loss": 1.0}, 1)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        logger.save()
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_a_validation_that_is_made_again_keeps_the_row_of_its_step_and_loses_those_after(tmp_path):
    first = FilesLogger(tmp_path)
    for step in range(4):
        first.log_metrics({"train/loss": float(step)}, step)
    first.save()
    assert first.experiment.rows == 4
    again = FilesLogger(tmp_path)
    again.experiment.goes_on_after = 2, 2  # the checkpoint of step 2, saved when two rows were there
    again.log_metrics({"val/loss": 9.0}, 1)
    again.save()
    found = [(row["step"], row["train/loss"], row["val/loss"]) for row in read_metrics(tmp_path / "metrics.csv")[1]]
    assert found == [("0", "0.0", ""), ("1", "1.0", ""), ("1", "", "9.0")]
    assert again.experiment.rows == 3
