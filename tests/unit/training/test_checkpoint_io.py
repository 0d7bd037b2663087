"""Checkpoints are whole or not there, whatever stops the writing."""

import builtins
import errno
import io

import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.training.checkpoint_io import NEXT, AtomicCheckpointIO, keep_copy, last_path, newest_whole, rotate


class FullDisk(io.FileIO):
    """Takes 100 bytes."""

    def write(self, data):
        if self.tell() + len(data) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "vqvae" / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"global_step": 2}, path)
    return path


def test_a_checkpoint_is_read_as_written_with_nothing_beside(path):
    assert torch.load(path) == {"global_step": 2}
    assert AtomicCheckpointIO().load_checkpoint(path, weights_only=True) == {"global_step": 2}
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_checkpoint_and_is_named(path, monkeypatch):
    usual = builtins.open
    monkeypatch.setattr(
        builtins, "open", lambda file, *a, **k: FullDisk(file, "wb") if a == ("wb",) else usual(file, *a, **k)
    )
    with pytest.raises(OSError, match="No space left") as full:
        AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(1000)}, path)
    monkeypatch.undo()
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(path))
    assert torch.load(path) == {"global_step": 2}
    assert list(path.parent.iterdir()) == [path]


def test_a_killed_process_leaves_the_old_checkpoint_and_its_rest_is_swept(path, monkeypatch):
    def save_half(checkpoint, file):
        file.write(b"PK")
        file.flush()
        raise SystemError  # as far as a killed process comes

    monkeypatch.setattr(torch, "save", save_half)
    monkeypatch.setattr(type(path), "unlink", lambda *_, **__: None)
    with pytest.raises(SystemError):
        AtomicCheckpointIO().save_checkpoint({}, path)
    monkeypatch.undo()
    assert len(list(path.parent.iterdir())) == 2
    assert newest_whole(path.parents[1], reads_sharded=False) == path
    assert list(path.parent.iterdir()) == [path]
    assert torch.load(path) == {"global_step": 2}


def test_there_may_be_no_checkpoint_yet(tmp_path):
    assert newest_whole(tmp_path / "vqvae", reads_sharded=False) is None


def test_half_a_file_is_named_with_the_way_out(path):
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"last.ckpt is cut short.*delete it, and stage vqvae is trained from step 0"):
        newest_whole(path.parents[1], reads_sharded=False)


class Harm:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_an_object_is_named_and_nothing_of_it_is_run(path, tmp_path):
    torch.save({"global_step": 2, "callbacks": Harm(tmp_path / "harm")}, path)
    with pytest.raises(UserError, match=r"last.ckpt holds what is no tensor and no plain value \(\S*open\); delete it: "):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=True)
    assert not (tmp_path / "harm").exists()


def save_next(path, step):
    AtomicCheckpointIO().save_checkpoint({"global_step": step}, path.with_name("next.ckpt.part"))


def test_the_one_before_stays_and_only_that(path):
    for step in (4, 6):
        save_next(path, step)
        rotate(path)
        keep_copy(path, path.with_name(f"step_{step}.ckpt"))
    steps = {file.name: torch.load(file)["global_step"] for file in path.parent.iterdir()}
    assert steps == {"last.ckpt": 6, "previous.ckpt": 4, "step_4.ckpt": 4, "step_6.ckpt": 6}
    save_next(path, 8)
    rotate(path, keep_previous=False)
    assert torch.load(path)["global_step"] == 8
    assert not path.with_name("previous.ckpt").exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def change_a_byte(path):
    data = bytearray(path.read_bytes())
    data[data.index(b"global_step")] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [cut, change_a_byte, lambda path: path.write_bytes(b"")], ids=["cut", "changed", "empty"])
def test_a_broken_one_is_set_aside_for_the_one_before_with_a_warning(path, spoil):
    save_next(path, 4)
    rotate(path)
    spoil(path)
    with pytest.warns(match=r"last.ckpt is cut short or no checkpoint: goes on from previous.ckpt, the one before"):
        found = newest_whole(path.parents[1], reads_sharded=False)
    assert torch.load(found)["global_step"] == 2
    save_next(path, 4)  # as training goes on
    rotate(path)
    assert {file.name for file in path.parent.iterdir()} == {"last.ckpt", "previous.ckpt", "broken.ckpt"}
    assert torch.load(path.with_name("previous.ckpt"))["global_step"] == 2
    assert newest_whole(path.parents[1], reads_sharded=False) == path


def test_where_both_are_broken_both_are_named(path):
    save_next(path, 4)
    rotate(path)
    for file in path.parent.iterdir():
        cut(file)
    with pytest.raises(
        UserError, match=r"last.ckpt and .*previous.ckpt are cut short.*delete .*last.ckpt and .*previous.ckpt, "
    ):
        newest_whole(path.parents[1], reads_sharded=False)


def folder_of_several_devices(path):
    path.mkdir()
    for name in (".metadata", "meta.pt"):
        (path / name).touch()


def test_a_folder_of_several_devices_is_taken_where_it_can_be_read(tmp_path):
    path = last_path(tmp_path / "vqvae")
    path.mkdir(parents=True)
    with pytest.raises(UserError, match="is cut short"):
        newest_whole(tmp_path / "vqvae", reads_sharded=True)
    path.rmdir()
    folder_of_several_devices(path)
    assert newest_whole(tmp_path / "vqvae", reads_sharded=True) == path
    with pytest.raises(UserError, match="spread over files of several devices: go on with trainer=fsdp, or delete it"):
        newest_whole(tmp_path / "vqvae", reads_sharded=False)


def test_folders_take_turns_as_files_do(tmp_path):
    path = last_path(tmp_path / "vqvae")
    path.parent.mkdir(parents=True)
    for step in range(3):
        folder_of_several_devices(path.with_name("next.ckpt.part"))
        (path.with_name("next.ckpt.part") / str(step)).touch()
        rotate(path)
        keep_copy(path, path.with_name("kept.ckpt"))
    assert [(path.with_name(name) / step).exists() for name, step in (("last.ckpt", "2"), ("previous.ckpt", "1"))] == [
        True
    ] * 2
    assert (path.with_name("kept.ckpt") / "2").exists()
    assert {file.name for file in path.parent.iterdir()} == {"last.ckpt", "previous.ckpt", "kept.ckpt"}


def test_files_and_folders_take_each_others_place(tmp_path):
    last = tmp_path / "last.ckpt"
    for number, is_folder in enumerate([False, True, True, False, False]):
        written = tmp_path / NEXT
        if is_folder:
            written.mkdir()
        (written / "meta.pt" if is_folder else written).write_text(str(number))
        rotate(last)
        for path, expected in ((last, number), (tmp_path / "previous.ckpt", number - 1)):
            if expected >= 0:
                assert (path / "meta.pt" if path.is_dir() else path).read_text() == str(expected)
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", "previous.ckpt"}
