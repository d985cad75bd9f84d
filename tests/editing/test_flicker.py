import numpy as np
import pytest
import torch

from diffusionrig.capture.fit.landmark_model import neutral_code
from diffusionrig.editing.flicker import Flicker, as_crops, face_view, flicker_figures, stretches
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.sheets import to_uint8
from diffusionrig.render.physical import render_buffers

SIZE = 64


@pytest.fixture(scope="module")
def moving() -> tuple[FaceCode, list[np.ndarray]]:
    """A head that turns under an even light, and pictures of it in which only its texture is seen."""
    head = load_head()
    code = neutral_code(head, 5, torch.zeros(()))
    code.pose[:, 1] = torch.linspace(-0.1, 0.1, 5)
    return code, list(to_uint8(render_buffers(head, code, SIZE).albedo.numpy()))


def level(pictures: list[np.ndarray], code: FaceCode) -> float:
    flicker = Flicker(load_head(), SIZE)
    flicker.add(pictures, code)
    assert flicker.level is not None
    return flicker.level


def test_what_stands_still_does_not_flicker(moving):
    code, pictures = moving
    assert level([pictures[2]] * 3, code[[2, 2, 2]]) < 0.2
    assert flicker_figures(0.0, 0.0)["ratio"] is None
    assert flicker_figures(2.0, 1.0)["ratio"] == 2


def test_movement_of_the_mesh_is_no_flicker(moving):
    code, pictures = moving
    random = np.random.default_rng(0)
    noisy = [np.clip(picture + random.normal(0, 8, picture.shape), 0, 255).astype(np.uint8) for picture in pictures]
    steady = level(pictures, code)
    assert steady < 0.6 * level(pictures, code[[2] * 5])
    assert level(noisy, code) > steady + 5


def test_a_driver_is_looked_at_in_its_crops(moving):
    code, pictures = moving
    wide = np.zeros((3 * SIZE, 4 * SIZE, 3), np.uint8)
    wide[SIZE:2 * SIZE, 2 * SIZE:3 * SIZE] = pictures[0]
    crop = torch.tensor([[224 / SIZE, 0, -2 * 224], [0, 224 / SIZE, -224], [0, 0, 1]])[None]
    there = code[0].replace(crop=crop, frame=torch.tensor([[4.0 * SIZE, 3.0 * SIZE]]))
    assert np.abs(face_view(wide, there, SIZE).astype(int) - pictures[0]).mean() < 1
    head = load_head()
    vertices = head.vertices(there)
    torch.testing.assert_close(image_points(vertices, as_crops(there)), image_points(vertices, code[0]), atol=1e-5, rtol=0)


def test_long_clips_are_looked_at_here_and_there():
    assert stretches(60) == [range(60)]
    parts = stretches(1000)
    assert len(parts) == 10
    assert (parts[0].start, parts[-1].stop) == (0, 1000)
    assert {len(part) for part in parts} == {6}
