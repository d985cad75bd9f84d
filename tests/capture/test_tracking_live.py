"""Tracking while the pictures come."""

from __future__ import annotations

import numpy as np
import torch

from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.tracking.causal import HELD, Steadier
from diffusionrig.capture.tracking.live import LiveTracker, Shown
from diffusionrig.capture.tracking.tracker import Tracker
from diffusionrig.randomness import numpy_stream

BLANK = np.full((256, 256, 3), 90, np.uint8)


def track(encoder: FitEncoder, frames: list[np.ndarray], fps: float = 25) -> list[Shown | None]:
    tracker = LiveTracker(encoder, fps)
    return [tracker(image) for image in frames]


def test_noise_is_calmed_and_a_step_followed_at_once() -> None:
    noise = numpy_stream(3, "noise").normal(0, 0.02, (120, 3))
    steady = Steadier()
    calm = np.stack([steady(row, 0.04) for row in noise])
    assert (np.diff(calm[30:], axis=0).std(0) < 0.5 * np.diff(noise[30:], axis=0).std(0)).all()
    after = [steady(np.array([0.6, 0.0, 0.0]), 0.04) for _ in range(3)]
    assert after[0][0] > 0.5
    steady.restart()
    assert steady(np.ones(3), 0.04).tolist() == [1, 1, 1]


def test_a_steadier_holds_a_fixed_amount_and_knows_nothing_ahead() -> None:
    rows = numpy_stream(4, "noise").normal(0, 1, (3 * HELD, 2)).cumsum(0)
    whole, part = Steadier(), Steadier()
    everything = [whole(row, 0.04) for row in rows]
    assert np.array_equal([part(row, 0.04) for row in rows[:50]], everything[:50])
    assert len(whole._last) == HELD


def test_a_frame_is_answered_from_those_before_it_and_as_clips_are(encoder: FitEncoder, person: np.ndarray) -> None:
    frames = [np.roll(person, 2 * t, 1) for t in range(4)]
    found = track(encoder, frames)
    short = track(encoder, frames[:2])
    for early, full in zip(short, found):
        assert early is not None
        assert full is not None
        for name, tensor in early.code.tensors().items():
            assert torch.equal(tensor, getattr(full.code, name)), name
    assert [one.begins for one in found if one] == [True] + [False] * 3
    clip = Tracker(encoder).track(frames, 4, 25, "clip").code
    last = found[3]
    assert last is not None
    assert (last.code.expression - clip.expression[3]).abs().mean() < 0.03
    assert (last.code.pose - clip.pose[3]).abs().max() < 0.03


def test_a_lost_face_begins_again_and_somebody_else_is_not_followed(encoder: FitEncoder, person: np.ndarray,
                                                                     other: np.ndarray) -> None:
    frames = [person] * 2 + [BLANK] * 2 + [np.roll(person, 6, 1)] + [other] * 2 + [person]
    tracker = LiveTracker(encoder, 10)
    found = [tracker(image) for image in frames]
    assert [None if one is None else one.begins for one in found] == [True, False, None, None, True, None, None, True]
    assert tracker.others == 1
    tracker.forget()
    assert tracker(other) is not None
    # However long ago the first was: a slow machine sees other frames between those that say who it is.
    assert tracker(other, 100.0) is not None
    assert len(tracker._captures) == 1
