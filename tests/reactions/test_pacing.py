"""Frames that are due at their times: never behind, nothing that grows."""

from __future__ import annotations

import threading
import time
import tracemalloc

import pytest

from diffusionrig.errors import RigError
from diffusionrig.reactions.live.pacing import Due, Pacer


def test_what_is_overdue_is_passed_over_for_the_latest() -> None:
    gate, working = threading.Event(), threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        working.set()
        assert gate.wait(10)
        done.append(item)

    pacer = Pacer(work, 10)
    now = time.perf_counter()
    pacer.offer(Due(0, now))
    assert working.wait(10)
    for item in range(1, 5):
        pacer.offer(Due(item, now))
    pacer.offer(Due(5, now + 1000))
    gate.set()
    summary = pacer.finish()
    # 4 is the latest whose time has come, and 5, which is to come, is done ahead.
    assert done == [0, 4, 5]
    assert (summary.offered, summary.drawn, summary.dropped) == (6, 3, 3)


def test_frames_to_come_wait_for_room_and_none_is_lost() -> None:
    done: list[int] = []
    pacer = Pacer(done.append, 2)
    for item in range(200):
        pacer.offer(Due(item, time.perf_counter() + 100))
    assert pacer.finish().dropped == 0
    assert done == list(range(200))


def test_a_patient_one_does_everything_however_late() -> None:
    done: list[int] = []
    pacer = Pacer(lambda item: (time.sleep(0.001), done.append(item)), 3, patient=True)
    for item in range(30):
        pacer.offer(Due(item, 0.0))
    summary = pacer.finish()
    assert done == list(range(30))
    assert summary.late is not None
    assert summary.late < 1  # counted from the arrival, where that is later than the time


def test_a_full_one_drops_as_times_come() -> None:
    """Work that takes ten times as long as a frame lasts: the offering goes on at the frames' pace."""
    done: list[int] = []
    pacer = Pacer(lambda item: (time.sleep(0.02), done.append(item)), 4)
    start = time.perf_counter()
    for item in range(100):
        pacer.offer(Due(item, start + 0.002 * item))
    assert time.perf_counter() - start < 2
    summary = pacer.finish()
    assert summary.drawn + summary.dropped == 100
    assert summary.drawn < 60
    assert done == sorted(done)
    assert done[-1] == 99


def test_what_work_raises_is_raised_to_whoever_offers() -> None:
    def work(item: int) -> None:
        raise RigError("broken")

    pacer = Pacer(work, 1, patient=True)
    pacer.offer(Due(0, 0.0))
    with pytest.raises(RigError, match="broken"):
        pacer.finish()


def test_memory_stays_flat() -> None:
    pacer = Pacer(lambda item: None, 8)
    tracemalloc.start()
    try:
        sizes = []
        for item in range(20_000):
            pacer.offer(Due(item, 0.0))
            if item in (2_000, 19_999):
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert pacer.finish().offered == 20_000
    assert sizes[1] - sizes[0] < 30_000
