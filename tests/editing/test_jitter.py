import math

import pytest
import torch
from seed_faces import face_code

from diffusionrig.editing.jitter import Jitter, landmark_jitter
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.render.buffers import PhysicalBuffers


def buffers(level: float, side: int = 8) -> PhysicalBuffers:
    alpha = torch.zeros(1, 1, side, side)
    alpha[..., 2:6, 2:6] = 1
    plane = torch.full((1, 3, side, side), level / 255) * alpha
    return PhysicalBuffers(plane, plane, plane, alpha)


def figures(drawn: list[float], rendered: list[float], background: list[float]) -> dict:
    jitter = Jitter()
    for inside, level, outside in zip(drawn, rendered, background):
        alpha = buffers(0).alpha[0]
        jitter.add((inside * alpha + outside * (1 - alpha)).expand(3, -1, -1), buffers(level))
    return jitter.figures()


def test_even_change_is_no_jitter():
    assert figures([0, 10, 20, 30], [0, 5, 10, 15], [7, 7, 7, 7]) == {
        "head": pytest.approx(0, abs=1e-6), "buffers": pytest.approx(0, abs=1e-4), "background": 0, "ratio": None}


def test_second_differences_are_measured_in_levels():
    # drawn: 0 12 0 12 -> +-24; buffers: 0 3 0 3 -> +-6; background: 0 1 0 1 -> +-2
    assert figures([0, 12, 0, 12], [0, 3, 0, 3], [0, 1, 0, 1]) == {
        "head": pytest.approx(24), "buffers": pytest.approx(6), "background": pytest.approx(2), "ratio": pytest.approx(4)}


def test_two_frames_say_nothing():
    assert set(figures([0, 1], [0, 1], [0, 1]).values()) == {None}


def test_landmarks_that_turn_evenly_do_not_jitter():
    head, codes = load_head(), []
    for shift in (0.0, 1.0, 2.0, 3.0, 5.0):
        code = face_code(1)
        code.camera[:, 1] = 0.001 * shift
        codes.append(code)
    even, uneven = FaceCode.concatenate(codes[:4]), FaceCode.concatenate(codes[2:])
    assert landmark_jitter(head, even, 64) == pytest.approx(0, abs=1e-3)
    # The last step is 1 mm longer: 8 / metre, 32 pixels a unit of the plane.
    assert landmark_jitter(head, uneven, 64) == pytest.approx(0.001 * 8 * 32 * math.sqrt(1), abs=2e-3)
    assert landmark_jitter(head, even[:2], 64) is None
