"""Models are loaded when something is to be sampled, and only where there is room for what it takes."""

import pytest
from small_run import sing

from jukebox_pl.errors import UserError
from jukebox_pl.inference import memory
from jukebox_pl.sessions.models import Computing


def test_room_is_asked_for_all_that_is_sampled_at_once(desk, monkeypatch):
    asked, estimate = [], memory.estimate_memory
    monkeypatch.setattr(memory, "estimate_memory", lambda *at, **how: asked.append(how["batch"]) or estimate(*at, **how))
    sing(desk, candidates=2, parallel_windows=(3, 2, 1))
    assert asked == [6]


def test_without_room_nothing_is_loaded_and_no_song_begun(desk, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    with pytest.raises(UserError, match=r"needs about 0\.0 GB on cpu, 0\.0 GB are free"):
        sing(desk)
    assert not desk.session.folder.exists()


def test_the_models_asked_for_last_stay_loaded(desk):
    first = desk.ensemble.ready(Computing())
    assert desk.ensemble.ready(Computing()) is first
    other = desk.ensemble.ready(Computing(dtype="bfloat16"))
    assert desk.ensemble.ready(Computing(dtype="bfloat16")) is other
    assert desk.ensemble.ready(Computing()) is not first
