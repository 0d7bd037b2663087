"""Every way in which Spleeter fails without saying so, played by a script in its place; and Spleeter itself, where it is."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jukebox_pl.catalog.separators import spleeter_process
from jukebox_pl.catalog.separators.spleeter import Spleeter
from jukebox_pl.catalog.separators.spleeter_process import PYTHON, SpleeterProcess
from jukebox_pl.errors import UserError

RATE = 44_100
# Stands where an interpreter would: answers to `-c CODE` with 0, to `-m spleeter separate` as its files' names say.
ACTOR = f"""#!{sys.executable}
import os, subprocess, sys, time
from pathlib import Path
import soundfile

def separate(out, files, share=1.0):
    for file in files:
        sound, rate = soundfile.read(file)
        folder = Path(out, Path(file).stem)
        folder.mkdir()
        soundfile.write(folder / "vocals.wav", sound[:int(share * len(sound))] * [1, 0], rate)
        soundfile.write(folder / "accompaniment.wav", sound * [0, 1], rate)

if sys.argv[1] == "-c":
    sys.exit({{has_spleeter}})
assert sys.argv[1:7] == ["-m", "spleeter", "separate", "-p", "spleeter:2stems", "-o"], sys.argv
assert float(sys.argv[9]) > 60 and sys.argv[8] == "-d" and Path(os.environ["MODEL_PATH"], "2stems").is_dir()
out, files = sys.argv[7], sys.argv[10:]
{{act}}
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stands where ffmpeg and ffprobe would, which only Spleeter itself calls."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("ffmpeg", "ffprobe"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def actor(tmp_path, model_path, programs):
    """The separator around a script whose last lines are given."""

    def make(act, has_spleeter=0, **options):
        script = tmp_path / "python"
        script.write_text(ACTOR.format(has_spleeter=has_spleeter, act=act))
        script.chmod(0o755)
        return SpleeterProcess(str(script), str(model_path), **options)

    return make


def test_vocals_come_back_whole_from_pieces(actor, stereo, monkeypatch):
    monkeypatch.setattr(spleeter_process, "PIECE", 100_000)
    monkeypatch.setattr(spleeter_process, "MARGIN", 10_000)
    separator = pickle.loads(pickle.dumps(actor("assert len(files) == 6; separate(out, files)")))
    vocals = separator(stereo, RATE)
    np.testing.assert_allclose(vocals[0], stereo[0], atol=1e-4)
    assert not vocals[1].any()


FAILURES = {
    "wrote no vocals.wav .An error occurs with ffprobe": 'print("An error occurs with ffprobe", file=sys.stderr)',
    r"answered with \(2, 264600\) .* to 529200 samples": "separate(out, files, share=0.5)",
    "exit code 3 .tensorflow is angry": 'print("line\\ntensorflow is angry", file=sys.stderr); sys.exit(3)',
}


@pytest.mark.parametrize("message", FAILURES)
def test_what_goes_wrong_is_told(actor, stereo, message):
    with pytest.raises(UserError, match=message):
        actor(FAILURES[message])(stereo, RATE)


def test_weights_that_vanish_are_told_before_random_ones_are_taken(actor, model_path, stereo):
    separator = actor("separate(out, files)")
    (model_path / "2stems" / "model.index").unlink()
    with pytest.raises(UserError, match=r"lacks model\.index"):
        separator(stereo, RATE)


def test_a_checkpoint_of_another_name_is_told_before_random_weights_are_taken(actor, model_path, stereo):
    (model_path / "2stems" / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/model"\n')
    with pytest.raises(UserError, match=r"checkpoint names '/elsewhere/model': expected"):
        actor("separate(out, files)")(stereo, RATE)


def test_what_is_missing_is_told_at_construction(actor, model_path, monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"does not have spleeter: .*install_spleeter FOLDER"):
        actor("", has_spleeter=1)
    with pytest.raises(UserError, match=r"config is mine\.json, where there is no file"):
        actor("", config="mine.json")
    with pytest.raises(UserError, match="does not run"):
        SpleeterProcess(str(model_path / "2stems" / "checkpoint"), str(model_path))
    monkeypatch.delenv(PYTHON, raising=False)
    with pytest.raises(UserError, match=f"neither python= nor {PYTHON} names an interpreter"):
        SpleeterProcess(None, str(model_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs ffmpeg"):
        actor("")


@pytest.mark.slow
def test_our_port_answers_as_spleeter_itself(real_python, tmp_path, stereo):
    """A real checkpoint with every variable random; the song is of two pieces, of which Spleeter writes 16 bits."""
    (tmp_path / "2stems").mkdir()
    script = Path(__file__).with_name("real_checkpoint.py")
    subprocess.run(
        [real_python, script, tmp_path], check=True, capture_output=True, env=spleeter_process.clean_environment()
    )
    song = np.tile(stereo, (1, 5))
    assert song.shape[1] > spleeter_process.PIECE
    itself = SpleeterProcess(real_python, str(tmp_path), str(tmp_path / "small.json"))(song, RATE)
    port = Spleeter(str(tmp_path))(song, RATE)
    assert np.abs(port).max() > 0.1
    assert np.abs(port - song).max() > 0.1
    np.testing.assert_allclose(port, itself, atol=5e-5)
