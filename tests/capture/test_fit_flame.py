"""FIT on a head in FLAME's form: another mesh, a Gaussian expression basis, a jaw joint, no calibration."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from flame_arrays import flame_code, open_flame

from diffusionrig.capture.encoder import Capture
from diffusionrig.capture.fit import correspondence
from diffusionrig.capture.fit.correspondence import LandmarkTie, find_tie, probe, tie_file_name, tie_views
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.registry import make_encoder
from diffusionrig.errors import RigError
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame import Flame
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.io.array_files import write_array_file
from diffusionrig.render.physical import render_buffers

FACES = 4


@pytest.fixture(scope="module")
def encoder() -> FitEncoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correspondence, "tie_views", partial(tie_views, count=16))  # of 60: enough to test with
        made = make_encoder("FIT", head=open_flame(), device="cpu")
    assert isinstance(made, FitEncoder)
    return made


def drawn_faces(head: Flame) -> tuple[list[np.ndarray], FaceCode]:
    """Pictures of random people with known codes."""
    code = flame_code(head, FACES, seed=4)
    code = code.replace(shape=0.8 * code.shape, expression=0.6 * code.expression, albedo=0.6 * code.albedo, eyes=0 * code.eyes)
    code.pose[:, :3] *= 0.6
    code.pose[:, 3:] = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0.2, 0, 0], [0.05, 0, 0]])
    code.light[:, 1:] *= 0.3
    code.light[:, 3] += 0.3
    code.camera[:, 1:] = -head.landmarks(head.vertices(code), code)[..., :2].mean(1)
    buffers = render_buffers(head, code, 384)
    pictures = (buffers.rendered + 0.45 * (1 - buffers.alpha)).clamp(0, 1)
    return list((pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()), code


@pytest.fixture(scope="module")
def renders() -> tuple[list[np.ndarray], FaceCode]:
    return drawn_faces(open_flame())


@pytest.fixture(scope="module")
def result(encoder: FitEncoder, renders: tuple[list[np.ndarray], FaceCode]) -> Capture:
    return encoder.encode(renders[0])


def test_faces_are_found_where_they_are(encoder: FitEncoder, result: Capture, renders: tuple[list[np.ndarray], FaceCode]) -> None:
    _, truth = renders
    head = open_flame()
    assert encoder.learned is None
    assert result.found.all()
    assert not result.flagged.any()
    assert result.code.head == "flame-2020"
    assert result.code.expression.shape == (FACES, 50)
    degrees, misses = errors(head, result.code, truth)
    assert degrees.max() < 8
    assert misses.max() < 0.05


def errors(head: Flame, found: FaceCode, truth: FaceCode) -> tuple[torch.Tensor, torch.Tensor]:
    """Degrees between head rotations, and landmark distances in units of the eye distance, (B,) each."""
    turn = axis_angle_to_matrix(found.pose[:, :3]).mT @ axis_angle_to_matrix(truth.pose[:, :3])
    wanted, got = (image_points(head.landmarks(head.vertices(code), code), code)[:, 17:, :2] for code in (truth, found))
    eyes = (wanted[:, 19:25].mean(1) - wanted[:, 25:31].mean(1)).norm(dim=-1)
    return torch.rad2deg(matrix_to_axis_angle(turn).norm(dim=1)), (wanted - got).norm(dim=-1).mean(1) / eyes


def test_an_open_mouth_is_seen(result: Capture, renders: tuple[list[np.ndarray], FaceCode]) -> None:
    _, truth = renders
    head = open_flame()

    def gaps(code: FaceCode) -> torch.Tensor:
        points = head.landmarks(head.vertices(code.replace(pose=torch.cat([0 * code.pose[:, :3], code.pose[:, 3:]], 1))), code)
        return (points[:, 62] - points[:, 66])[:, 1]

    found, wanted = gaps(result.code), gaps(truth)
    assert float(torch.corrcoef(torch.stack([found, wanted]))[0, 1]) > 0.9


def test_the_light_comes_out_about_right(result: Capture, renders: tuple[list[np.ndarray], FaceCode]) -> None:
    images, _ = renders
    drawn = render_buffers(open_flame(), result.code, 384)
    for i, image in enumerate(images):
        face = drawn.alpha[i, 0].bool() & (drawn.normal[i, 2] > 0.5)
        given = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        assert (drawn.rendered[i] - given)[:, face].abs().mean() < 0.06


def test_a_tie_that_was_kept_is_used(tmp_path, monkeypatch: pytest.MonkeyPatch, encoder: FitEncoder) -> None:
    head = open_flame()
    found = find_tie(head)
    kept = LandmarkTie(found.face.clone(), found.barycentric.clone(), torch.full_like(found.reliability, 0.5))
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path))
    monkeypatch.setattr(correspondence, "_FOUND", {})
    path = tmp_path / tie_file_name(head)
    arrays = {"face": kept.face.numpy(), "barycentric": kept.barycentric.numpy(), "reliability": kept.reliability.numpy(),
              "probe": probe(kept, head).numpy()}
    write_array_file(path, arrays)
    assert torch.equal(find_tie(head).reliability, kept.reliability)
    for damage in ({"face": arrays["face"] + 10**5}, {"barycentric": arrays["barycentric"][:, :2]}):
        monkeypatch.setattr(correspondence, "_FOUND", {})
        write_array_file(path, {**arrays, **damage})
        with pytest.raises(RigError, match="is no landmark tie of this head"):
            find_tie(head)


@pytest.mark.slow
def test_faces_of_a_head_from_files_are_found(standin_head_folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(standin_head_folder))
    head = load_head("flame-2020")
    assert isinstance(head, Flame)
    images, truth = drawn_faces(head)
    captured = make_encoder("FIT", head=head, device="cpu").encode(images)
    assert captured.found.all()
    degrees, misses = errors(head, captured.code, truth)
    assert degrees.max() < 8
    assert misses.max() < 0.04
