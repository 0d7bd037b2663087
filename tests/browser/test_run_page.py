import pytest
from browser.checks import assert_everybody_can_use
from made_run import write_run

from jukebox_pl.report.run_page import write_run_page


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "a_run_of_a_rather_long_name")


def test_it_fits_and_can_be_used_by_everybody(open_page, run_dir):
    assert_everybody_can_use(open_page(write_run_page(run_dir)))


def test_so_does_the_page_of_a_sample(open_page, run_dir):
    write_run_page(run_dir)
    assert_everybody_can_use(open_page(run_dir / "vqvae" / "index.html"))


def test_two_runs_side_by_side_too(open_page, run_dir, tmp_path):
    other = write_run(tmp_path / "other", lr=0.2)
    assert_everybody_can_use(open_page(write_run_page(run_dir, other, tmp_path / "both.html")))
