"""Models are loaded when something is to be sampled, and only where there is room for what it takes."""

import pytest
from small_run import sample

from jukebox_pl.errors import UserError
from jukebox_pl.inference import memory
from jukebox_pl.sessions.models import Computing


def test_room_is_asked_for_all_that_is_sampled_at_once(context, monkeypatch):
    asked, estimate = [], memory.estimate_memory
    monkeypatch.setattr(memory, "estimate_memory", lambda *at, **how: asked.append(how["batch"]) or estimate(*at, **how))
    sample(context, candidates=2, parallel_windows=(3, 2, 1))
    assert asked == [6]


def test_without_room_nothing_is_loaded_and_no_song_begun(context, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    with pytest.raises(UserError, match=r"need about 0\.0 GB, 0\.0 GB are free"):
        sample(context)
    assert not context.session.folder.exists()


def test_the_models_asked_for_last_stay_loaded(context):
    first = context.pool.load(Computing())
    assert context.pool.load(Computing()) is first
    other = context.pool.load(Computing(dtype="bfloat16"))
    assert context.pool.load(Computing(dtype="bfloat16")) is other
    assert context.pool.load(Computing()) is not first
