"""How far a prior has moved: not at all from itself, and as far as its logits say."""

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.evaluation.moved import Figures, Moved, Under, in_words
from jukebox_pl.evaluation.windows import song_windows
from jukebox_pl.models.losses import bits
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import Song

TRANSFORMER = {"_target_": "jukebox_pl.nn.transformer.Transformer", "width": 8, "heads": 1, "ctx": 8, "block": 4}
CONFIG = {"_target_": "jukebox_pl.models.prior.Prior", "bins": 16, "transformer": TRANSFORMER | {"pattern": "RC"}}
NAMES = Labeller(Vocabulary(["A"]), Vocabulary(["G"]))
SONG, CODES = Song("s", 400, 100), [torch.randint(16, (1, 40), generator=torch.Generator().manual_seed(0))]


def prior(seed):
    torch.manual_seed(seed)
    made = checkpoints.build(CONFIG)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return Under(made, NAMES)


def test_a_prior_has_not_moved_from_itself():
    moved = Moved(prior(0), prior(0), 0, (10,))
    moved.add(SONG, CODES)
    figures = moved.figures()
    assert figures.base_bpd == pytest.approx(figures.tuned_bpd)
    assert figures.kl == pytest.approx(0, abs=1e-6)
    assert "you will not hear this" in in_words(figures, None)


def test_another_one_is_as_far_as_its_logits_say():
    base, tuned = prior(0), prior(1)
    moved = Moved(base, tuned, 0, (10,), count=2)
    moved.add(SONG, CODES)
    figures = moved.figures()
    kls = []
    for window in song_windows(SONG, CODES, (10,), 0, 8, NAMES, 2):
        p, q = (
            under.prior(window.codes[:, :-1], under.prior.condition(window.labels)).softmax(-1) for under in (base, tuned)
        )
        kls.append(bits((p * (p / q).log()).sum(-1).mean()).item())
    assert figures.kl == pytest.approx(sum(kls) / 2, rel=1e-4)
    assert figures.songs == 1
    assert "will not hear" not in in_words(figures, Figures(2.0, 2.5, 0.1, 3))
    assert "old songs 2.000 -> 2.500 bits a code, moved by 0.100 (3)" in in_words(figures, Figures(2.0, 2.5, 0.1, 3))


def test_a_song_that_fills_no_window_says_nothing():
    moved = Moved(prior(0), prior(1), 0, (10,))
    moved.add(Song("s", 40, 100), [CODES[0][:, :4]])
    assert moved.figures() is None
    assert in_words(None, None) == ""
