import resource

import pytest
import torch

from jukebox_pl.utils.allocation import freed_memory_kept

BYTES = 2**28
PAGES = BYTES / resource.getpagesize()


def pages_asked_for(work):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def make_and_free():
    torch.zeros(BYTES // 4).add_(1)


def test_what_was_freed_is_taken_again_and_given_back_at_the_end():
    if pages_asked_for(make_and_free) < PAGES / 2:
        pytest.skip("pages of this system are larger than it says")
    with freed_memory_kept():
        make_and_free()
        assert pages_asked_for(make_and_free) < PAGES / 50
    assert pages_asked_for(make_and_free) > PAGES / 2


def test_it_is_given_back_also_where_work_fails():
    with pytest.raises(KeyError), freed_memory_kept():
        raise KeyError
    make_and_free()
    assert pages_asked_for(make_and_free) > PAGES / 2
