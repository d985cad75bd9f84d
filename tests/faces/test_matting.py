"""The matte of a person: on the portrait that the package carries."""

import numpy as np
import pytest
import torch

from diffusionrig.errors import RigError
from diffusionrig.faces import matting
from diffusionrig.faces.alignment import cut_square, ffhq_quad
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.faces.matting import SIDE, person_matte
from diffusionrig.io.assets import asset_path
from diffusionrig.io.images import read_image


@pytest.fixture(scope="module")
def portrait() -> torch.Tensor:
    photo = read_image(asset_path("portrait.jpg"))
    face = FaceLandmarker().detect(photo)[0]
    aligned = cut_square(photo, ffhq_quad(face.points68), SIDE).image
    return torch.from_numpy(aligned.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]


def test_face_hair_and_clothes_are_the_person_and_the_corners_are_not(portrait):
    matte = person_matte(portrait)
    assert matte.shape == (1, 1, SIDE, SIDE)
    assert 0 <= float(matte.min()) <= float(matte.max()) <= 1
    assert float(matte[..., 100:180, 100:156].min()) > 0.95
    assert 0.3 < float(matte.mean()) < 0.85


def test_a_matte_does_not_depend_on_the_batch_the_size_or_the_dtype(portrait):
    once = person_matte(portrait)
    assert torch.equal(person_matte(torch.cat([portrait.flip(-1), portrait]))[1:], once)
    large = torch.nn.functional.interpolate(portrait, scale_factor=2, mode="nearest")
    torch.testing.assert_close(person_matte(large), once, atol=0.02, rtol=0)
    assert person_matte(portrait.double()).dtype == torch.float64
    assert person_matte(portrait[:0]).shape == (0, 1, SIDE, SIDE)


def test_an_installation_without_the_network_says_so(portrait, monkeypatch):
    monkeypatch.setattr(matting, "SEGMENTATION", "absent.tflite")
    monkeypatch.setattr(matting, "_local", type("Fresh", (), {})())
    with pytest.raises(RigError, match=r"absent\.tflite is missing; install diffusionrig again"):
        person_matte(portrait)
