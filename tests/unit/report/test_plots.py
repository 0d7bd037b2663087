import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import image

from jukebox_pl.report import plots

RATE = 11025
RNG = np.random.default_rng(0)


def pixels(png):
    assert len(png) < 150_000
    return image.imread(io.BytesIO(png))


def tone(hertz, seconds=2.0):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def test_pictures_are_as_wide_as_promised_and_clear_behind():
    picture = pixels(plots.spectrogram(tone(440), RATE, "a $ong with $igns"))
    assert picture.shape[1] == plots.WIDTH * plots.DOTS_PER_INCH
    assert picture[0, 0, 3] == 0


def test_a_higher_tone_lies_in_a_higher_band():
    low, high = (plots.mel_decibels(tone(hertz), RATE).mean(axis=1).argmax() for hertz in (300, 3000))
    assert low < high


@pytest.mark.parametrize("seconds", [3, 10, 17])
def test_a_click_is_drawn_where_it_sounds(seconds):
    audio = np.zeros(seconds * RATE, dtype=np.float32)
    audio[round(0.7 * len(audio))] = 1
    loudness = plots.mel_decibels(audio, RATE).mean(axis=0)
    assert len(loudness) <= plots.FRAMES
    loud = np.flatnonzero(loudness == loudness.max()).mean() / len(loudness)
    assert loud == pytest.approx(0.7, abs=0.05 / seconds + 1 / plots.FRAMES)


def test_comparisons_grow_by_a_panel():
    sounds = {"input": tone(440), "level 0": RNG.standard_normal(9000), "level 1": tone(440, seconds=1.0)}
    two, three = (pixels(plots.compare_spectrograms(dict(list(sounds.items())[:n]), RATE)) for n in (2, 3))
    assert three.shape[0] == pytest.approx(1.5 * two.shape[0], abs=2)


def test_noisy_comparisons_stay_small():
    pixels(plots.compare_spectrograms({str(i): RNG.standard_normal(4 * 44100) for i in range(4)}, 44100))


def test_silence_has_a_picture():
    pixels(plots.spectrogram(np.zeros(RATE), RATE))


def test_each_level_has_a_strip():
    codes = {level: RNG.integers(0, 256, 2**14 >> 2 * level) for level in (0, 1, 2)}
    picture = pixels(plots.codes_image(codes, (8, 32, 128), RATE))
    assert picture.shape[0] == 3 * plots.DOTS_PER_INCH


def test_curves_are_light_text_that_stands_in_a_page():
    curves = {"train, one": [(0, 2.0), (10, 1.0)], "train, <two>": [(0, 3.0), (10, 1.5)], "held out, one": [(5, 1.7)]}
    svg = plots.curves_svg(curves, 'loss of "a" & <b>')
    root = ElementTree.fromstring(svg.replace("xlink:", ""))
    assert root.get("aria-label") == 'loss of "a" & <b>'
    texts = ["".join(node.itertext()).strip() for node in root.iter("text")]
    assert {"train, one", "train, <two>", "held out, one"} <= set(texts)
    assert svg.count("stroke-dasharray: ") >= 1
    assert len(svg) < 25_000
    assert not re.search("https?:|<script|<svg[^>]* width=", svg)


def test_a_histogram_has_room_for_a_limit_that_no_value_comes_near():
    values = [1.0, 1.0, 2.0]
    for limits in ([], [50.0]):
        svg = plots.histogram_svg(values, limits, "<length>")
        root = ElementTree.fromstring(svg.replace("xlink:", ""))
        assert root.get("aria-label") == "<length>"
        assert svg.count("stroke-dasharray: ") == len(limits)
        ticks = ["".join(node.itertext()).strip() for node in root.iter("text")]
        assert ("45" in ticks) == bool(limits)


@pytest.mark.parametrize("seconds", [0.5, 8.0, 61.0, 600.0])
def test_ticks_are_few_round_and_within(seconds):
    marks = plots.ticks(seconds)
    assert marks[0] == 0
    assert 3 <= len(marks) <= 8
    assert marks[-1] < seconds


def test_a_raster_has_a_pixel_for_each_value_and_the_first_row_on_top():
    picture = pixels(plots.raster(np.array([[0.0, 0.5], [1.0, np.nan]]), "viridis"))
    assert picture.shape[:2] == (2, 2)
    brightness = picture[..., :3].sum(axis=-1)
    assert brightness[1, 0] > brightness[0, 1] > brightness[0, 0] == brightness[1, 1]


@pytest.mark.parametrize("codes", [1, 100, 5000])
def test_a_strip_of_codes_is_no_wider_than_a_page(codes):
    assert pixels(plots.codes_strip(np.arange(codes) % 7)).shape[1] == min(codes, plots.COLUMNS)


def test_a_waveform_is_as_high_as_it_is_loud():
    audio = np.zeros(RATE, np.float32)
    audio[RATE // 2] = 0.5
    heights = [int(point.split()[1]) for point in plots.wave_path(audio)[1:-1].split("L")]
    assert min(heights) == -50
    assert max(heights) == 1
    assert len(heights) == 2 * plots.WAVE_COLUMNS


def test_a_heat_map_has_row_zero_at_the_bottom_and_leaves_what_is_no_number_blank():
    dark = np.zeros((4, 30))
    low, high = dark.copy(), dark.copy()
    low[0], high[3] = 1.0, 1.0
    below, above = (pixels(plots.heat_map(values, 8.0, "layers")) for values in (low, high))
    middle = below.shape[1] // 2
    bright_below, bright_above = (np.flatnonzero(shown[:, middle, 0] > 0.9).mean() for shown in (below, above))
    assert bright_below > bright_above  # rows of a picture count from the top
    assert pixels(plots.heat_map(np.full((4, 30), np.nan), 8.0, "layers"))[100, middle, 3] == 0
