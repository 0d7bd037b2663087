"""Where numbers and media go: metrics.csv goes on after a stop, dashboards get the same media, nothing is asked for."""

import io
import sys

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from wandb.errors import CommError
from wandb.sdk.lib import wbauth

from jukebox_pl.errors import UserError
from jukebox_pl.training.loggers import dashboards
from jukebox_pl.training.loggers.files import FilesLogger, read_metrics
from jukebox_pl.utils import files


def png():
    data = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(data, "PNG")
    return data.getvalue()


SOUND = np.linspace(-0.5, 0.5, 200, dtype=np.float32).reshape(2, 100)


@pytest.mark.parametrize(
    ("asked", "environment", "key", "expected"),
    [
        ("auto", {}, None, "offline"),
        ("auto", {}, "in netrc", "online"),
        ("auto", {"WANDB_API_KEY": "x"}, None, "online"),
        ("auto", {"WANDB_API_KEY": "x", "WANDB_MODE": "disabled"}, None, "disabled"),
        ("online", {"WANDB_MODE": "offline"}, None, "online"),
    ],
)
def test_the_mode_is_settled_without_asking(asked, environment, key, expected, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dashboards.wbauth, "read_netrc_auth", lambda host: key)
    assert dashboards.wandb_mode(asked) == expected


def test_private_parts_of_other_libraries_are_where_they_were():
    assert callable(wbauth.read_netrc_auth)
    for name in ("_check_log_dir_exists", "_rewrite_with_new_header", "_record_new_keys"):
        assert callable(getattr(ExperimentWriter, name))


def test_a_server_that_does_not_answer_leaves_the_run_offline(tmp_path, monkeypatch):
    modes = []

    def init(mode, **options):
        modes.append(mode)
        if mode == "online":
            raise CommError("no answer")
        return "run"

    monkeypatch.setattr(dashboards.wandb, "init", init)
    assert dashboards.start_run(tmp_path, "run", "project", "online") == "run"
    assert modes == ["online", "offline"]


class Recorder:
    """Stands where a dashboard's writer would, and keeps what it is called with."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))


def test_files_are_named_after_what_they_show_and_the_step(tmp_path):
    logger = FilesLogger(tmp_path, "run/stage")
    logger.log_audio("sample", SOUND, 8000, 12, "step 12")
    logger.log_image("sample", png(), 12, "step 12")
    names = {path.name for path in (tmp_path / "media").iterdir()}
    assert names == {"sample_step_0000012.wav", "sample_step_0000012.png"}


def test_weights_and_biases_gets_the_sound_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(dashboards, "start_run", lambda *_: None)
    logger, logged = dashboards.WandbMediaLogger(tmp_path, "run/stage", mode="offline"), {}
    monkeypatch.setattr(logger, "log_metrics", lambda metrics, step: logged.update({step: logged.get(step, {}) | metrics}))
    logger.log_audio("sample", SOUND, 8000, 12, "step 12")
    logger.log_image("sample", png(), 12, "step 12")
    ((sound,), (picture,)) = logged[12]["audio/sample"], logged[12]["pictures/sample"]
    assert (sound._sample_rate, sound._duration) == (8000, 100 / 8000)
    assert picture.image.size == (3, 2)


def test_tensorboard_gets_mono_and_pixels(tmp_path, monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(dashboards.TensorBoardLogger, "__init__", lambda self, *_, **__: None)
    monkeypatch.setattr(dashboards.TensorBoardLogger, "experiment", recorder)
    logger = dashboards.TensorBoardMediaLogger(tmp_path)
    logger.log_audio("sample", SOUND, 8000, 12, "step 12")
    logger.log_image("sample", png(), 12, "step 12")
    (sound, picture) = recorder.calls
    assert (sound[0], sound[1][0], sound[1][1].shape, sound[1][2]) == ("add_audio", "audio/sample", (1, 100), 12)
    assert (picture[0], picture[1][1].shape) == ("add_image", (2, 3, 3))


@pytest.mark.skipif("tensorboard" in sys.modules, reason="tensorboard is there")
def test_without_tensorboard_it_says_what_to_install(tmp_path, monkeypatch):
    def missing(self, *_, **__):
        raise ModuleNotFoundError("tensorboard")

    monkeypatch.setattr(dashboards.TensorBoardLogger, "__init__", missing)
    with pytest.raises(UserError, match=r"pip install 'jukebox_pl\[tensorboard\]'"):
        dashboards.TensorBoardMediaLogger(tmp_path)


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
