import re
import time

import pytest

from jukebox_pl.nn.patterns import MAX_LAYERS, expand_pattern


@pytest.mark.parametrize(
    ("pattern", "layers"),
    [
        ("RCP", "RCP"),
        ("RCP*2 + X", "RCPRCPX"),
        (" RCP * 2+X ", "RCPRCPX"),
        ("(RCP)*24", "RCP" * 24),
        ("(RCP)", "RCP"),
        ("(RC*2 + P)*2 + D", "RCRCPRCRCPD"),
        ("((R + C)*2 + P)*2", "RCRCPRCRCP"),
        ("R*0 + D", "D"),
        ("D*4096", "D" * MAX_LAYERS),
    ],
)
def test_a_pattern_expands(pattern, layers):
    assert expand_pattern(pattern) == layers


def test_the_released_patterns_have_their_layers():
    assert len(expand_pattern("RCP*3 + RCPRCPRCPX*7")) == 79


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        ("RCP**24", "'*' at character 3"),
        ("24*RCP", "'2' at character 0"),
        ("RCP*2*3", "'*' at character 5"),
        ("RCP*1.5", "'.' at character 5"),
        ("RCP*-1", "'*' at character 3"),
        ("RCP*2x", "'x' at character 5"),
        ("RC P", "'P' at character 3"),
        ("RCP, D", "',' at character 3"),
        ("RCP)*2", "')' at character 3"),
        ("R + ()", "')' at character 5"),
        ("(RCP)(D)", "'(' at character 5"),
        ("+ RCP", "'+' at character 0"),
        ("R + + C", "'+' at character 4"),
        ("RCP +", "ends too early"),
        ("(RCP*2", "ends too early"),
        ("RCP*0", "ends too early"),
        ("", "ends too early"),
        ("  ", "ends too early"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_place_and_the_letters(pattern, where):
    with pytest.raises(ValueError, match=f"{re.escape(where)}.*D Dense, R Row, C Column.*X CrossAttention"):
        expand_pattern(pattern)


@pytest.mark.parametrize("pattern", ["RQ", "(R + Q)*2", "rcp"])
def test_unknown_letters_are_named_beside_the_known(pattern):
    unknown = "\\['Q'\\]" if "Q" in pattern else "\\['c', 'p', 'r'\\]"
    with pytest.raises(ValueError, match=f"unknown letters {unknown}; known are D Dense"):
        expand_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["RCP*1000000000", "((((R*4000)*4000)*4000)*4000)*4000", "D*4097", "+".join(["R*100"] * 41)]
)
def test_more_layers_than_any_network_has_are_refused_at_once(pattern):
    started = time.perf_counter()
    with pytest.raises(ValueError, match=f"more than {MAX_LAYERS} layers"):
        expand_pattern(pattern)
    assert time.perf_counter() - started < 1
