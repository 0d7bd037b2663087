import pytest

from jukebox_pl.sampling.windows import windows


def test_the_last_window_is_moved_back_to_the_end():
    assert list(windows(100, 40, 20)) == [(0, 40), (20, 60), (40, 80), (60, 100)]
    assert list(windows(90, 40, 20)) == [(0, 40), (20, 60), (40, 80), (50, 90)]


@pytest.mark.parametrize("total", [1, 39, 40, 41, 97, 200])
@pytest.mark.parametrize("hop", [1, 7, 20, 40])
@pytest.mark.parametrize("done", [0, 10, 40, 60])
def test_windows_cover_everything_in_order_and_never_leave_a_gap(total, hop, done):
    reached = done
    for start, end in windows(total, 40, hop, done):
        assert 0 <= start <= reached < end <= total
        assert end - start == min(40, total)
        reached = end
    assert reached >= total


def test_a_song_shorter_than_a_window_is_one_short_window():
    assert list(windows(10, 40, 20)) == [(0, 10)]


@pytest.mark.parametrize("hop", [0, 41])
def test_impossible_hops_are_refused(hop):
    with pytest.raises(ValueError, match="1 to 40 codes"):
        list(windows(100, 40, hop))
