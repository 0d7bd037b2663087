"""Records of stages, sessions and prepared songs with something else in one place: read as records, or one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import damaged_bytes, damaged_json, examples, outcome

from jukebox_pl.catalog.doctor.examine import AudioStats
from jukebox_pl.catalog.reading import Prepared
from jukebox_pl.pipeline.stage_folder import StageFolder, StageResult
from jukebox_pl.sessions.models import Computing, Models
from jukebox_pl.sessions.nodes import Node, Session
from jukebox_pl.types import SamplingParams, Section, Song, SongRequest, Word
from jukebox_pl.utils.codes import from_npz, to_npz
from jukebox_pl.utils.files import write_json

REQUEST = SongRequest({"Anna": 0.7}, ("folk",), "la", 1.6, 9.0, 1.0, (Section(0.5, lyrics="c"),))
MODELS = Models({"vqvae": "b1", "prior 0": "c2"}, 80, (4, 8), 16)
PARAMS = SamplingParams((0.9, 0.8), parallel_windows=2)
NODE = Node("extend", REQUEST, PARAMS, 7, 0, MODELS, Computing(), "seed_1", {"at": 0.5}, {0: "0f", 1: "1e"})
STATS = AudioStats(180.0, 44100, 2, 0.9, 0.0, 0.01, 0.1, 1.0, 0.0, -15.0, 18000.0, -1.0, -0.5, "")
SONG = Song("a1", 16000, 8000, "Title", "Ada", ("folk",), "la", (Word("la", 0.0, 0.1),))
CONFIG = {"model": {"width": 32, "downs": [3, 2]}, "needs": {"vqvae": "f"}}
CODES = to_npz({0: [1, 2, 3, 4], 1: [5, 6]})


def stage(folder: Path) -> StageFolder:
    return StageFolder(folder, "stage")


def begin(folder: StageFolder) -> None:
    folder.require_same(CONFIG, {})
    write_json(folder.path / "before.json", 1.0)


# By file: how it is written, and how it is read.
FILES = {
    "stage/result.json": (
        lambda folder: stage(folder).finish(StageResult("abc", {"loss": 1.5, "levels": [[1, 2.0]]}, 10, 20)),
        lambda folder: stage(folder).result(),
    ),
    "stage/config.json": (
        lambda folder: begin(stage(folder)),
        lambda folder: stage(folder).require_same(CONFIG, {}),
    ),
    "node/node.json": (
        lambda folder: write_json(folder / "node/node.json", NODE.to_json()),
        lambda folder: Session(folder).node("node"),
    ),
    "session.json": (
        lambda folder: write_json(folder / "session.json", {"picked": "node"}),
        lambda folder: Session(folder).picked(),
    ),
    "a1.json": (
        lambda folder: Prepared(SONG, "", ("short",), STATS).save(folder / "a1.json"),
        lambda folder: Prepared.load(folder / "a1.json"),
    ),
}


@pytest.mark.parametrize("file", FILES)
def test_what_is_written_is_read(tmp_path, file):
    write, read = FILES[file]
    write(tmp_path)
    first = outcome(read, tmp_path)
    assert (tmp_path / file).is_file()
    if file == "node/node.json":
        assert first == NODE
    if file == "a1.json":
        assert first == Prepared(SONG, "", ("short",), STATS)


@pytest.mark.parametrize("file", FILES)
@examples(120)
@given(data=st.data())
def test_a_damaged_record_is_read_as_one_or_told(tmp_path, file, data):
    write, read = FILES[file]
    (tmp_path / file).unlink(missing_ok=True)
    write(tmp_path)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(data.draw(st.one_of(damaged_json(whole), damaged_bytes(whole))))
    found = outcome(read, tmp_path)
    assert found is None or isinstance(found, StageResult | Node | Prepared | str)


@examples(300)
@given(damaged=damaged_bytes(CODES))
def test_damaged_codes_are_the_same_codes_or_refused(damaged):
    try:
        found = {level: array.tolist() for level, array in from_npz(damaged).items()}
    except ValueError:
        return
    assert found == {0: [1, 2, 3, 4], 1: [5, 6]}


# Files that would take hours or all memory, made by what is run before `read(folder)`.
ENDLESS = {
    "a FIFO": "os.mkfifo(folder / 'catalog.json')",
    "a device": "os.symlink('/dev/zero', folder / 'catalog.json')",
    "a folder": "(folder / 'catalog.json').mkdir()",
    "a terabyte": "os.truncate(open(folder / 'catalog.json', 'w').name, 2**40)",
    "deep": "(folder / 'catalog.json').write_text('[' * 10**8)",
    "a long text": "(folder / 'catalog.json').write_text('{\"schema\": 1, \"artists\": [\"' + 'a' * 10**8 + '\"]}')",
    "a long number": "(folder / 'catalog.json').write_text('{\"schema\": ' + '1' * 10**8 + '}')",
    "a shard that is a FIFO": "shard.unlink(); os.mkfifo(shard)",
    "a shard that is a device": "shard.unlink(); os.symlink('/dev/zero', shard)",
    "a shard of a terabyte of nothing": "os.truncate(shard, 2**40)",
    "a member of an exabyte": "member('train_0.flac', b'', size=2**60)",
    "a member of less than nothing": "member('train_0.flac', b'', size=-512)",
    "a long header": "member('train_0.flac', b'', size=2**50, kind=b'x')",
    "a sparse member": "member('train_0.flac', b'', size=2**50, kind=b'S')",
    "a FLAC of 2**36 samples": "flac(lambda data: data[:21] + bytes([data[21] | 15]) + b'\\xff' * 4 + data[26:])",
    "codes of 2**60": "codes(lambda data: data.replace(b'(32,), }            ', b'(%d,), }' % 2**60))",
    "compressed codes": "codes(lambda data: bomb())",
}
PRELUDE = """
import io, os, sys, tarfile, zipfile
from pathlib import Path
import numpy as np
from test_fuzz_catalog import make, read
from jukebox_pl.errors import UserError

def member(name, data, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    shard.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(20480))

def change(extension, edit):
    with tarfile.open(shard) as tar:
        members = [(each, tar.extractfile(each).read()) for each in tar]
    with tarfile.open(shard, "w") as tar:
        for each, data in members:
            data = edit(data) if each.name.endswith(extension) else data
            each.size = len(data)
            tar.addfile(each, io.BytesIO(data))

def flac(edit): change(".flac", edit)
def codes(edit): change(".npz", edit)

def bomb():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, level_0=np.zeros(2**27, np.uint16))
    return buffer.getvalue()
"""
# Every case in a process of its own, of two gigabytes more than what is in it by then, and of twenty seconds.
EACH = """
import json, resource, signal
made, (used, *_) = json.loads(sys.argv[2]), map(int, Path("/proc/self/statm").read_text().split())
for number, (name, edit) in enumerate(made.items()):
    folder = Path(sys.argv[1]) / str(number)
    shard = folder / "train/000000.tar"
    make(folder, has_codes="flac" not in edit)
    if "'catalog.json'" in edit:
        (folder / "catalog.json").unlink()
    exec(edit)
    if not os.fork():
        limit = used * resource.getpagesize() + 2**31
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        signal.alarm(120)  # where it waits
        said = "nothing"
        try:
            read(folder)
        except UserError as error:
            said = "one line" if len(str(error).splitlines()) == 1 else "lines"
        except BaseException as error:
            said = repr(error)[:300]
        print(json.dumps([name, said]), flush=True)
        os._exit(0)
    if os.wait()[1]:
        print(json.dumps([name, "killed"]), flush=True)
    for path in (folder / "catalog.json", shard):
        if path.is_file() and not path.is_symlink():
            path.unlink()
"""


def test_no_file_takes_all_memory_or_time(tmp_path):
    command = [sys.executable, "-c", PRELUDE + EACH, str(tmp_path), json.dumps(ENDLESS)]
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert dict(map(json.loads, done.stdout.splitlines())) == dict.fromkeys(ENDLESS, "one line")
