import pytest
from browser.checks import assert_everybody_can_use

from jukebox_pl.catalog.doctor import AudioStats, ExaminedSong, Standards, diagnose
from jukebox_pl.report.catalog_page import write_doctor_page
from jukebox_pl.types import Song

STATS = AudioStats(180.0, 44100, 2, 0.9, 0.0, 0.01, 0.1, 1.0, 0.0, -15.0, 18000.0, -1.0, -0.5, "")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    known = {"artist": "An artist of a rather long name", "genres": ("Waltz",), "language": "en", "license": "CC0"}
    songs = [
        ExaminedSong(
            Song(str(number), 1, 44100, lyrics="word " * number, **known), f"a/long/path/of_a_song_{number}.mp3", STATS
        )
        for number in range(3)
    ]
    skipped = [{"path": "b" * 60 + ".mp3", "reason": "damaged"}]
    return write_doctor_page(tmp_path_factory.mktemp("catalog"), diagnose(songs, Standards(), skipped=skipped))


def test_it_fits_and_can_be_used_by_everybody(open_page, path):
    assert_everybody_can_use(open_page(path))
