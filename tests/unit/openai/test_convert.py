"""From released files to a bundle, and every way it must not go."""

import pytest
import torch
from safetensors.torch import load_file

from jukebox_pl import convert as command
from jukebox_pl.checkpoints import LyricsHead, load_bundle
from jukebox_pl.cli.command import run
from jukebox_pl.errors import UserError
from jukebox_pl.openai.configs import complete
from jukebox_pl.openai.convert import ReleasedFiles, convert, released_lyrics_head
from jukebox_pl.openai.files import load_released
from jukebox_pl.openai.hparams import PRIORS
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.types import SamplingParams, SongRequest


def quiet(line):
    pass


@pytest.fixture
def lists(tmp_path):
    """Lists of 4 artists and 3 genres, as long as the tables of the small priors."""
    artists, genres = tmp_path / "artists.txt", tmp_path / "genres.txt"
    artists.write_text("unknown;0\nanna_b;1\nben;2\nvarious;0\n")
    genres.write_text("unknown;0\nfolk;1\nrock;2\n")
    return artists, genres


def test_a_converted_bundle_is_the_files_and_sings(folder, lists, tmp_path):
    artists, genres = lists
    bundle = load_bundle(convert(ReleasedFiles.find([folder], [artists], [genres]), tmp_path / "out", quiet))
    for level, prior in bundle.priors.items():
        source = load_released(folder / f"prior_level_{level}.pth.tar")
        assert all(a.equal(b) for a, b in zip(prior.state_dict().values(), source.state_dict().values(), strict=True))
    assert bundle.labellers[1].artists.id("Anna B!") == 1
    assert bundle.labellers[1].genres.ids("Folk Rock") == [1, 2]
    assert len(bundle.labellers[1].characters) == 80
    singer = Sampler(bundle.vqvae, bundle.priors, bundle.labellers, bundle.sample_rate)
    request = SongRequest("Ben", ("folk",), "la la", seconds=0.1)
    song = singer.sample(request, SamplingParams(hop_fraction=0.5))
    assert song.audio.isfinite().all()
    assert song.audio.shape == (1, 800)


@pytest.mark.parametrize(
    ("hps", "head"),
    [
        (complete(PRIORS["top_prior_5b_lyrics"]), LyricsHead(2, 68, 2)),
        (complete(PRIORS["top_prior_1b_lyrics"]) | {"alignment_layer": None}, LyricsHead(2, 63, 0)),  # known by its shape
        ({"level": 1, "alignment_layer": 3, "alignment_head": 1}, LyricsHead(1, 3, 1)),
        ({"level": 1, "alignment_layer": None}, None),
        (complete(PRIORS["top_prior_5b"]), None),
    ],
)
def test_the_head_that_follows_the_lyrics_is_that_of_the_file_or_of_its_model(hps, head):
    assert released_lyrics_head(hps) == head


def test_half_weights_stay_half_in_the_bundle(folder, tmp_path):
    out = convert(ReleasedFiles.find([folder], [], []), tmp_path / "out", quiet)
    whole, half = (load_bundle(out, dtype=dtype).priors[1] for dtype in (torch.float32, torch.float16))
    weight = "transformer.blocks.0.mlp.0.weight"
    assert half.state_dict()[weight].equal(whole.state_dict()[weight].half())
    assert load_file(out / "prior_1/model.safetensors")[weight].dtype == torch.float16


def test_files_can_be_named_one_by_one(folder, tmp_path):
    apart = tmp_path / "top"
    apart.mkdir()
    top = (folder / "prior_level_1.pth.tar").rename(apart / "prior_level_1.pth.tar")
    files = ReleasedFiles.find([folder / "vqvae.pth.tar", folder / "prior_level_0.pth.tar", top], [], [])
    assert convert(files, tmp_path / "out", quiet).is_dir()


def test_parts_that_are_there_twice_or_not_at_all(folder, tmp_path):
    with pytest.raises(UserError, match="are the same part"):
        ReleasedFiles.find([folder, folder], [], [])
    with pytest.raises(UserError, match=r"there is no .*nowhere"):
        ReleasedFiles.find([tmp_path / "nowhere"], [], [])
    (folder / "prior_level_0.pth.tar").unlink()
    with pytest.raises(UserError, match=r"no prior_level_0\.pth\.tar among the files"):
        convert(ReleasedFiles.find([folder], [], []), tmp_path / "out", quiet)
    (folder / "vqvae.pth.tar").unlink()
    with pytest.raises(UserError, match=r"no vqvae\.pth\.tar in"):
        ReleasedFiles.find([folder], [], [])


def test_files_of_different_hierarchies(folder, rewrite, tmp_path):
    rewrite("prior_level_1.pth.tar", {"l_bins": 24})
    with pytest.raises(UserError, match=r"prior_level_1.*expected l_bins 16 as in .*vqvae\.pth\.tar, found 24"):
        convert(ReleasedFiles.find([folder], [], []), tmp_path / "out", quiet)


def test_a_failed_conversion_leaves_nothing(folder, tmp_path):
    (folder / "prior_level_1.pth.tar").write_bytes(b"<html>")
    with pytest.raises(UserError, match="a web page"):
        convert(ReleasedFiles.find([folder], [], []), tmp_path / "new" / "out", quiet)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_stopped_conversion_leaves_nothing_and_can_be_started_again(folder, tmp_path):
    def stop(line):
        raise KeyboardInterrupt

    files = ReleasedFiles.find([folder], [], [])
    out = tmp_path / "new" / "out"
    with pytest.raises(KeyboardInterrupt):
        convert(files, out, stop)
    assert list(out.parent.iterdir()) == []
    out.with_name(".out.part").mkdir()  # what a killed process leaves
    assert load_bundle(convert(files, out, quiet)).sample_rate == 8000


def test_what_is_there_is_not_overwritten(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="out exists"):
        convert(ReleasedFiles.find([folder], [], []), out, quiet)
    assert (out / "mine.txt").read_text() == "mine"


def test_lists_of_another_length_or_kind(folder, lists, tmp_path):
    artists, genres = lists
    with pytest.raises(UserError, match=r"v2 list of artists, 4 lines, found .*genres\.txt \(3 lines\).*labels\.artists="):
        convert(ReleasedFiles.find([folder], [genres], [genres]), tmp_path / "out", quiet)
    artists.write_text("unknown;0\nben;9\n")
    with pytest.raises(UserError, match=r"artists\.txt, line 2: expected `name;id` with an id below 2, found 'ben;9'"):
        ReleasedFiles.find([folder], [artists], [genres])


def test_the_command(folder, tmp_path, capsys):
    run(command.main, "convert", [f"openai={folder}", f"out={tmp_path / 'out'}"])
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "out")
    with pytest.raises(SystemExit) as stopped:
        run(command.main, "convert", [f"openai={folder}", f"out={tmp_path / 'out'}"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
