import numpy as np
import pytest
import torch

from diffusionrig.demo.people import choose_cast, true_edit, write_photographs
from diffusionrig.evaluation.regions import face_region
from diffusionrig.geometry.camera import image_points, pixels
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.images import read_image


@pytest.fixture(scope="module")
def cast():
    return choose_cast(load_head(), seed=3, album=1, held_out=1, strangers=1)


def test_the_cast_is_a_function_of_the_seed(cast):
    again = choose_cast(load_head(), seed=3, album=1, held_out=1, strangers=1)
    other = choose_cast(load_head(), seed=4, album=1, held_out=1, strangers=1)
    assert torch.equal(cast.album[0].code.expression, again.album[0].code.expression)
    assert not torch.equal(cast.subject.shape, other.subject.shape)
    assert not torch.equal(cast.album[0].code.pose, cast.held_out[0].code.pose)


def test_the_true_edit_changes_what_was_asked_and_keeps_the_rest(cast, tmp_path):
    write_photographs(cast, tmp_path)
    source = read_image(tmp_path / "sources" / "000.png").astype(float)
    lit, region = true_edit(cast, 0, 0, "light")
    moved, _ = true_edit(cast, 0, 0, "exp")
    inside = (region > 0.5).numpy()
    assert 0.08 < inside.mean() < 0.6
    assert np.abs(lit - source)[inside].mean() > 2
    corner = np.s_[:24, :24]  # background: neither light nor expression reaches it
    for edited in (lit, moved):
        assert np.abs(edited - source)[corner].mean() < 1.5


def test_the_face_region_leaves_out_neck_and_scalp(cast):
    code, head = cast.held_out[0].code, cast.head
    region = face_region(head, code, cast.held_out[0].centre, 64)
    assert region.shape == (64, 64)
    rows = torch.nonzero((region > 0.5).any(1)).flatten()
    assert rows.min() > 4  # above is scalp
    assert rows.max() < 60  # below is neck
    eyes = head.landmarks(head.vertices(code), code)[:, 36:48]
    for column, row in pixels(image_points(eyes, code), 64, 64)[0, :, :2].tolist():
        assert region[int(row), int(column)] > 0.9
