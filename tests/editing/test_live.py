"""Live edits: what waits is bounded, what is too old is dropped, and nothing grows."""

from __future__ import annotations

import threading
import time
import tracemalloc

import numpy as np
import pytest
from seed_faces import photo

from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.live import Drawn, Frame, LiveEdit
from diffusionrig.editing.live_driving import Drive, live_edit
from diffusionrig.editing.live_figures import LiveFigures, Times
from diffusionrig.editing.live_stage import Stage
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError, UsageError

QUICK = Sampling(respacing="ddim2", seed=1)


def tiny(number: int) -> np.ndarray:
    return np.full((2, 2, 3), number % 256, np.uint8)


def seen(frame: Frame) -> np.ndarray | None:
    return frame.image


@pytest.mark.parametrize("pipelined", [True, False])
def test_newer_frames_push_out_those_that_wait(pipelined: bool) -> None:
    gate, working = threading.Event(), threading.Event()

    def paint(image: np.ndarray) -> np.ndarray:
        working.set()
        assert gate.wait(10)
        return image

    drawn: list[Drawn] = []
    live = LiveEdit(seen, paint, drawn.append, pipelined=pipelined)
    live.offer(tiny(0))
    assert working.wait(10)
    for number in range(1, 6):
        live.offer(tiny(number), at=number / 25)
    gate.set()
    summary = live.finish()
    numbers = [one.number for one in drawn]
    # The one that was being drawn, and the latest; none in between waited but in the second step, of which there is one more.
    assert numbers[0] == 0
    assert numbers[-1] == 5
    assert len(numbers) <= (3 if pipelined else 2)
    assert numbers == sorted(numbers)
    assert [int(one.picture[0, 0, 0]) for one in drawn] == numbers
    assert drawn[-1].at == 0.2
    assert (summary.offered, summary.drawn, summary.dropped) == (6, len(numbers), 6 - len(numbers))


def test_a_patient_run_drops_nothing() -> None:
    drawn: list[Drawn] = []
    live = LiveEdit(seen, lambda image: image, drawn.append, patient=True)
    for number in range(50):
        live.offer(tiny(number))
    summary = live.finish()
    assert [one.number for one in drawn] == list(range(50))
    assert (summary.drawn, summary.dropped) == (50, 0)


def test_frames_without_the_person_are_counted_and_leave_the_last_picture() -> None:
    drawn: list[Drawn] = []
    live = LiveEdit(lambda frame: None if frame.number % 2 else frame.image, lambda image: image, drawn.append, patient=True)
    for number in range(6):
        live.offer(tiny(number))
    summary = live.finish()
    assert [one.number for one in drawn] == [0, 2, 4]
    assert (summary.unseen, summary.dropped) == (3, 0)
    assert "3 did not show the person" in summary.sentence()


@pytest.mark.parametrize("step", ["see", "paint", "show"])
def test_what_a_step_raises_reaches_whoever_feeds(step: str) -> None:
    def fail(*args: object) -> None:
        raise RigError("broken")

    live = LiveEdit(fail if step == "see" else seen, fail if step == "paint" else lambda image: image,  # type: ignore[arg-type]
                    fail if step == "show" else lambda drawn: None)
    live.offer(tiny(0))
    with pytest.raises(RigError, match="broken"):
        live.finish()


def test_what_waits_can_be_forgotten() -> None:
    gate, working = threading.Event(), threading.Event()

    def work(item: int) -> None:
        working.set()
        assert gate.wait(10)

    stage = Stage(work, room=3)
    stage.offer(0)
    assert working.wait(10)
    assert [stage.offer(number) for number in range(1, 6)] == [[], [], [], [1], [2]]
    threading.Timer(0.05, gate.set).start()
    assert stage.finish(forget=True) == [3, 4, 5]
    assert stage.offer(7) == [7]


def test_memory_stays_flat_over_thousands_of_frames() -> None:
    live = LiveEdit(seen, lambda image: image + 1, lambda drawn: None)
    tracemalloc.start()
    try:
        sizes = []
        for number in range(20_000):
            live.offer(tiny(number))
            if number in (2_000, 19_999):
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    summary = live.finish()
    assert summary.offered == 20_000 == summary.drawn + summary.dropped
    assert sizes[1] - sizes[0] < 30_000


def test_times_are_told_to_one_in_a_hundred() -> None:
    times = Times()
    values = np.linspace(0.01, 2, 5000)
    for value in values:
        times.add(value)
    for part in (0.5, 0.95):
        assert times.share(part) == pytest.approx(np.quantile(values, part), rel=0.015)
    times.add(1e9)
    times.add(0)
    assert times.share(1) == pytest.approx(1e3, rel=0.02)
    assert times.share(0) == pytest.approx(1e-4)
    figures = LiveFigures()
    assert "none was drawn" in figures.summary().sentence()
    figures.came()
    figures.made(0.1, 0.5)
    assert "0.50 s after the first frame; latency 100 ms (median), 100 ms (95th percentile)" in figures.summary().sentence()


def test_pictures_are_those_of_edit(rig) -> None:
    drawn: list[Drawn] = []
    (edit,) = parse_modes("exp+pose")
    live = live_edit(rig, rig.capture(photo(1)), edit, QUICK, drawn.append, Drive(track="off", patient=True))
    for seed in (3, 255, 4):
        live.offer(photo(seed))
        time.sleep(0.001)
    assert live.finish().unseen == 1
    assert [one.number for one in drawn] == [0, 2]
    wanted = rig.edit(photo(1), photo(3), "exp+pose", sampling=QUICK).image
    assert np.abs(drawn[0].picture.astype(int) - wanted).max() <= 1


def test_relative_movement_begins_with_the_photograph_and_latents_are_refused(rig) -> None:
    drawn: list[Drawn] = []
    (edit,) = parse_modes("exp")
    live = live_edit(rig, rig.capture(photo(1)), edit, QUICK, drawn.append, Drive(relative=True, track="off", patient=True))
    live.offer(photo(3))
    live.finish()
    own = rig.edit(photo(1), None, sliders="", sampling=QUICK).image
    assert np.abs(drawn[0].picture.astype(int) - own).max() <= 1
    (latent,) = parse_modes("latent")
    with pytest.raises(UsageError, match="cannot follow a camera"):
        live_edit(rig, rig.capture(photo(1)), latent, QUICK, drawn.append)
