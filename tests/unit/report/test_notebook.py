"""What a notebook shows of a song: a player with its very sound, nothing of a stranger's words as HTML."""

import base64
import io
import re

import pytest
import soundfile
import torch

from jukebox_pl import SampledSong, SongPage
from jukebox_pl.errors import UserError
from jukebox_pl.types import SamplingParams, SongRequest

HOSTILE = "<script>alert(1)</script>\"'"


def song(**request):
    audio = torch.linspace(-1.5, 1.5, 800)[None]
    return SampledSong(audio, 8000, {}, SongRequest(**request), SamplingParams(), seed=7)


def test_a_song_is_a_player_with_its_sound_and_what_was_asked():
    shown = song(artist="Ada", genres=("Folk", "Waltz"), lyrics="la\nlu")._repr_html_()
    assert "Ada, Folk, Waltz, 0.1 s, seed 7" in shown
    assert ">la\nlu</pre>" in shown
    data = base64.b64decode(re.search(r'src="data:audio/wav;base64,([^"]+)"', shown)[1])
    heard, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == 8000
    torch.testing.assert_close(torch.from_numpy(heard), song().audio[0].clamp(-1, 1), atol=1e-4, rtol=0)


def test_nothing_that_was_asked_is_html():
    for request in ({"artist": HOSTILE}, {"genres": (HOSTILE,)}, {"lyrics": HOSTILE}, {"artist": {HOSTILE: 1.0}}):
        shown = song(**request)._repr_html_()
        assert "<script" not in shown
        assert "&lt;script" in shown


def test_a_page_stays_inside_its_frame(tmp_path):
    (tmp_path / "index.html").write_text(f'<p title="x">{HOSTILE}</p></iframe>')
    shown = SongPage(tmp_path, height=300)._repr_html_()
    assert shown.count("<") == 2  # of the frame alone
    assert 'sandbox="allow-scripts"' in shown
    assert 'height="300"' in shown
    assert "allow-same-origin" not in shown


def test_without_a_page_there_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match=r"holds no index\.html: give the folder of a finished song"):
        SongPage(tmp_path)
