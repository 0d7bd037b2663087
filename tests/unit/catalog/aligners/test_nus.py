"""AutoLyricsAlign as the adapter meets it: a program that takes a sound and a text and writes times, or does not."""

import pickle
import sys
import time

import numpy as np
import pytest

from jukebox_pl.catalog.aligners.nus import NUSAligner, read_output
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word

RATE = 8_000
SOUND = np.full((2, 10 * RATE), 0.1, np.float32)
# Writes every word in capitals, one a second, without signs; leaves out those in brackets, as the real one does.
WELL = """
import wave
with wave.open(wav) as sound:
    seconds = sound.getnframes() / sound.getframerate()
words = [word for word in open(txt, encoding="utf-8").read().upper().split() if "(" not in word]
with open(out, "w") as file:
    for second, word in enumerate(words):
        print(second, min(second + 0.5, seconds), word.strip(",.!?"), file=file)
"""


@pytest.fixture
def program(tmp_path):
    """program(code): an aligner by a program of the code, in which wav, txt and out are the paths it is given."""

    def make(code, **settings):
        path = tmp_path / "align me.py"  # a blank, which a shell would split at
        path.write_text(f"import sys\nwav, txt, out = sys.argv[1:]\n{code}", encoding="utf-8")
        return NUSAligner([sys.executable, str(path), "{wav}", "{txt}", "{out}"], str(tmp_path), **settings)

    return make


def test_words_come_at_the_times_that_the_program_writes(program):
    words = program(WELL)(SOUND, RATE, "Here, we\ngo (go) again!")
    assert [word.text for word in words] == ["Here,", "we", "go", "(go)", "again!"]
    assert [word[1:] for word in words] == [(second, second + 0.5) for second in range(5)]


def test_words_that_it_leaves_out_fit_between_the_others(program):
    words = program(WELL.replace("not in word", "not in word and word != 'B'"))(SOUND, RATE, "a b c d e")
    assert [word.start for word in words] == [0, 0.5, 1, 2, 3]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.exit('no such model')", r"ended with exit code 1 \(no such model\)"),
        ("pass", "wrote nothing to {out}"),
        ("open(out, 'w').write('0 1 A\\n\\n2 3\\n')", "line 3 is '2 3', expected `start end word`"),
        ("open(out, 'w').write('x 1 A')", "line 1 is 'x 1 A'"),
        ("open(out, 'wb').write(bytes([255, 0, 128]))", "line 1 is"),
        ("open(out, 'w').write('')", "only 0 of 2 words were found"),
        ("open(out, 'w').write('0 1 A\\n2 nan B')", "'b' from 2.0 to nan"),
        ("open(out, 'w').write('0 1 A\\n200 300 B')", "'b' from 200.0 to 300.0 s in 10.00 s"),
        ("open(out, 'w').write('3 4 A\\n1 2 B')", "'b' at 1.00 s, before 'a' at 3.00 s"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(program, code, message):
    with pytest.raises(UserError, match=message) as raised:
        program(code)(SOUND, RATE, "a b")
    assert "\n" not in str(raised.value)


def test_a_program_that_hangs_is_ended(program):
    started = time.monotonic()
    with pytest.raises(UserError, match="did not end within time_limit=1 seconds"):
        program("import time; time.sleep(60)", time_limit=1)(SOUND, RATE, "a b")
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("align {wav} {txt} {out}", "expected a list of words"),
        ([], "has no {wav} and no {txt} and no {out}"),
        (["true", "{wav}", "{txt}"], "has no {out}"),
        (["no-such-program", "{wav}", "{txt}", "{out}"], "no-such-program is no program"),
    ],
)
def test_a_command_that_cannot_be_one_is_refused_at_once(command, message):
    with pytest.raises(UserError, match=message):
        NUSAligner(command)


def test_no_shell_sees_the_command(tmp_path, program):
    aligner = program(WELL)
    aligner.command = [*aligner.command[:-1], "{out}"]
    words = aligner(SOUND, RATE, f"a; touch {tmp_path}/b $(touch {tmp_path}/c)")
    assert len(words) == 5
    assert not {"b", "c"} & {path.name for path in tmp_path.iterdir()}


def test_what_was_written_before_is_read_too():
    assert read_output("0.5 1 HERE\n1 2.5 WE\n", "Here we go", coverage=0.6) == [
        Word("Here", 0.5, 1.0),
        Word("we", 1.0, 2.5),
        Word("go", 2.5, 2.5),
    ]


def test_an_aligner_travels_to_another_process(program):
    aligner = program(WELL)
    assert pickle.loads(pickle.dumps(aligner)) == aligner
