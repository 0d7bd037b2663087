"""A bundle with anything else in one of its files is told in one line, or makes the same song."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import warnings
from pathlib import Path

import pytest
from hostile import BYTES_OF, VALUES, outcome, put
from hypothesis import given
from hypothesis import strategies as st
from mutations import examples, places
from small_run import save_singing_run

from jukebox_pl.sessions.models import Computing, ModelPool
from jukebox_pl.types import SamplingParams, SongRequest

pytestmark = pytest.mark.slow

JSON_FILES = ["bundle.json", "vqvae/config.json", "prior_2/config.json", "prior_0/config.json"]
FILES = [*JSON_FILES, "vqvae/model.safetensors", "prior_2/model.safetensors"]
bounded = examples(40)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def sing(run: Path) -> str:
    """Opens a bundle and names the song that it makes."""
    pool = ModelPool(run)
    request = SongRequest(artist="Anna", genres=("folk",), lyrics="abc", seconds=1.6)
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        song = pool.load(Computing()).sampler.sample(request, SamplingParams(), seed=1)
    heard = [song.audio.numpy().tobytes(), *(codes.numpy().tobytes() for _, codes in sorted(song.codes.items()))]
    return hashlib.sha256(b"".join(heard) + repr((pool.models.hops, pool.models.bins)).encode()).hexdigest()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_singing_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def song(run: Path) -> str:
    return sing(run)


def require_told_or_same(run: Path, song: str, file: str, data: bytes) -> None:
    whole = (run / file).read_bytes()
    try:
        (run / file).write_bytes(data)
        kind, text = outcome(lambda: sing(run))
    finally:
        (run / file).write_bytes(whole)
    assert kind in ("done", "told"), f"{file}: {text}"
    if kind == "done":
        # Of a bundle the rate of the sound alone can be any: nothing else says it.
        other_rate = file == "bundle.json" and json.loads(data)["sample_rate"] != json.loads(whole)["sample_rate"]
        assert text == song or other_rate, f"{file} makes another song"
    else:
        assert text.isprintable(), text
        assert len(text) < 2000, text


@bounded
@given(data=st.data(), file=st.sampled_from(JSON_FILES))
def test_any_value_in_the_place_of_another(run: Path, song: str, data: st.DataObject, file: str) -> None:
    record = json.loads((run / file).read_text(encoding="utf-8"))
    inside = places(record)[1:]
    at = data.draw(st.sampled_from(inside))
    value = data.draw(st.sampled_from([..., *VALUES.values()]) | json_values)
    require_told_or_same(run, song, file, put(record, at, value).encode(errors="surrogatepass"))


@bounded
@given(file=st.sampled_from(FILES), kind=st.sampled_from(list(BYTES_OF)))
def test_other_bytes(run: Path, song: str, file: str, kind: str) -> None:
    require_told_or_same(run, song, file, BYTES_OF[kind]((run / file).read_bytes()))


@bounded
@given(data=st.data(), file=st.sampled_from(FILES))
def test_some_bits_the_other_way(run: Path, song: str, data: st.DataObject, file: str) -> None:
    changed = bytearray((run / file).read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=4)):
        changed[at] ^= 1 << data.draw(st.integers(0, 7))
    require_told_or_same(run, song, file, bytes(changed))


@bounded
@given(one=st.sampled_from(FILES), other=st.sampled_from(FILES))
def test_one_file_in_the_place_of_another(run: Path, song: str, one: str, other: str) -> None:
    require_told_or_same(run, song, one, (run / other).read_bytes())


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", ["nothing", "a folder", "a pipe", "an endless device", "a link to itself"])
def test_what_is_no_file(run: Path, tmp_path: Path, file: str, kind: str) -> None:
    copied = shutil.copytree(run, tmp_path / "run")
    (copied / file).unlink()
    if kind == "a folder":
        (copied / file).mkdir()
    elif kind == "a pipe":
        os.mkfifo(copied / file)
    elif kind != "nothing":
        (copied / file).symlink_to("/dev/zero" if kind == "an endless device" else copied / file)
    kind, text = outcome(lambda: sing(copied))
    assert kind == "told", text
