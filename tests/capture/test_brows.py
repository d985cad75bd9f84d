"""The reader of brows: its strip, its symmetry, how it joins the prior, and what it reads of raised brows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from diffusionrig.capture.fit import brows
from diffusionrig.capture.fit.brows import (
    BROWS,
    OTHER_SIDE,
    STRIP,
    BrowNetwork,
    BrowReader,
    brow_strip,
    mirrored_face,
    shipped_reader,
    with_brows,
)
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.frames import level
from diffusionrig.capture.fit.solver import Prior, solve
from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.errors import RigError
from diffusionrig.faces.canonical import mirrored_landmarks
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.io.array_files import read_array_file, write_array_file
from diffusionrig.randomness import torch_stream
from tests.capture.test_solver import gaussian, observe, random_poses, small_model, start_from


def test_the_strip_follows_the_face() -> None:
    stream = np.random.default_rng(3)
    image = cv2.GaussianBlur(stream.uniform(0, 1, (300, 300, 3)), (0, 0), 5)
    image = np.rint(255 * (image - image.min()) / (image.max() - image.min())).astype(np.uint8)
    points = stream.uniform(100, 200, (478, 3)).astype(np.float32)
    points[list(brows.ANCHORS), :2] = brows.ANCHOR_PLACES * 0.9 + 80
    strip = brow_strip(image, points)
    assert strip.shape == STRIP
    assert strip.std() > 3
    turn = cv2.getRotationMatrix2D((150, 150), 20, 1.1)
    turned = cv2.warpAffine(image, turn, (300, 300), flags=cv2.INTER_CUBIC)
    moved = points.copy()
    moved[:, :2] = points[:, :2] @ turn[:, :2].T.astype(np.float32) + turn[:, 2].astype(np.float32)
    assert np.abs(brow_strip(turned, moved).astype(float) - strip).mean() < 1.5
    assert not brow_strip(image, np.full((478, 3), 7, np.float32)).any()


def test_every_pixel_of_a_large_picture_counts(photographs: tuple[list[np.ndarray], FaceCode]) -> None:
    image = photographs[0][0]
    points = FaceLandmarker().detect(image)[0].points
    assert points is not None
    strip = brow_strip(image, points).astype(float)
    large = cv2.resize(image, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC).astype(int)
    noise = np.random.default_rng(0).integers(-60, 61, large.shape)
    noisy = (large + noise).clip(0, 255).astype(np.uint8)
    there = np.concatenate([(points[:, :2] + 0.5) * 8 - 0.5, points[:, 2:] * 8], 1)
    assert np.abs(brow_strip(noisy, there) - strip).mean() < 3  # a single pixel of it is off by 17 in the mean


def test_every_landmark_has_one_partner_across() -> None:
    partner = mirrored_landmarks()
    assert [partner[i] for i in partner] == list(range(478))
    assert (partner[33], partner[168], partner[61], partner[468]) == (263, 168, 291, 473)


def test_a_mirrored_face_is_read_with_its_sides_exchanged(encoder: FitEncoder) -> None:
    assert encoder.learned is not None
    torch.manual_seed(0)
    network = BrowNetwork(len(encoder.learned.regression.feature_mean)).eval()
    reader = BrowReader(network, torch.eye(5), list(range(5)))
    stream = torch_stream("tests", "brows")
    target = encoder.model.mean[None] + 0.002 * torch.randn(2, 478, 3, generator=stream).double()
    seen, strips = torch.rand(2, 52, generator=stream).double(), 255 * torch.rand(2, 1, *STRIP, generator=stream)
    other = mirrored_face(target, seen)
    for one, two in zip(mirrored_face(*other), (target, seen)):
        torch.testing.assert_close(one, two)
    value, covariance = reader.read(encoder.learned.regression, encoder.model, strips, target, seen)
    flipped, spread = reader.read(encoder.learned.regression, encoder.model, strips.flip(3), *other)
    torch.testing.assert_close(flipped[:, OTHER_SIDE], value)
    torch.testing.assert_close(spread[:, OTHER_SIDE][:, :, OTHER_SIDE], covariance)
    assert [BROWS[i] for i in OTHER_SIDE] == ["browDownRight", "browDownLeft", "browInnerUp", "browOuterUpRight", "browOuterUpLeft"]


def test_the_prior_becomes_the_product_of_both_gaussians() -> None:
    stream = torch_stream("tests", "brow prior")
    count, columns = 6, [2, 4]
    root = torch.randn(3 + count, 3 + count, generator=stream, dtype=torch.float64)
    precision = root @ root.T + torch.eye(3 + count, dtype=torch.float64)
    mean = torch.randn(2, count, generator=stream, dtype=torch.float64)
    rotation = axis_angle_to_matrix(0.3 * torch.randn(2, 3, generator=stream, dtype=torch.float64))
    value = mean[:, columns] + 1e-3 * torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=torch.float64)
    covariance = torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.5, -0.2], [-0.2, 0.4]]], dtype=torch.float64)
    got = with_brows(Prior(rotation, mean, precision), columns, value, covariance)
    spread = torch.linalg.inv(precision)
    for i in range(2):  # conditioning, in the covariance form: Kalman's gain
        rows = [3 + column for column in columns]
        gain = spread[:, rows] @ torch.linalg.inv(spread[rows][:, rows] + covariance[i])
        step = gain @ (value[i] - mean[i, columns])
        torch.testing.assert_close(got.mean[i], mean[i] + step[3:])
        torch.testing.assert_close(matrix_to_axis_angle(rotation[i].T @ got.rotation[i]), step[:3], atol=1e-9, rtol=1e-5)
        torch.testing.assert_close(torch.linalg.inv(got.precision[i]), spread - gain @ spread[rows])


def test_a_precision_for_each_face_solves_like_one_for_all() -> None:
    model = small_model()
    seen = observe(model, random_poses(3, model))
    prior = gaussian(torch.zeros(3, len(model.basis), dtype=torch.float64), 1e-2)
    each = dataclasses.replace(prior, precision=prior.precision.repeat(3, 1, 1))
    one, two = (solve(model, start_from(model, seen), seen, which) for which in (prior, each))
    torch.testing.assert_close(one.coefficients, two.coefficients, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(one.rotation, two.rotation, atol=1e-9, rtol=1e-9)


def test_raised_and_lowered_brows_are_told_apart(encoder: FitEncoder) -> None:
    head = encoder.head
    found = {}
    for name in ("", "browInnerUp", "browDown"):
        pictures = []
        for i in range(4):
            person = sample_person(91, i, head)
            scene = sample_scene(person, 91, 0, head, yaw_limit=20)
            code = scene.code.replace(expression=scene.code.expression.clone())
            for column, expression in enumerate(head.expression_names):
                if expression.startswith("brow"):
                    code.expression[:, column] = 0.7 if name and expression.startswith(name) else 0.0
            pictures.append(render_photographs([person], [dataclasses.replace(scene, code=code)], head, 256)[0])
        code = encoder.encode(pictures).code
        columns = {which: [i for i, expression in enumerate(head.expression_names) if expression.startswith(which)]
                   for which in ("browInnerUp", "browDown")}
        found[name] = {which: code.expression[:, members].mean(1) for which, members in columns.items()}
    for name in ("browInnerUp", "browDown"):
        gain = found[name][name] - found[""][name]
        assert gain.min() > 0.1, (name, gain)
        assert gain.mean() > 0.3, (name, gain)


def test_a_reader_of_another_calibration_is_refused(encoder: FitEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoder.learned is not None
    arrays = read_array_file(brows.PACKAGE_ASSETS / brows.ASSET)
    arrays["regression"] = np.array("0" * 64)
    write_array_file(tmp_path / brows.ASSET, arrays)
    monkeypatch.setattr(brows, "PACKAGE_ASSETS", tmp_path)
    monkeypatch.setattr("diffusionrig.io.assets.PACKAGE_ASSETS", tmp_path)
    names = encoder.head.expression_names
    with pytest.raises(RigError, match="another calibration of FIT; run scripts/train_brows"):
        shipped_reader(encoder.learned.regression, names, torch.device("cpu"))
    assert shipped_reader(encoder.learned.regression, tuple(n for n in names if n != "browInnerUp"), torch.device("cpu")) is None
    (tmp_path / brows.ASSET).unlink()
    assert shipped_reader(encoder.learned.regression, names, torch.device("cpu")) is None


def test_a_mirrored_photograph_has_the_mirrored_landmarks_and_strip(photographs: tuple[list[np.ndarray], FaceCode]) -> None:
    image = photographs[0][0]
    landmarker = FaceLandmarker()
    faces = [landmarker.detect(picture)[0] for picture in (image, np.ascontiguousarray(image[:, ::-1]))]
    (target, mirror), _ = level(torch.from_numpy(np.stack([face.points for face in faces])).double())
    other, _ = mirrored_face(target[None], torch.zeros(1, 52).double())
    assert (other[0] - mirror)[:, :2].norm(dim=1).mean() < 0.05
    strips = [brow_strip(picture, face.points).astype(float) for picture, face in zip((image, image[:, ::-1]), faces)]
    assert np.corrcoef(strips[0][:, ::-1].ravel(), strips[1].ravel())[0, 1] > 0.9
