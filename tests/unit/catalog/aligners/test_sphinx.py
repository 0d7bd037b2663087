"""PocketSphinx: what it finds is completed, what it cannot find is told."""

import io
import pickle
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from jukebox_pl import audio
from jukebox_pl.catalog.aligners import sphinx
from jukebox_pl.catalog.aligners.sphinx import SphinxAligner, sound_out
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

pytest.importorskip("pocketsphinx", reason="needs pocketsphinx: pip install 'jukebox_pl[align]'")
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng, to have something said")
RATE = 16_000


class Decoder:
    """Finds the words of `found` (text, first frame, last frame), whatever is said; knows every word but `unknown`."""

    def __init__(self, found, unknown=()):
        self.runs = [SimpleNamespace(word=word, start_frame=start, end_frame=end) for word, start, end in found]
        self.unknown, self.added = set(unknown), {}

    def lookup_word(self, word):
        return None if word in self.unknown else "AH"

    def add_word(self, word, phones):
        self.added[word] = phones

    def set_align_text(self, text):
        self.text = text

    def process_raw(self, samples, full_utt):
        self.samples = samples

    def start_utt(self):
        pass

    end_utt = start_utt

    def seg(self):
        return self.runs or None


def aligner(*args, **settings):
    made = SphinxAligner(**settings)
    made.__dict__["decoder"] = Decoder(*args)
    return made


def test_words_it_does_not_find_fit_between_the_others(monkeypatch):
    monkeypatch.setattr(sphinx, "sound_out", lambda word: [])
    runs = [("<s>", 0, 9), ("here", 10, 49), ("and(2)", 50, 99), ("<sil>", 100, 149), ("now", 150, 210)]
    found = aligner(runs, ["zyzzyva"], coverage=0.6)
    assert found(np.zeros((2, 2 * RATE)), RATE, "Here, and — zyzzyva\nnow!") == [
        Word("Here,", 0.1, 0.5),
        Word("and", 0.5, 1.0),
        Word("—", 1.0, pytest.approx(1.0 + 0.5 / 9)),
        Word("zyzzyva", pytest.approx(1.0 + 0.5 * 2 / 9), 1.5),
        Word("now!", 1.5, 2.0),
    ]
    assert found.decoder.text == "here and now"


def test_words_it_does_not_know_are_sounded(monkeypatch):
    monkeypatch.setattr(sphinx, "sound_out", lambda word: ["Z", "IH"])
    found = aligner([("la", 0, 9), ("zyzzyva", 10, 19)], ["zyzzyva"])
    assert [word.start for word in found(np.zeros((1, RATE)), RATE, "la Zyzzyva")] == [0.0, 0.1]
    assert found.decoder.added == {"zyzzyva": "Z IH"}


def test_too_few_words_are_refused():
    with pytest.raises(UserError, match="only 1 of 3 words were found, expected 80%"):
        aligner([("la", 0, 9)])(np.zeros((1, RATE)), RATE, "la na mi")


def test_lyrics_without_a_word_it_knows_are_refused():
    with pytest.raises(UserError, match="it hears English"):
        aligner([])(np.zeros((1, RATE)), RATE, "— ...")
    assert aligner([])(np.zeros((1, RATE)), RATE, " ") == []


@pytest.mark.parametrize(
    "sound", [np.zeros((1, RATE)), np.zeros((1, 10)), np.random.default_rng(0).uniform(-0.3, 0.3, (1, RATE))]
)
def test_where_nothing_is_said_nothing_is_found(sound):
    with pytest.raises(UserError, match=r"only \d of 4 words were found"):
        SphinxAligner()(sound, RATE, "here we go again")


def test_it_travels_to_another_process_before_it_loads():
    assert pickle.loads(pickle.dumps(SphinxAligner(coverage=0.5))) == SphinxAligner(coverage=0.5)


@pytest.mark.parametrize(("text", "word"), [("Don’t!", "don't"), ("'cause", "cause"), ("(oh)", "oh"), ("—", "")])
def test_words_are_looked_up_without_signs(text, word):
    found = aligner([], coverage=0.0)
    found(np.zeros((1, RATE)), RATE, f"la {text} na")
    assert found.decoder.text.split() == ["la", *([word] if word else []), "na"]


@needs_espeak
def test_words_are_sounded_in_the_phones_of_the_dictionary():
    assert sound_out("church") == ["CH", "ER", "CH"]
    assert sound_out("zyzzyva")[:3] == ["Z", "IH", "Z"]


@needs_espeak
def test_words_that_are_said_are_found_and_move_with_the_sound():
    text = "The quick brown fox jumps\nover the lazy zyzzyva, and then we sing along the river."
    command = ["espeak-ng", "-v", "en-us+f3", "--stdout", text]
    sound, rate = audio.read(io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout).getvalue())
    early, late = (SphinxAligner()(np.pad(sound, ((0, 0), (rest * rate, rate))), rate, text) for rest in (1, 3))
    assert [word.text for word in early] == text.split()
    np.testing.assert_allclose([two.start - one.start for one, two in zip(early, late, strict=True)], 2, atol=0.05)
