"""Features of frames: coefficients that come back from codes, gaps, crops, attributes by the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffusionrig.capture.encoder import Capture
from diffusionrig.editing.smoothing import Smoothing
from diffusionrig.errors import UsageError
from diffusionrig.faces.face import Face
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.reactions.features.attribute_rule import arkit_rule
from diffusionrig.reactions.features.captured import code_coefficients, faceverse_angles, fill_gaps, translation
from diffusionrig.reactions.features.face_crops import cut_square, face_square
from diffusionrig.reactions.features.sight import BETWEEN, CAPTURED, Coefficients, attribute_model
from diffusionrig.reactions.frames.codes import Neutral, faceverse_rotation, reaction_codes
from diffusionrig.reactions.frames.listener import head_centre
from diffusionrig.reactions.synthetic.observables import shape_columns


def face(**changes: torch.Tensor) -> FaceCode:
    head = load_head()
    code = FaceCode(shape=torch.zeros(1, head.n_shape), albedo=torch.zeros(1, head.n_albedo),
                    expression=torch.zeros(1, head.n_expression), pose=torch.tensor([[0.1, -0.2, 0.05, 0, 0, 0]]),
                    camera=torch.tensor([[9.0, 0.004, 0.03]]), light=torch.zeros(1, 9, 3), head=head.name)
    return code.replace(**changes)


def test_angles_come_back_from_rotations() -> None:
    angles = torch.tensor([[math.pi + 0.3, -0.7, 0.4], [math.pi - 0.5, 1.2, -1.0], [math.pi, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(faceverse_angles(faceverse_rotation(angles)), angles)


def test_coefficients_come_back_from_the_codes_that_they_move() -> None:
    """The inverse of the way from coefficients to frames: exact in expression and turn, and in place up to the head's own."""
    head, draw = load_head(), np.random.default_rng(1)
    listener = face()
    centre = head_centre(head, listener)
    still = code_coefficients(listener, head)[0]
    wanted = np.tile(still, (5, 1))
    wanted[1:, :52] = draw.uniform(0, 0.6, (4, 52))
    for name in ("eyeLookUp", "eyeLookIn", "mouthClose"):  # An eye looks one way; lips close an open jaw only.
        wanted[:, shape_columns(name)] = 0
    wanted[1:, 52:55] += draw.uniform(-0.3, 0.3, (4, 3))
    wanted[1:, 55:] += draw.uniform(-0.3, 0.3, (4, 3))
    neutral = Neutral("none", np.concatenate([np.zeros(52), still[52:]]))
    codes, centres = reaction_codes(wanted, neutral, listener, centre, head)
    found = code_coefficients(codes, head)
    np.testing.assert_allclose(found[:, :52], wanted[:, :52], atol=1e-5)
    np.testing.assert_allclose(found[:, 52:55], wanted[:, 52:55], atol=1e-5)
    # reaction_codes turns a rigid head; where the centre of the moved face really is differs with its expression only.
    np.testing.assert_allclose(translation(codes, centres).numpy(), wanted[:, 55:], atol=2e-5)


def test_translation_is_that_of_the_whole_picture() -> None:
    """The same face in the same picture, whatever square of it the code refers to; moved and enlarged, t follows."""
    head, code = load_head(), face()
    centre = head_centre(head, code)
    whole = translation(code, centre)
    # A crop of half the picture about its middle: there the face is twice as large, and shifts grow with the scale.
    half = torch.tensor([[[2.0, 0, -112], [0, 2, -112], [0, 0, 1]]])
    cut = code.replace(crop=half, camera=code.camera * torch.tensor([[2.0, 1, 1]]))
    torch.testing.assert_close(translation(cut, centre), whole, atol=1e-6, rtol=0)
    nearer = translation(code.replace(camera=code.camera * torch.tensor([[1.1, 1, 1]])), centre)
    assert nearer[0, 2] > whole[0, 2]
    assert float((10 - whole[0, 2]) / (10 - nearer[0, 2])) == pytest.approx(1.1, abs=1e-6)
    right = translation(code.replace(camera=code.camera + torch.tensor([[0, 0.01, 0.02]])), centre)
    torch.testing.assert_close(right - whole, torch.tensor([[0.1, 0.2, 0]], dtype=torch.float64), atol=1e-6, rtol=0)


def test_gaps_are_filled_evenly() -> None:
    rows = np.array([[9.0, 9], [0, 4], [9, 9], [9, 9], [3, 1], [9, 9]])
    known = np.array([False, True, False, False, True, False])
    np.testing.assert_allclose(fill_gaps(rows, known), [[0, 4], [0, 4], [1, 3], [2, 2], [3, 1], [3, 1]])
    assert np.isnan(fill_gaps(rows, np.zeros(6, bool))).all()


class _Clip:
    """Six frames whose first pixel says how far the face is turned (units of 0.1); 255: no face."""

    fps, length = 25.0, 6

    def has(self, modality: str) -> bool:
        return modality == "video"

    def frames(self):
        return (np.full((4, 4, 3), shade, np.uint8) for shade in (0, 1, 255, 3, 4, 255))


class _Encoder:
    """Reads such frames."""

    name = "test"
    seen = 0

    def encode(self, images: list[np.ndarray]) -> Capture:
        self.seen += len(images)
        shade = int(images[0][0, 0, 0])
        return Capture(face(pose=torch.tensor([[0, 0.1 * shade, 0, 0, 0, 0]])), torch.tensor([shade != 255]), [""])


@pytest.mark.parametrize(("every", "yaw", "sources"), [
    (1, [0, 0.1, 0.2, 0.3, 0.4, 0.4], [CAPTURED, CAPTURED, BETWEEN, CAPTURED, CAPTURED, BETWEEN]),
    (4, [0, 0.1, 0.2, 0.3, 0.4, 0.4], [CAPTURED, BETWEEN, BETWEEN, BETWEEN, CAPTURED, BETWEEN]),
    (3, [0, 0.1, 0.2, 0.3, 0.3, 0.3], [CAPTURED, BETWEEN, BETWEEN, CAPTURED, BETWEEN, BETWEEN])])
def test_frames_without_a_face_and_between_are_interpolated_and_marked(every: int, yaw: list, sources: list) -> None:
    capture = Coefficients(every, Smoothing(), False, "cpu")
    capture.encoder = _Encoder()
    made = capture.extract(_Clip())  # type: ignore[arg-type]
    np.testing.assert_allclose(made["s_coefficients"][:, 53], yaw, atol=1e-6)
    assert made["coefficients_from"].tolist() == sources
    assert capture.encoder.seen == -(-6 // every)
    smooth = Coefficients(every, Smoothing(1.0, 0.0), False, "cpu")
    smooth.encoder = _Encoder()
    assert smooth.extract(_Clip())["s_coefficients"][4, 53] < yaw[4] - 0.05  # type: ignore[arg-type]


def test_crops_are_squares_of_the_frame_and_go_on_beyond_it() -> None:
    x, y = np.meshgrid(np.arange(60), np.arange(40))
    ramp = np.stack([4 * x, 6 * y, np.zeros_like(x)], -1).astype(np.uint8)
    found = Face(np.array([20, 10, 30, 20], np.float32), 1.0, np.zeros((68, 2), np.float32))
    square = face_square(found)
    np.testing.assert_allclose(square, [19, 9, 31, 21])
    # 12 pixels wide from 19 to 31, counted from middle to middle of pixels: edges at half pixels.
    same = cut_square(ramp, square, 12)
    np.testing.assert_allclose(same[..., 0].mean(0), 4 * (19.5 + np.arange(12)), atol=1.01)
    small = cut_square(ramp, square, 4)
    np.testing.assert_allclose(small[..., 1].mean(1), 6 * (9 + 12 * (np.arange(4) + 0.5) / 4), atol=1.5)
    over = cut_square(ramp, np.array([-10, -10, 10, 10], np.float32), 20)
    assert (over[:9, :9] == ramp[0, 0]).all()
    assert over.shape == (20, 20, 3)


def test_the_rule_says_what_a_smile_and_a_still_face_are() -> None:
    rows = np.zeros((3, 58))
    rows[:, 52] = np.pi
    rows[1, shape_columns("mouthSmile")] = 0.9
    rows[1, shape_columns("cheekSquint")] = 0.5
    rows[2, shape_columns("jawOpen")] = 0.6
    made = arkit_rule(rows)
    assert made.shape == (3, 25)
    assert (made[0, :15] == 0).all()
    assert np.flatnonzero(made[1, :15]).tolist() == [3, 7]  # AU6, AU12
    assert np.flatnonzero(made[2, :15]).tolist() == [13, 14]  # AU25, AU26
    np.testing.assert_allclose(made[:, 15], [0, np.tanh(1.8), 0], atol=1e-6)
    np.testing.assert_allclose(made[:, 16], np.tanh([-0.3, -0.3, 0.3]), atol=1e-6)
    np.testing.assert_allclose(made[:, 17:].sum(1), 1, atol=1e-6)
    assert made[:2, 17:].argmax(1).tolist() == [0, 1]  # neutral, happy
    assert np.isnan(arkit_rule(np.full((2, 58), np.nan))).all()


def test_attribute_models_are_pluggable() -> None:
    assert attribute_model("numpy:atleast_2d") is np.atleast_2d
    with pytest.raises(UsageError, match="no attribute model 'happy'; give arkit-rule"):
        attribute_model("happy")
    with pytest.raises(UsageError, match="numpy:nothing cannot be imported"):
        attribute_model("numpy:nothing")
