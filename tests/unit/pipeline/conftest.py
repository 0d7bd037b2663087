"""Commands that are told to stop at a moment of choice."""

import signal

import pytest


@pytest.fixture
def tell(monkeypatch):
    """Sends a signal to this process when `place.name` is entered, or at its start as the hook of a callback, when `when`
    of its first argument is true."""

    def tell(place, name, when=lambda *_: True, signum=signal.SIGTERM):
        usual = getattr(place, name)

        def wrapped(*args, **kwargs):
            if when(*args):
                signal.raise_signal(signum)
            return usual(*args, **kwargs)

        monkeypatch.setattr(place, name, wrapped)

    return tell
