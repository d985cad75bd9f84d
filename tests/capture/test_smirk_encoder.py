"""SMIRK as an encoder: its crop against the formula, and DECA's codes but for expression and jaw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flame_arrays import open_flame
from standins.checkpoints import deca_networks
from standins.networks import random_weights, smirk_names

from diffusionrig.capture.deca.encoder import DecaEncoder
from diffusionrig.capture.encoder import EncoderOptions, StagedEncoder
from diffusionrig.capture.smirk.crop import cut_truncated, square_of_points
from diffusionrig.capture.smirk.encoder import SmirkEncoder
from diffusionrig.errors import RigError
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.face_code import FaceCode

Photographs = tuple[list[np.ndarray], FaceCode]


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return random_weights(smirk_names(), torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def deca() -> DecaEncoder:
    return DecaEncoder(open_flame(), deca_networks())


@pytest.fixture(scope="module")
def smirk(deca, weights) -> SmirkEncoder:
    return SmirkEncoder(deca, weights)


def published_crop(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Box of the points in MediaPipe's pixels, x 1.4, bilinear in float64, zeros outside, truncated to bytes."""
    left, top = points.min(0).astype(np.float64) + 0.5
    right, bottom = points.max(0).astype(np.float64) + 0.5
    size = int((right - left + bottom - top) / 2 * 1.4)
    cx, cy = right - (right - left) / 2, bottom - (bottom - top) / 2
    x = np.arange(224) * size / 223 + cx - size / 2
    y = np.arange(224) * size / 223 + cy - size / 2
    total = np.zeros((224, 224, 3))
    for i in (0, 1):
        for j in (0, 1):
            row, column = np.floor(y).astype(int) + i, np.floor(x).astype(int) + j
            weight = (1 - abs(y - row))[:, None] * (1 - abs(x - column))[None]
            inside = ((row >= 0) & (row < image.shape[0]))[:, None] & ((column >= 0) & (column < image.shape[1]))[None]
            total += (weight * inside)[..., None] * image[row.clip(0, image.shape[0] - 1)][:, column.clip(0, image.shape[1] - 1)]
    return np.floor(total + 1e-7).astype(np.uint8)


@pytest.mark.parametrize("box", [(60.3, 70.2, 196.9, 230.4), (-30.0, 10.0, 90.0, 140.0)])
def test_the_crop_is_the_published_one(box: tuple[float, float, float, float]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (240, 260, 3), dtype=np.uint8)
    image[100:140, 100:160] = 255
    points = np.array(box, np.float32).reshape(2, 2)
    crop = cut_truncated(image, square_of_points(points))
    expected = published_crop(image, points)
    assert crop.shape == (3, 224, 224)
    levels = np.rint(crop.transpose(1, 2, 0) * 255).astype(np.uint8)
    assert (levels == expected).mean() > 0.9999
    assert np.abs(levels.astype(int) - expected).max() <= 1


def test_expression_and_jaw_are_its_own_and_all_else_is_decas(smirk, deca, photographs: Photographs) -> None:
    assert isinstance(smirk, StagedEncoder)
    images = photographs[0][:2]
    own, decas = smirk.encode(images), deca.encode(images)
    for name in ("shape", "albedo", "camera", "light", "crop", "frame", "eyes", "confidence"):
        assert torch.equal(getattr(own.code, name), getattr(decas.code, name)), name
    assert torch.equal(own.code.pose[:, :3], decas.code.pose[:, :3])
    assert torch.equal(own.found, decas.found)
    for row, image in enumerate(images):
        points = FaceLandmarker().detect(image)[0].points
        crop = published_crop(image, points[:, :2]).transpose(2, 0, 1)[None] / np.float32(255)
        with torch.no_grad():
            expression, jaw = smirk.network.expression_and_jaw(torch.from_numpy(crop))
        torch.testing.assert_close(own.code.expression[row:row + 1], expression, atol=2e-3, rtol=0)
        torch.testing.assert_close(own.code.pose[row:row + 1, 3:], jaw, atol=2e-3, rtol=0)
    assert not torch.equal(own.code.expression, decas.code.expression)


def test_a_code_does_not_depend_on_its_batch(smirk, photographs: Photographs) -> None:
    nothing = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    images = [photographs[0][0], nothing, photographs[0][1]]
    together = smirk.encode(images)
    assert together.found.tolist() == [True, False, True]
    assert together.notes[1].startswith("No face was found")
    for i, image in enumerate(images):
        for name, tensor in smirk.encode([image]).code.tensors().items():
            assert torch.equal(tensor[0], together.code.tensors()[name][i]), name


def test_decas_way_of_looking_does_not_change_where_smirk_looks(weights, deca, smirk, photographs: Photographs) -> None:
    resized = DecaEncoder.__new__(DecaEncoder)
    resized.__dict__.update(deca.__dict__, options=EncoderOptions(published_side=256))
    image = photographs[0][0]
    other = SmirkEncoder(resized, weights).encode([image]).code
    assert torch.equal(other.expression, smirk.encode([image]).code.expression)
    assert torch.equal(other.shape, resized.encode([image]).code.shape)
    assert not torch.equal(other.shape, deca.encode([image]).code.shape)


def test_nothing_in_nothing_out(smirk) -> None:
    assert len(smirk.encode([]).code) == 0


def test_incomplete_weights_are_refused(deca, weights) -> None:
    damaged = {name: tensor for name, tensor in weights.items() if name != "shape_encoder.shape_layers.0.bias"}
    with pytest.raises(RigError, match=r"data/SMIRK_em1.pt .* 762 tensors, 1 missing \(shape_encoder.shape_layers.0.bias\)"):
        SmirkEncoder(deca, damaged, what="data/SMIRK_em1.pt")
