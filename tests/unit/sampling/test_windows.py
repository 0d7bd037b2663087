import pytest

from jukebox_pl.sampling.windows import missing_spans, parallel_parts, windows


def test_the_last_window_is_moved_back_to_the_end():
    assert list(windows(100, 40, 20)) == [(0, 40), (20, 60), (40, 80), (60, 100)]
    assert list(windows(90, 40, 20)) == [(0, 40), (20, 60), (40, 80), (50, 90)]


@pytest.mark.parametrize("total", [1, 39, 40, 41, 97, 200])
@pytest.mark.parametrize("hop", [1, 7, 20, 40])
def test_windows_cover_everything_in_order_and_never_leave_a_gap(total, hop):
    reached = 0
    for start, end in windows(total, 40, hop):
        assert 0 <= start <= reached < end <= total
        assert end - start == min(40, total)
        reached = end
    assert reached == total


def test_a_song_shorter_than_a_window_is_one_short_window():
    assert list(windows(10, 40, 20)) == [(0, 10)]


@pytest.mark.parametrize("hop", [0, 41])
def test_impossible_hops_are_refused(hop):
    with pytest.raises(ValueError, match="1 to 40 codes"):
        list(windows(100, 40, hop))


@pytest.mark.parametrize("done", [0, 10, 40, 60])
def test_what_is_whole_has_no_span_and_the_rest_goes_window_by_window(done):
    missing = [at >= done for at in range(97)]
    found = list(missing_spans(missing, 40, 20))
    assert [span[:2] for span in found] == [window for window in windows(97, 40, 20) if window[1] > done]
    assert [span.first for span in found] == [done, *(span.end for span in found[:-1])]
    assert all(span.last == span.end for span in found)


@pytest.mark.parametrize("gaps", [{5}, {*range(30, 45)}, {0, 1, 39, 40, 41, 96}, {*range(20, 70), *range(80, 97)}])
@pytest.mark.parametrize("cuts", [[], [35], [33, 34, 60]])
def test_spans_draw_what_is_missing_once_and_nothing_else(gaps, cuts):
    drawn = []
    for start, end, first, last in missing_spans([at in gaps for at in range(97)], 40, 20, cuts):
        assert start <= first < last <= end
        assert not any(first < cut < last for cut in cuts)
        drawn += range(first, last)
    assert drawn == sorted(gaps)


@pytest.mark.parametrize(
    ("total", "count", "unit"), [(96, 1, 4), (96, 4, 4), (100, 3, 4), (100, 7, 4), (12, 5, 4), (17, 4, 1)]
)
def test_parts_divide_a_level_into_nearly_equal_parts(total, count, unit):
    parts, length = parallel_parts(total, count, unit)
    begins, ends = zip(*parts, strict=True)
    assert (begins[0], ends) == (0, (*begins[1:], total))
    assert len(parts) == min(count, total // unit)
    for begin, end in parts:
        assert begin % unit == 0
        assert length - unit <= end - begin <= length
    assert begins[-1] + length == total
