"""Checkpoints are whole or not there, whatever stops the writing."""

import builtins
import errno
import io

import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.training.checkpoint_io import AtomicCheckpointIO, newest_whole


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


def test_a_folder_of_several_devices_is_taken_where_it_can_be_read(path):
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="is cut short"):
        newest_whole(path.parents[1], reads_sharded=True)
    for name in (".metadata", "meta.pt"):
        (path / name).touch()
    assert newest_whole(path.parents[1], reads_sharded=True) == path
    with pytest.raises(UserError, match="spread over files of several devices: go on with trainer=fsdp, or delete it"):
        newest_whole(path.parents[1], reads_sharded=False)


def test_a_broken_checkpoint_gives_way_to_the_one_before(path):
    previous = path.with_name("previous.ckpt")
    torch.save({"global_step": 1}, previous)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"last.ckpt is cut short.*goes on from previous.ckpt"):
        assert newest_whole(path.parents[1], reads_sharded=False) == previous
    assert not path.exists()  # or it would become the one before
