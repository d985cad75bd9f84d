"""FIT end to end on synthetic photographs with known codes, and on a real one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusionrig.capture.encoder import FLAG_BELOW
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.io.resize import resize_square

Photographs = tuple[list[np.ndarray], FaceCode]


def rotation_error(found: FaceCode, truth: FaceCode) -> torch.Tensor:
    """Degrees between head rotations, (B,)."""
    between = axis_angle_to_matrix(found.pose[:, :3]).transpose(1, 2) @ axis_angle_to_matrix(truth.pose[:, :3])
    return torch.rad2deg(matrix_to_axis_angle(between).norm(dim=1))


def test_synthetic_people_are_found_where_they_are(encoder: FitEncoder, photographs: Photographs) -> None:
    images, truth = photographs
    result = encoder.encode(images)
    assert result.found.all()
    assert not result.flagged.any()
    assert result.notes == [""] * len(images)
    assert rotation_error(result.code, truth).median() < 5
    head = encoder.head
    wanted, got = (image_points(head.landmarks(head.vertices(code), code), code)[:, 17:, :2] for code in (truth, result.code))
    eyes = (wanted[:, 19:25].mean(1) - wanted[:, 25:31].mean(1)).norm(dim=-1)
    assert ((wanted - got).norm(dim=-1).mean(1) / eyes).median() < 0.06
    weights = result.code.expression
    assert weights.min() >= 0
    assert weights.max() <= 1


def test_the_same_image_gives_the_same_code_in_any_batch(encoder: FitEncoder, photographs: Photographs) -> None:
    images, _ = photographs
    together = encoder.encode(images[:3]).code
    again = encoder.encode(images[:3]).code
    for name, tensor in together.tensors().items():
        assert torch.equal(tensor, again.tensors()[name]), name
    for i in range(3):
        alone = encoder.encode(images[i:i + 1]).code
        for name, tensor in alone.tensors().items():
            assert torch.equal(tensor, together.tensors()[name][i:i + 1]), name


def test_small_pictures_are_captured_too(encoder: FitEncoder, photographs: Photographs) -> None:
    images, truth = photographs
    small = [resize_square(image, 64) for image in images]
    result = encoder.encode(small)
    assert result.found.all()
    assert rotation_error(result.code, truth).median() < 8
    torch.testing.assert_close(result.code.frame, torch.full((len(images), 2), 64.0))


def test_the_portrait_is_trusted_and_noise_is_not_a_face(encoder: FitEncoder) -> None:
    skimage_data = pytest.importorskip("skimage.data")
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    portrait = np.ascontiguousarray(skimage_data.astronaut())
    result = encoder.encode([noise, portrait])
    assert result.found.tolist() == [False, True]
    assert result.code.confidence[1] > FLAG_BELOW
    assert result.code.confidence[0] == 0
    assert result.notes == ["No face was found.", ""]
    torch.testing.assert_close(result.code.frame, torch.tensor([[300.0, 200.0], [512.0, 512.0]]))


def test_nothing_in_nothing_out(encoder: FitEncoder) -> None:
    result = encoder.encode([])
    assert len(result.code) == 0
    assert result.notes == []
