"""Reading files in the released layout: what is kept, what is refused, and how the refusal reads."""

import os
import pickle
import sys
import types
import zipfile
from contextlib import suppress

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.openai.configs import released_config
from jukebox_pl.openai.files import load_released, nearest, read_released
from jukebox_pl.openai.hparams import PRIORS
from jukebox_pl.openai.keys import expected_shapes
from jukebox_pl.types import Labels


def labels():
    return Labels(*(torch.tensor(x) for x in ([1], [[1, -1]], [80_000], [0], [512], [[0, 0, 4, 5, 6, 7, 8, 9]])))


def test_every_part_computes(folder):
    vqvae = load_released(folder / "vqvae.pth.tar")
    codes = vqvae.encode(torch.randn(1, 1, 1024))
    assert [part.shape[1] for part in codes] == [256, 128]
    for level in (0, 1):
        prior = load_released(folder / f"prior_level_{level}.pth.tar")
        cond = prior.condition(labels(), codes[1][:, :16] if level == 0 else None)
        assert prior(codes[level][:, :31], cond).isfinite().all()


def test_half_weights_stay_half_until_they_are_loaded(folder):
    path = folder / "prior_level_1.pth.tar"
    state = read_released(path).state
    assert state["transformer.blocks.0.mlp.0.weight"].dtype == torch.float16
    assert state["transformer.blocks.0.mlp_norm.weight"].dtype == torch.float32
    assert {p.dtype for p in load_released(path).parameters()} == {torch.float32}
    half = load_released(path, torch.float16)
    assert half.transformer.dtype == half.lyrics.transformer.dtype == torch.float16
    assert half.transformer.blocks[0].mlp_norm.weight.dtype == half.embed.weight.dtype == torch.float32


def test_dense_layers_are_turned_round(folder):
    stored = torch.load(folder / "prior_level_1.pth.tar", weights_only=True)["model"]
    state = read_released(folder / "prior_level_1.pth.tar").state
    assert state["transformer.blocks.3.attention.kv.weight"].equal(
        stored["module.prior.transformer._attn_mods.3.attn.c_enc_kv.w"].t()
    )


def test_a_codebook_goes_on_with_the_even_share_of_a_clip(folder):
    state = read_released(folder / "vqvae.pth.tar").state
    assert state["levels.0.codebook.counts"].tolist() == [1024 / 4 / 16] * 16
    torch.testing.assert_close(state["levels.1.codebook.sums"], state["levels.1.codebook.codes"] * 1024 / 8 / 16)
    assert state["levels.0.codebook.updates"] == 1


def test_hyper_parameters_of_the_original_class_are_a_dict(folder, monkeypatch):
    path = folder / "vqvae.pth.tar"
    record = torch.load(path, weights_only=True)
    original = types.ModuleType("jukebox.hparams")
    original.Hyperparams = type("Hyperparams", (dict,), {"__module__": "jukebox.hparams"})
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "jukebox", types.ModuleType("jukebox"))
        patched.setitem(sys.modules, "jukebox.hparams", original)
        torch.save(record | {"hps": original.Hyperparams(record["hps"])}, path, _use_new_zipfile_serialization=False)
    assert read_released(path).hps["width"] == 8


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


BROKEN = {
    "found a web page": b"<!DOCTYPE html><html></html>",
    "found nothing": b"",
    "found a pickle that would run posix.system": pickle.dumps(Runs(), protocol=2),
    "found part of a file or another kind of file": b"\x80\x02",
}


@pytest.mark.parametrize("message", BROKEN)
def test_files_that_are_no_checkpoints(folder, message):
    path = folder / "prior_level_1.pth.tar"
    path.write_bytes(BROKEN[message])
    with pytest.raises(
        UserError, match=rf"prior_level_1\.pth\.tar \({len(BROKEN[message])} bytes\).*{message}.*download it again"
    ):
        read_released(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(folder, share):
    path = folder / "prior_level_1.pth.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match="found part of a file"):
        read_released(path)


def test_keys_that_are_missing_left_over_or_of_another_shape(rewrite):
    changes = {
        "prior.pos_emb.pos_emb": None,
        "prior.extra.3": torch.zeros(2),
        "prior.x_emb.weight": torch.zeros(7, 16),
    }
    with pytest.raises(UserError) as refused:
        read_released(rewrite("prior_level_1.pth.tar", **changes))
    lines = str(refused.value).splitlines()
    assert "3 differ" in lines[0]
    assert "  1 x prior.pos_emb.pos_emb: expected (32, 16), found -" in lines
    assert "  1 x prior.extra.*: expected -, found (2,)" in lines
    assert "  1 x prior.x_emb.weight: expected (16, 16), found (7, 16)" in lines


def test_an_output_that_should_be_the_embedding(rewrite):
    with pytest.raises(UserError, match=r"expected prior\.x_out\.weight to be prior\.x_emb\.weight"):
        read_released(rewrite("prior_level_0.pth.tar", **{"prior.x_out.weight": torch.zeros(16, 16)}))


def test_another_level_than_the_name_says(folder):
    (folder / "prior_level_1.pth.tar").rename(folder / "prior_level_2.pth.tar")
    with pytest.raises(UserError, match="expected the prior of level 2, found that of level 1"):
        read_released(folder / "prior_level_2.pth.tar")


def test_another_name(folder):
    (folder / "vqvae.pth.tar").rename(folder / "vqvae.pt")
    with pytest.raises(UserError, match=r"called neither vqvae\.pth\.tar nor"):
        read_released(folder / "vqvae.pt")


def test_a_file_without_hyper_parameters_is_compared_with_the_released_models(folder):
    path = folder / "prior_level_1.pth.tar"
    torch.save({"model": torch.load(path, weights_only=True)["model"]}, path)
    with pytest.raises(UserError, match=r"prior\.x_emb\.weight: expected \(\d+, 1024\), found \(16, 16\)"):
        read_released(path)


@pytest.mark.parametrize("name", [name for name in PRIORS if not name.startswith("small")])
def test_a_released_model_is_known_by_its_keys_and_its_level(name):
    shapes = expected_shapes(checkpoints.on_meta(released_config(name)))
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    assert nearest(state, PRIORS[name]["level"]) is PRIORS[name]


def test_an_archive_that_says_it_is_larger_than_its_file(folder):
    path = folder / "vqvae.pth.tar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**8))
    with pytest.raises(UserError, match="its parts are 100,000,000 bytes unpacked, more than the file has"):
        read_released(path)


def test_a_pipe_and_an_endless_device(tmp_path):
    os.mkfifo(tmp_path / "vqvae.pth.tar")
    (tmp_path / "prior_level_0.pth.tar").symlink_to("/dev/zero")
    for path in tmp_path.iterdir():
        with pytest.raises(UserError, match="is no regular file"):
            read_released(path)


NOT_PLAIN = {
    "one number as many": torch.zeros(1).expand(10**9, 10**3),
    "a sparse one": torch.sparse_coo_tensor([[0]], [1.0], (10**9,)),
    "without memory": torch.zeros(10**9, device="meta"),
    "whole numbers": torch.zeros(16, 16, dtype=torch.long),
}


@pytest.mark.parametrize("tensor", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_tensors_that_are_no_plain_weights(rewrite, tensor):
    with pytest.raises(UserError, match="expected a mapping with `model`"):
        read_released(rewrite("prior_level_1.pth.tar", **{"prior.x_emb.weight": tensor}))


ANY_KIND = None, "text", -1, 2**80, [], [2, 1, 2], 0.5, 7


@pytest.mark.slow
@pytest.mark.parametrize("part", ["vqvae", "prior_level_1"])
def test_hyper_parameters_of_any_kind(folder, part):
    path = folder / f"{part}.pth.tar"
    record = torch.load(path, weights_only=True)
    for name in record["hps"]:
        for value in ANY_KIND:
            torch.save(record | {"hps": record["hps"] | {name: value}}, path)
            with suppress(UserError):
                read_released(path)


def test_hyper_parameters_that_are_a_text(folder):
    path = folder / "vqvae.pth.tar"
    torch.save(torch.load(path, weights_only=True) | {"hps": "text"}, path)
    with pytest.raises(UserError, match="expected hyper-parameters by name, found str"):
        read_released(path)
