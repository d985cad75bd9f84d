"""What FIT does on photographs: telling them apart, wider expressions, an identity without the smile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from diffusionrig.capture.fit import photographs
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.fit.frames import level
from diffusionrig.capture.fit.photographs import (
    ACTIONS,
    SPREADS,
    Photographs,
    action_matrix,
    as_photographed,
    shipped_photographs,
    with_identity_moved,
)
from diffusionrig.capture.fit.projection import N_RIGID, Pose
from diffusionrig.capture.fit.refine import LandmarkPosterior
from diffusionrig.capture.fit.solver import Prior
from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.array_files import read_array_file, write_array_file
from diffusionrig.io.assets import read_asset
from diffusionrig.io.images import decode_image
from diffusionrig.randomness import torch_stream


def share_of(encoder: FitEncoder, image: np.ndarray) -> float:
    face = find_face(image, encoder.landmarker)
    assert face is not None
    assert face.points is not None
    assert face.coefficients is not None
    target, _ = level(torch.from_numpy(face.points).double()[None])
    return float(encoder.photographed(target, torch.from_numpy(face.coefficients).double()[None]))


def test_photographs_are_told_from_drawn_heads(encoder: FitEncoder, photographs: tuple[list[np.ndarray], FaceCode]) -> None:
    drawn = [share_of(encoder, image) for image in photographs[0]]
    assert np.mean(drawn) < 0.25
    assert max(drawn) < 0.6
    portrait = decode_image(read_asset("portrait.jpg"), "portrait.jpg")
    assert share_of(encoder, portrait) > 0.7
    assert share_of(encoder, np.ascontiguousarray(portrait[:, ::-1])) > 0.7


def test_the_prior_is_stretched_without_changing_correlations() -> None:
    stream = torch_stream("tests", "photographs")
    count = 6
    parts = {"shape": slice(0, 2), "expression": slice(2, 4), "eyes": slice(4, 5), "error": slice(5, 6)}
    root = torch.randn(3 + count, 3 + count, generator=stream, dtype=torch.float64)
    precision = root @ root.T + torch.eye(3 + count, dtype=torch.float64)
    prior = Prior(torch.eye(3).double().expand(3, 3, 3), torch.zeros(3, count).double(), precision)
    got = as_photographed(prior, parts, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    before = torch.linalg.inv(precision)
    torch.testing.assert_close(got.precision[0], precision)
    for row, power in ((1, 0.5), (2, 1.0)):
        after = torch.linalg.inv(got.precision[row])
        wanted = torch.ones(3 + count, dtype=torch.float64)
        for name, factor in SPREADS.items():
            wanted[3:][parts[name]] = factor**power
        torch.testing.assert_close(after, before * wanted[:, None] * wanted)


def test_all_else_follows_an_identity_that_is_moved(encoder: FitEncoder) -> None:
    model, size = encoder.model, encoder.model.parts["shape"]
    count = N_RIGID + model.parts["eyes"].stop
    stream = torch_stream("tests", "moved identity")
    root = torch.randn(count, 2 * count, generator=stream, dtype=torch.float64)
    precision = (root @ root.T / count + torch.eye(count, dtype=torch.float64))[None]
    coefficients = torch.full((1, len(model.basis)), 0.5, dtype=torch.float64)
    pose = Pose(torch.eye(3).double()[None], torch.ones(1).double(), torch.zeros(1, 2).double(), coefficients)
    start = LandmarkPosterior(pose, torch.zeros(1, count).double(), precision)
    change = 1e-3 * torch.randn(1, size.stop - size.start, generator=stream, dtype=torch.float64)
    moved = with_identity_moved(model, start, pose, change)
    torch.testing.assert_close((moved.coefficients - coefficients)[:, size], change)
    step = torch.zeros(count, dtype=torch.float64)
    step[3], step[4:6] = moved.scale.log(), moved.shift[0]
    step[N_RIGID:] = (moved.coefficients - coefficients)[0, :count - N_RIGID]
    turned = moved.rotation[0]
    step[:3] = torch.stack([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]]) / 2
    slope = precision[0] @ step
    slope[N_RIGID + size.start:N_RIGID + size.stop] = 0
    assert slope.abs().max() < 1e-5  # a minimum over all that is not identity
    assert step.abs().max() > 1e-4
    still = with_identity_moved(model, start, pose, 0 * change)
    torch.testing.assert_close(still.coefficients, coefficients)


def test_the_identity_moves_against_the_smile_and_only_on_photographs(encoder: FitEncoder) -> None:
    names = encoder.head.expression_names
    known = encoder.photographs
    assert known is not None
    expression = torch.zeros(3, len(names), dtype=torch.float64)
    for name in ACTIONS[0]:
        expression[1:, names.index(name)] = 1.0
    change = known.change(expression, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(change[1] - change[0], -known.absorbed[0])
    assert not change[2].any()
    torch.testing.assert_close(action_matrix(names) @ expression[1], torch.tensor([1.0, 0.0], dtype=torch.float64))


def test_a_drawn_head_is_fitted_as_without(encoder: FitEncoder, photographs: tuple[list[np.ndarray], FaceCode],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    known = encoder.photographs
    assert known is not None
    sure = Photographs(0 * known.weights, known.bias * 0 - 100, known.usual, known.absorbed, known.actions)
    monkeypatch.setattr(encoder, "photographs", sure)
    one = encoder.encode(photographs[0][:1]).code
    monkeypatch.setattr(encoder, "photographs", None)
    other = encoder.encode(photographs[0][:1]).code
    for name, tensor in one.tensors().items():
        torch.testing.assert_close(tensor, other.tensors()[name], msg=name)


def test_what_was_learned_with_another_calibration_is_refused(encoder: FitEncoder, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoder.learned is not None
    arrays = read_array_file(photographs.PACKAGE_ASSETS / photographs.ASSET)
    write_array_file(tmp_path / photographs.ASSET, {**arrays, "regression": np.array("0" * 64)})
    monkeypatch.setattr(photographs, "PACKAGE_ASSETS", tmp_path)
    monkeypatch.setattr("diffusionrig.io.assets.PACKAGE_ASSETS", tmp_path)
    names = encoder.head.expression_names
    with pytest.raises(RigError, match="another calibration; run scripts/calibrate_photographs"):
        shipped_photographs(encoder.learned.regression, names, torch.device("cpu"))
    (tmp_path / photographs.ASSET).unlink()
    assert shipped_photographs(encoder.learned.regression, names, torch.device("cpu")) is None
