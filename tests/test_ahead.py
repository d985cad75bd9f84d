import threading
import time

import pytest
import torch

from diffusionrig.ahead import ahead, stages


def test_items_come_in_order_and_are_made_beforehand():
    made = []

    def numbers():
        for number in range(6):
            made.append((number, threading.get_ident()))
            yield number

    stream = ahead(numbers(), 2)
    assert next(stream) == 0
    deadline = time.monotonic() + 10
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [number for number, _ in made][:3] == [0, 1, 2]
    assert list(stream) == [1, 2, 3, 4, 5]
    assert {thread for _, thread in made} != {threading.get_ident()}


def test_an_error_comes_where_its_item_would_have():
    def broken():
        yield 1
        raise ValueError("no more")

    stream = ahead(broken())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="no more"):
        next(stream)


def test_leaving_early_ends_the_thread_and_closes_what_it_reads():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    stream = ahead(endless())
    next(stream)
    stream.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_stages_share_the_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with stages(2) as several:
            assert several
            counted = ahead(torch.get_num_threads() for _ in range(1))
            assert list(counted) == [2]
        assert torch.get_num_threads() == 4
        torch.set_num_threads(1)
        with stages(2) as several:
            assert not several
    finally:
        torch.set_num_threads(before)
