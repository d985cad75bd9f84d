"""The tie between the landmarker's points and the head."""

from __future__ import annotations

import pytest
import torch

from diffusionrig.capture.fit.calibration import shipped_calibration
from diffusionrig.capture.fit.correspondence import (
    NEUTRAL_TOLERANCE,
    find_tie,
    fits,
    landmark_points,
    probe,
    shipped_tie,
    tie_landmarks,
)
from diffusionrig.capture.fit.landmark_model import build_landmark_model, neutral_code
from diffusionrig.geometry.heads import load_head

RIGHT_EYE, LEFT_EYE, CHIN, NOSE_TIP, UPPER_LIP, LOWER_LIP = 33, 263, 152, 4, 13, 14


def test_the_shipped_files_belong_to_the_shipped_head() -> None:
    head = load_head()
    tie, landmarks = shipped_tie()
    assert fits(tie, landmarks[:1], head, NEUTRAL_TOLERANCE)
    assert shipped_calibration(head, find_tie(head)) is not None


def test_a_head_of_another_shape_is_told_apart() -> None:
    head = load_head()
    tie, landmarks = shipped_tie()
    assert not fits(tie, landmarks * 1.1, head, NEUTRAL_TOLERANCE)


def test_landmarks_lie_where_their_names_say() -> None:
    head = load_head()
    points = probe(shipped_tie()[0], head)[0]
    assert points[RIGHT_EYE, 0] < -0.03 < 0.03 < points[LEFT_EYE, 0]
    assert points[CHIN, 1] < points[LOWER_LIP, 1] < points[NOSE_TIP, 1] < points[RIGHT_EYE, 1]
    assert points[NOSE_TIP, 2] > points[:, 2].max() - 0.005
    assert (points[RIGHT_EYE] * points.new_tensor([-1.0, 1.0, 1.0]) - points[LEFT_EYE]).norm() < 0.004


def test_the_lips_part_when_the_jaw_opens() -> None:
    head = load_head()
    tie = shipped_tie()[0]
    code = neutral_code(head, 1, torch.zeros(()))
    shut = landmark_points(tie, head, head.vertices(code))[0]
    code.expression[:, head.expression_names.index("jawOpen")] = 1.0
    wide = landmark_points(tie, head, head.vertices(code))[0]
    assert (shut[UPPER_LIP] - shut[LOWER_LIP]).norm() < 0.006
    assert (wide[UPPER_LIP] - wide[LOWER_LIP])[1] > 0.02


def test_the_landmark_model_is_the_head_seen_at_its_landmarks() -> None:
    head = load_head()
    tie = shipped_tie()[0]
    model = build_landmark_model(head, tie.face, tie.barycentric, tie.reliability, head.n_shape)
    code = neutral_code(head, 2, torch.zeros(()))
    stream = torch.Generator().manual_seed(3)
    code.shape[:] = torch.randn(2, head.n_shape, generator=stream)
    code.expression[:] = torch.rand(2, head.n_expression, generator=stream) * 0.3
    coefficients = torch.cat([code.shape, code.expression, torch.zeros(2, 4)], 1)
    torch.testing.assert_close(model.points(coefficients), landmark_points(tie, head, head.vertices(code)), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_tying_again_finds_the_same_places() -> None:
    head = load_head()
    again = probe(tie_landmarks(head), head)[0]
    distance = (again - probe(shipped_tie()[0], head)[0]).norm(dim=-1)
    assert distance.median() < 0.001
    assert distance.quantile(0.9) < 0.004
