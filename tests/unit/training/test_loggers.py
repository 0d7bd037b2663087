import pytest
from wandb.errors import CommError

from jukebox_pl.training import loggers


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
    monkeypatch.setattr(loggers.wbauth, "read_netrc_auth", lambda host: key)
    assert loggers.wandb_mode(asked) == expected


def test_a_server_that_does_not_answer_leaves_the_run_offline(tmp_path, monkeypatch):
    modes = []

    def init(mode, **options):
        modes.append(mode)
        if mode == "online":
            raise CommError("no answer")

    monkeypatch.setattr(loggers.wandb, "init", init)
    monkeypatch.setattr(loggers, "WandbLogger", lambda experiment: "logger")
    assert loggers.start_wandb(tmp_path, "run", "project", "online") == "logger"
    assert modes == ["online", "offline"]
